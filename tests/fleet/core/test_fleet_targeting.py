"""The query language: what it means, how it is written, and what it says when it cannot be read."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.lifecycle import Phase
from contracts.messages import ModelReport, ReleaseRef
from fleet.core.inventory import Inventory, Vitals
from fleet.core.status import Gist
from fleet.core.targeting.parse import NAMES, parse_query
from fleet.core.targeting.predicate import predicate
from fleet.core.targeting.query import (
    Comparison,
    Everything,
    InGroup,
    Not,
    Online,
    Query,
    Running,
    all_of,
    any_of,
)
from fleet.core.targeting.values import Age, Celsius, Percent, Size, Text, Value, Version
from fleet.errors.devices import QueryError

NOW = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
PI = Inventory(
    "pi-1",
    "rpi5",
    {"site": "lyon"},
    ("rpi5", "cpu"),
    last_seen=NOW - timedelta(minutes=5),
    gist=Gist(is_online=True),
    runtimes={"onnx": "1.18.1"},
    agent="0.2.0",
    architecture="aarch64",
    system="Linux 6.6.31+rpt-rpi-2712",
    vitals=Vitals(2 << 30, 8 << 30, 600_000_000, 32_000_000_000, 61.5, lacks_edge_tpu=False),
    models={"digits": ModelReport(phase=Phase.COMMITTED, current=ReleaseRef(model="digits", release=3, manifest_sha256="ab" * 32))},
)
UNHEARD = Inventory("pi-2", "rpi5", {}, ("rpi5", "cpu"))


def means(query: str, device: Inventory = PI) -> bool:
    return predicate(parse_query(query), NOW)(device)


@pytest.mark.parametrize(
    ("query", "is_meant"),
    [
        ("all", True),
        ("hw = rpi5", True),
        ("hw=rpi5", True),
        ("hw != rpi5", False),
        ("id = pi-1", True),
        ('label.site = "lyon"', True),
        ("label.site != oslo", True),
        ("label.room != 5", True),
        ("label.room = 5", False),
        ("not label.room = 5", True),
        ('hw = rpi5 and label.site = "oslo"', False),
        ("  hw = rpi5   and  id != pi-2 ", True),
        ("hw = rpi4 or hw = rpi5", True),
        ("hw in (rpi4, rpi5)", True),
        ("hw in (rpi4)", False),
        # and binds closer than or, not closer than both
        ("hw = rpi5 or hw = rpi4 and id = nobody", True),
        ("(hw = rpi5 or hw = rpi4) and id = nobody", False),
        ("not hw = rpi4 and hw = rpi5", True),
        ("not (hw = rpi5 and id = pi-1)", False),
        ("free_disk > 500MB", True),
        ("free_disk > 500MiB and free_disk < 0.6GB", False),
        ("free_disk >= 600000000", True),
        ("free_disk < 2%", True),
        ("free_disk > 1.875%", False),
        ("free_memory = 25%", True),
        ("memory >= 8GiB", True),
        ("temperature < 61.5", False),
        ("temperature <= 61.5C", True),
        ("temperature > -5", True),
        ("runtime.onnx >= 1.18", True),
        ("runtime.onnx > 1.9", True),
        ("runtime.onnx < 1.18.1rc1", False),
        ("runtime.onnx = 1.18.1.0", True),
        ("runtime.litert >= 1", False),
        ("runtime.litert != 1", True),
        ("agent in (0.1, 0.2)", True),
        ("kernel >= 6.6", True),
        ("kernel < 6.10", True),
        ('system = "Linux 6.6.31+rpt-rpi-2712"', True),
        ("architecture = aarch64", True),
        ("online", True),
        ("status = healthy", True),
        ("status in (offline, new)", False),
        ("last_seen < 1h", True),
        ("last_seen > 299s and last_seen < 301s", True),
        ("last_seen >= 0.1h", False),
        ("running digits", True),
        ('running "digits 3"', True),
        ('running "digits 30"', False),
        ("running ababababababab", True),
        ("running abab", False),
        ('not running "digits 3"', False),
    ],
)
def test_a_query_means_the_devices_it_describes(query: str, is_meant: bool) -> None:
    assert means(query) is is_meant


def test_what_was_never_reported_is_unknown_and_only_differs() -> None:
    for field in ("free_disk", "memory", "temperature", "runtime.onnx", "kernel", "last_seen"):
        value = "1s" if field == "last_seen" else "1"
        met = [sign for sign in ("=", "!=", "<", "<=", ">", ">=") if means(f"{field} {sign} {value}", UNHEARD)]
        assert met == ["!="], field
    assert not means("free_disk > 0%", replace(PI, vitals=None))
    assert not means("online", UNHEARD)
    assert means("status = new", UNHEARD)


def test_a_device_that_is_silent_is_not_online_whatever_the_broker_thinks() -> None:
    assert not means("online", replace(PI, last_seen=NOW - timedelta(hours=1)))
    assert not means("online", replace(PI, gist=Gist(is_online=False)))
    assert means("online and status = degraded", replace(PI, gist=Gist(is_online=True, unwell="throttled")))


CONDITION = "a condition: one of all, online, running"


@pytest.mark.parametrize(
    ("query", "position", "expected"),
    [
        ("", 0, CONDITION),
        ("colour = red", 0, CONDITION),
        ("hw rpi5", 3, "=, != or in, found 'rpi5'"),
        ("hw < rpi5", 3, "=, != or in, found '< rpi5'"),
        ("hw = ", 5, 'a value such as rpi5 or "lyon", found the end'),
        ('hw = ""', 5, "a value such as"),
        ('label.site = "lyon', 13, 'a text that ends with "'),
        ("label.Site = lyon", 0, "label.NAME"),
        ("hw = rpi5 xor id = a", 10, "and, or, or the end"),
        ("hw = rpi5 and", 13, CONDITION),
        ("all hw = rpi5", 4, "and, or, or the end"),
        ("hw = rpi5; id = a", 9, "a name, a value, a sign"),
        ("(hw = rpi5", 10, "and, or, or )"),
        ("hw in rpi5", 6, "[(] and values between commas"),
        ("hw in (rpi5", 11, ", or )"),
        ("hw in ()", 7, "a value"),
        ("free_disk > lots", 12, "a size or share such as 500MB, 2GiB or 20%, found 'lots'"),
        ("free_disk > 500M", 12, "a size or share"),
        ("free_disk > 101%", 12, "a size or share"),
        ("memory > 20%", 9, "a size such as"),
        ("memory > 1e9", 9, "a size such as"),
        ("last_seen < 1", 12, "a time such as"),
        ("temperature > hot", 14, "a temperature"),
        ("runtime.onnx > new", 15, "a version"),
        ("status = sick", 9, "one of healthy, updating, degraded, offline, new"),
        ("group > a", 6, "=, != or in"),
        ("group = A", 8, "a group's name"),
        ("running", 7, "a release such as"),
        ("not " * 41 + "online", 160, "at most 40 conditions inside each other"),
    ],
)
def test_what_is_wrong_with_a_query_is_said_with_its_position(query: str, position: int, expected: str) -> None:
    with pytest.raises(QueryError) as caught:
        parse_query(query)
    assert f"position {position + 1}: expected " in str(caught.value)
    assert expected.replace("[(]", "(") in str(caught.value)
    assert caught.value.position == position


@pytest.mark.parametrize(
    ("query", "hint"),
    [("free_dsk > 1GB", "free_disk"), ("labels.site = a", "label."), ("runtime.onx > 1", "runtime.onnx"), ("onlin", "online")],
)
def test_a_misspelt_field_is_met_by_the_right_one(query: str, hint: str) -> None:
    with pytest.raises(QueryError, match=f"did you mean {hint}[?]"):
        parse_query(query)


decimals = st.decimals(0, 100, allow_nan=False, places=3)
texts = st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters='"\\'), min_size=1, max_size=20).map(Text)
versions = st.from_regex(r"[0-9]{1,3}(\.[0-9]{1,3}){0,3}(rc1|\+local)?", fullmatch=True).map(Version)
VALUES: dict[str, st.SearchStrategy[Value]] = {
    "hw": texts,
    "label.site": texts,
    "status": st.sampled_from(["healthy", "new"]).map(Text),
    "kernel": versions,
    "runtime.onnx": versions,
    "memory": st.integers(0, 2**50).map(Size),
    "free_disk": st.one_of(st.integers(0, 2**50).map(Size), decimals.map(Percent)),
    "temperature": st.decimals(-50, 150, allow_nan=False, places=3).map(Celsius),
    "last_seen": st.integers(0, 10**9).map(Age),
}
ORDERED = frozenset({"kernel", "runtime.onnx", "memory", "free_disk", "temperature", "last_seen"})


@st.composite
def comparisons(draw: st.DrawFn) -> Query:
    field = draw(st.sampled_from(sorted(VALUES)))
    sign = draw(st.sampled_from(["=", "!=", "in", *(["<", "<=", ">", ">="] if field in ORDERED else [])]))
    value = VALUES[field]
    return Comparison(field, sign, tuple(draw(st.lists(value, min_size=1, max_size=3)) if sign == "in" else [draw(value)]))


names = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,20}", fullmatch=True)
leaves = st.one_of(comparisons(), st.just(Everything()), st.just(Online()), names.map(InGroup), names.map(Running))
queries = st.recursive(
    leaves,
    lambda inner: st.one_of(
        inner.map(Not),
        st.lists(inner, min_size=2, max_size=4).map(all_of),
        st.lists(inner, min_size=2, max_size=4).map(any_of),
    ),
    max_leaves=12,
)


@given(queries)
def test_a_query_reads_back_as_it_was_written(query: Query) -> None:
    assert parse_query(str(query)) == query


@given(st.one_of(st.text(max_size=60), st.lists(st.sampled_from([*NAMES, "(", ")", "and", "not", "=", "<", "in", "1", ","])).map(" ".join)))
def test_any_text_is_a_query_or_one_clear_error(text: str) -> None:
    found = read_or_refused(text)

    if isinstance(found, QueryError):
        assert 0 <= found.position <= len(text)
        assert "\n" not in str(found)
    else:
        assert parse_query(str(found)) == found


def read_or_refused(text: str) -> Query | QueryError:
    try:
        return parse_query(text)
    except QueryError as error:
        return error


@given(decimals, st.sampled_from(["kB", "MB", "MiB", "GB", "GiB"]))
def test_an_amount_keeps_its_meaning_in_its_one_way_of_writing(number: Decimal, unit: str) -> None:
    query = parse_query(f"memory > {number}{unit}")

    assert parse_query(str(query)) == query
    assert str(parse_query("memory > 1.5GiB and last_seen < 1.5h")) == "memory > 1536MiB and last_seen < 90m"


def test_a_query_of_unreasonable_length_is_refused() -> None:
    with pytest.raises(QueryError, match="at most 4000 characters"):
        parse_query(" and ".join(["hw = rpi5"] * 400))
