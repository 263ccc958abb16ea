"""What counts as the same answer of two releases, and what comes over their stream."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from agent.runtimes.port import Arrays
from agent.worker.comparison import Answer, Found, Numbers, Top, agree
from agent.worker.errors import ShadowStreamError
from agent.worker.shadow_stream import Head, Shape, framed, read_frame, shapes_of

BOX, NEAR, FAR = [0.1, 0.1, 0.5, 0.5], [0.12, 0.1, 0.5, 0.52], [0.6, 0.6, 0.9, 0.9]


def found(*boxes: tuple[list[float], str, float], sure: float = 0.35) -> Found:
    corners = np.array([box for box, _, _ in boxes], np.float32).reshape(-1, 4)
    return Found(corners, tuple(label for _, label, _ in boxes), np.array([score for _, _, score in boxes], np.float32), sure)


def numbers(*values: float) -> Numbers:
    return Numbers((np.array(values, np.float64),))


@pytest.mark.parametrize(
    ("live", "other", "is_same"),
    [
        (Top("cat", 0.9), Top("cat", 0.4), True),
        (Top("cat", 0.9), Top("dog", 0.9), False),
        (Top("", 0.2), Top("", 0.3), True),
        (found((BOX, "cat", 0.9)), found((NEAR, "cat", 0.5)), True),
        (found((BOX, "cat", 0.9)), found((NEAR, "dog", 0.9)), False),
        (found((BOX, "cat", 0.9)), found((FAR, "cat", 0.9)), False),
        (found(), found(), True),
        (found(), found((BOX, "cat", 0.9)), False),
        (found(), found((BOX, "cat", 0.3)), True),  # it barely passes the threshold, and decides nothing
        (found((BOX, "cat", 0.9)), found((NEAR, "cat", 0.3)), True),  # but may be a partner
        (numbers(10.0, -2.0), numbers(10.4, -2.4), True),
        (numbers(10.0, -2.0), numbers(10.0, -1.0), False),
        (numbers(10.0), numbers(10.0, 1.0), False),
        (Top("cat", 0.9), found((BOX, "cat", 0.9)), False),
    ],
)
def test_answers_are_the_same_when_callers_would_do_the_same(live: Answer, other: Answer, is_same: bool) -> None:
    assert agree(live, other) is is_same
    assert agree(other, live) is is_same


def read(raw: bytes) -> object:
    async def feed() -> object:
        reader = asyncio.StreamReader()
        reader.feed_data(raw)
        reader.feed_eof()
        return await read_frame(reader)

    return asyncio.run(feed())


def test_a_frame_comes_out_as_it_went_in_and_half_a_one_is_the_end() -> None:
    inputs: Arrays = {"image": np.arange(12, dtype=np.uint8).reshape(1, 3, 4)[:, ::-1]}
    outputs: Arrays = {"scores": np.array([[0.25, 0.75]], np.float32), "flags": np.array([True, False])}
    head = Head(release_dir="/r", target="cpu", count=1, seconds=0.5, dropped=3, inputs=shapes_of(inputs), outputs=shapes_of(outputs))
    raw = framed(head, [*inputs.values(), *outputs.values()])

    came = read(raw)

    assert isinstance(came, tuple)
    assert came[0] == head
    for sent, got in ((inputs, came[1]), (outputs, came[2])):
        assert sent.keys() == got.keys()
        assert all(np.array_equal(sent[name], got[name]) and sent[name].dtype == got[name].dtype for name in sent)
    assert read(raw[:-1]) is None
    assert read(b"") is None


@pytest.mark.parametrize(
    ("shape", "body"),
    [
        (Shape(name="x", dtype="|O", shape=(1,)), b"12345678"),
        (Shape(name="x", dtype="<f4", shape=(1000,)), b"1234"),
        (Shape(name="x", dtype="<f4", shape=(1,)), b"12345678"),
        (Shape(name="x", dtype="what", shape=(1,)), b"1234"),
    ],
)
def test_a_frame_that_is_none_is_refused(shape: Shape, body: bytes) -> None:
    head = Head(release_dir="/r", target="cpu", count=1, seconds=0, dropped=0, inputs=(shape,), outputs=())
    raw = framed(head, [np.frombuffer(body, np.uint8)])

    with pytest.raises(ShadowStreamError):
        read(raw)
    with pytest.raises(ShadowStreamError):
        read(b"\xff" * 8 + raw)
