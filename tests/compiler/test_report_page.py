"""The page people look at: complete, self-contained, and never wrong by a rounding."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import numpy as np
import pytest

from compiler.evaluate.decisions import Choices
from compiler.evaluate.gate import judge
from compiler.evaluate.metrics import METRICS
from compiler.evaluate.tallies import Answer, Tally
from compiler.package.layers import LayerSqnr, NoiseOrigins
from compiler.package.page import Axis, Speed, Timed, heat, render_page, steps
from compiler.package.placement import OpPlacement
from compiler.package.report import Report, SourceFile, TargetReport, metric_report
from compiler.package.words import flips, percent, points, size
from contracts.manifest import Flips, Tolerance
from contracts.preprocess import Preprocess

FILE = SourceFile(name="model <b>.onnx", sha256="0" * 64, bytes=1000, samples=200)


SPEED = Speed("a <fast> processor, 4 cores", (Timed("float", 2.0, "onnxruntime 1"), Timed("cpu", 0.5, "onnxruntime 1")))
ORIGINS = NoiseOrigins(inputs=0.25, weights=0.0, rounding=0.75, clipping=0.0, arithmetic=0.0)
LAYERS = tuple(
    LayerSqnr(
        layer=f"conv_{number}",
        sqnr_db=decibels,
        operator="Conv + Relu",
        origins=ORIGINS,
        reason="channel <3> sets the steps for all" if number else None,
        advice="scale it down" if number else None,
    )
    for number, decibels in enumerate((41.0, 8.5, 15.25, 33.0))
)


def tally(metric: str, values: list[float]) -> Tally:
    """Return what a metric remembers of outputs that should all be 1."""
    remembered = METRICS[metric].begin()
    for value in values:
        outputs = {"scores": np.array([[0.5, value]])}
        remembered.add(Answer({}, outputs, outputs), np.array([0.5, 1.0]) if METRICS[metric].truth == "values" else np.array(1))
    return remembered


def report(lost: int, *, max_drop: float = 0.01, metric: str = "top1") -> Report:
    before, after = [1.0] * 200, [1.0 if number >= lost else 0.0 for number in range(200)]
    judgement = judge(METRICS[metric], tally(metric, before), tally(metric, after), 200, max_drop)
    choices = Choices(np.array(before, np.int64), np.array(after, np.int64), np.ones(200, np.int64), 2)
    target = TargetReport(
        title="computer",
        why="it is fast",
        runtime="onnx",
        judged_by="onnxruntime 1",
        precision="int8",
        lowering="ort-u8s8",
        session_options={},
        bytes=500,
        metric=metric_report(judgement),
        verdict=judgement.verdict,
        samples_for_proof=judgement.samples_for_proof,
        tolerance=Tolerance(absolute=0.1, same_argmax=True),
        flips=choices.flips(),
        worst_class=choices.worst_class(),
        confusion=choices.table(),
        layers=LAYERS,
        layer_samples=32,
        layers_measured_by="onnxruntime 1",
        placement=(OpPlacement(operator="Conv", numbers="int8", count=3), OpPlacement(operator="Softmax", numbers="float", count=1)),
    )
    return Report(
        name="digits",
        release=3,
        model=FILE,
        calibration=FILE,
        evaluation=FILE,
        preprocess=Preprocess(),
        labels=("no", "<b>yes"),
        declared=0.99,
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

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


def test_the_page_is_well_formed_and_asks_for_nothing() -> None:
    page = render_page(report(1), SPEED)
    balance = Balance()
    balance.feed(page)
    assert balance.open == []
    assert re.findall(r"<script|<link|<img|https?://|url\(|@import", page) == []


def test_the_page_says_what_the_report_says() -> None:
    page = render_page(report(1), SPEED)
    for text in ("digits", "release 3", "99.50 %", "unproven", "samples would prove", "it is fast", "±0.1", "declared to reach 99.00 %"):
        assert text in page


def test_the_noisiest_layers_are_explained_the_worst_first() -> None:
    page = render_page(report(1), SPEED)
    explained = re.findall(r"<li><code>(conv_\d)</code>", page)
    assert explained == ["conv_1", "conv_2", "conv_3"]
    assert "8.5 dB</strong>: channel &lt;3&gt; sets the steps for all.<br>" in page
    assert "Next: scale it down." in page


def test_every_layer_is_drawn_in_the_networks_order_with_what_it_makes_of_its_noise() -> None:
    page = render_page(report(1), SPEED)
    assert re.findall(r"<title>(\d) (conv_\d)", page) == [("1", "conv_0"), ("2", "conv_1"), ("3", "conv_2"), ("4", "conv_3")]
    assert page.count("75 % of its noise made here") == len(LAYERS)
    assert re.findall(r'<rect class="(low|plain)" x="[\d.]+%" y="[\d.]+" width', page) == ["plain", "low", "low", "low"]


def test_the_page_shows_what_is_taken_for_what_and_where_operators_run() -> None:
    page = render_page(report(3), SPEED)
    assert 'style="--heat:12">3</td>' in page
    assert '<code>Softmax</code></td><td class="cell">float × 1</td>' in page
    assert "1 · &lt;b&gt;yes: 100.00 % to 98.50 % of 200" in page
    assert [heat(0, (0, 5)), heat(1, (1, 99)), heat(100, (100, 0))] == [0, 12, 80]


def test_the_page_draws_latency_for_the_float_model_and_every_target() -> None:
    page = render_page(report(1), SPEED)
    assert "a &lt;fast&gt; processor, 4 cores" in page
    bars = re.findall(r'width="([\d.]+)%" height="16" rx="4"/></svg>\n<div class="figure">([\d.]+) ms', page)
    assert bars == [("100.0", "2"), ("25.0", "0.5")]


def test_the_page_says_where_one_set_served_both_purposes() -> None:
    folded = report(1).model_copy(update={"folds": 5})
    assert "in 5 folds: each sample is judged by a plan that never saw it" in render_page(folded, SPEED)
    assert folded.document()["folds"] == 5
    assert "folds" not in report(1).document()


def test_an_error_is_shown_in_its_own_unit() -> None:
    page = render_page(report(20, metric="mae", max_drop=0.06), SPEED)
    assert "The budget is 0.06." in page
    assert "+0.05" in page
    assert "percentage points" not in page


def test_preprocessing_is_written_as_a_formula() -> None:
    assert steps(Preprocess.parse("scale=0.5")) == "(x × 0.5 − 0.0) ÷ 1.0"
    written = steps(Preprocess.parse("resize=256,crop=224,mean=1:2:3,layout=CHW"))
    assert written == "resize 256, crop 224x224, layout CHW, (x × 1.0 − (1.0, 2.0, 3.0)) ÷ 1.0"


def test_people_read_which_way_answers_changed() -> None:
    assert flips(Flips(changed=5, lost=2, gained=1)) == "5 answers changed: 2 right to wrong, 1 wrong to right, 2 wrong to otherwise wrong"
    assert flips(Flips(changed=1)) == "1 answer changed"


def test_names_from_outside_are_escaped() -> None:
    page = render_page(report(0), SPEED)
    assert "model &lt;b&gt;.onnx" in page
    assert "<b>" not in page


@pytest.mark.parametrize("max_drop", [0.0, 0.01, 0.9])
def test_every_mark_of_a_chart_lies_on_it(max_drop: float) -> None:
    places = [float(place) for place in re.findall(r' (?:x|x1|x2|cx)="([-\d.]+)%"', render_page(report(5, max_drop=max_drop), SPEED))]
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
