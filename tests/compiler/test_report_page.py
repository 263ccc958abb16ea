"""The page people look at: complete, self-contained, and never wrong by a rounding."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import numpy as np
import pytest

from compiler.evaluate.gate import judge
from compiler.package.page import Axis, percent, points, render_page, size
from compiler.package.report import Report, SourceFile, TargetReport, metric_report
from contracts.manifest import Tolerance
from contracts.preprocess import Preprocess

FILE = SourceFile(name="model <b>.onnx", sha256="0" * 64, bytes=1000, samples=200)


def report(lost: int, *, max_drop: float = 0.01) -> Report:
    judgement = judge(np.ones(200, dtype=bool), np.arange(200) >= lost, max_drop)
    target = TargetReport(
        title="computer",
        why="it is fast",
        runtime="onnx",
        precision="int8",
        lowering="ort-u8s8",
        session_options={},
        bytes=500,
        metric=metric_report("top1", judgement),
        verdict=judgement.verdict,
        samples_for_proof=judgement.samples_for_proof,
        tolerance=Tolerance(absolute=0.1, same_argmax=True),
    )
    return Report(
        name="digits",
        release=3,
        model=FILE,
        calibration=FILE,
        evaluation=FILE,
        preprocess=Preprocess(),
        max_drop=max_drop,
        golden_samples=16,
        tools={"onnx": "1"},
        targets={"cpu": target},
    )


class Balance(HTMLParser):
    """Notes every element that is opened and not closed, or closed and not opened."""

    VOID = frozenset({"meta", "br", "line", "rect", "circle"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002 - the signature is the base class's
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


def test_the_page_is_well_formed_and_asks_for_nothing() -> None:
    page = render_page(report(1))
    balance = Balance()
    balance.feed(page)
    assert balance.open == []
    assert re.findall(r"<script|<link|<img|https?://|url\(|@import", page) == []


def test_the_page_says_what_the_report_says() -> None:
    page = render_page(report(1))
    for text in ("digits", "release 3", "99.50 %", "unproven", "samples would prove", "it is fast", "±0.1"):
        assert text in page


def test_names_from_outside_are_escaped() -> None:
    page = render_page(report(0))
    assert "model &lt;b&gt;.onnx" in page
    assert "<b>" not in page


@pytest.mark.parametrize("max_drop", [0.0, 0.01, 0.9])
def test_every_mark_of_a_chart_lies_on_it(max_drop: float) -> None:
    places = [float(place) for place in re.findall(r' (?:x|x1|x2|cx)="([-\d.]+)%"', render_page(report(5, max_drop=max_drop)))]
    assert places
    assert all(0 <= place <= 100 for place in places)


@pytest.mark.parametrize(("low", "high"), [(0.9, 1.0), (0.0, 1.0), (0.981, 0.999), (-0.02, 0.01), (0.5, 0.50003)])
def test_an_axis_has_a_few_round_ticks(low: float, high: float) -> None:
    ticks = Axis(low, high).ticks()
    assert 2 <= len(ticks) <= 8
    assert all(low - 1e-9 <= tick <= high + 1e-9 for tick in ticks)


def test_people_read_shares_points_and_sizes() -> None:
    assert percent(0.9876) == "98.76 %"
    assert [points(value) for value in (0.012, -0.0034, 0.0, -0.000001)] == ["+1.20", "−0.34", "0.00", "0.00"]
    assert [size(value) for value in (999, 1500, 2_500_000)] == ["999 B", "1.5 kB", "2.5 MB"]


def test_the_document_has_the_keys_others_read() -> None:
    metric = report(1).document()["targets"]["cpu"]["metric"]
    assert {"name", "float", "compiled", "drop", "drop_upper", "n"} <= metric.keys()
    assert Report.model_validate_json(report(1).to_json()) == report(1)
