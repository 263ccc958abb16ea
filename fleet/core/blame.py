"""Decides what failed devices have in common that passed ones lack: exact tests on every attribute and pair, corrected for their number."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

MAX_FINDINGS = 10
# A chance of one in twenty that anything in the whole report is there by luck.
SURE = 0.05
# Values that fewer devices share explain nothing; values that all share tell nobody apart.
MIN_DEVICES = 2
# How often numbers are cut: at these shares of the devices.
CUTS = (0.1, 0.25, 0.5, 0.75, 0.9)
# A pair is only worth telling when it is so much less likely by luck than either of its parts.
PAIR_GAIN = 0.1
# Pairs are made of the best single traits.
MAX_PARTS = 12
# Who failed with a model's first release runs nothing of it: that these are absent is what came of it, and no cause.
OF_A_RUNNING_MODEL = frozenset({"driver", "loader", "target"})


@dataclass(frozen=True)
class Case:
    """One device that has an outcome: what it is, such as {"kernel": "6.1.21"}, and what it measured, such as {"temperature_c": 71.5}."""

    device: str
    has_failed: bool
    facts: Mapping[str, str]
    readings: Mapping[str, float]


@dataclass(frozen=True)
class Finding:
    """Something that failed devices have more often; `chance` is that of seeing this by luck anywhere in the report."""

    traits: tuple[str, ...]
    failed_with: int
    failed: int
    passed_with: int
    passed: int
    chance: float

    @property
    def sentence(self) -> str:
        """Say it to people."""
        traits = " and ".join(self.traits)
        return f"{self.failed_with} of {self.failed} failed devices have {traits}; {self.passed_with} of {self.passed} that passed do"


@dataclass(frozen=True)
class _Trait:
    """A property and the devices that have it, as bits."""

    names: tuple[str, ...]
    # Traits of one attribute exclude or contain each other, and make no pair.
    attributes: frozenset[str]
    holders: int


def blame(cases: Sequence[Case]) -> tuple[Finding, ...]:
    """Return what sets failed devices apart, surest first; nothing when it may as well be luck."""
    failed = _bits(case.has_failed for case in cases)
    everybody = (1 << len(cases)) - 1
    if failed in (0, everybody):
        return ()
    singles = _distinct((*_of_facts(cases), *_of_readings(cases)), everybody)
    table = _Table(failed, everybody)
    by_luck = sorted((table.chance(trait.holders), trait.names, trait) for trait in singles)
    parts = [trait for _, _, trait in by_luck[:MAX_PARTS]]
    pairs = _distinct(_pairs(parts), everybody, {trait.holders for trait in singles})
    tests = len(singles) + len(pairs)
    alone = {trait.names: chance for chance, _, trait in by_luck}
    telling = [(table.chance(pair.holders), pair) for pair in pairs]
    telling = [(chance, pair) for chance, pair in telling if chance < PAIR_GAIN * min(alone[(name,)] for name in pair.names)]
    found = sorted([*((chance, trait) for chance, _, trait in by_luck), *telling], key=lambda one: (one[0], one[1].names))
    sure = [table.finding(trait, min(1.0, chance * tests)) for chance, trait in found if chance * tests <= SURE]
    return tuple(sure[:MAX_FINDINGS])


class _Table:
    """Who failed, and among how many."""

    def __init__(self, failed: int, everybody: int) -> None:
        self._failed = failed
        self._failures = failed.bit_count()
        self._total = everybody.bit_count()

    def chance(self, holders: int) -> float:
        """Return Fisher's exact one-sided probability of so many failures or more among the holders."""
        held, both = holders.bit_count(), (holders & self._failed).bit_count()
        ways = _log_choose(self._total, held)
        most = min(held, self._failures)
        return min(1.0, math.fsum(math.exp(self._log_ways(held, count) - ways) for count in range(both, most + 1)))

    def finding(self, trait: _Trait, chance: float) -> Finding:
        both = (trait.holders & self._failed).bit_count()
        passed_with = trait.holders.bit_count() - both
        return Finding(trait.names, both, self._failures, passed_with, self._total - self._failures, chance)

    def _log_ways(self, held: int, failed_among: int) -> float:
        rest = held - failed_among
        passed = self._total - self._failures
        return _log_choose(self._failures, failed_among) + _log_choose(passed, rest) if rest <= passed else -math.inf


def _log_choose(count: int, taken: int) -> float:
    return math.lgamma(count + 1) - math.lgamma(taken + 1) - math.lgamma(count - taken + 1)


def _bits(claims: Iterable[bool]) -> int:
    return sum(1 << index for index, claim in enumerate(claims) if claim)


def _of_facts(cases: Sequence[Case]) -> Iterable[_Trait]:
    values = sorted({(name, value) for case in cases for name, value in case.facts.items()})
    for name, value in values:
        yield _Trait((f"{name} {value}",), frozenset({name}), _bits(case.facts.get(name) == value for case in cases))
    for name in sorted({name for name, _ in values} - OF_A_RUNNING_MODEL):
        yield _Trait((f"no {name}",), frozenset({name}), _bits(name not in case.facts for case in cases))


def _of_readings(cases: Sequence[Case]) -> Iterable[_Trait]:
    for name in sorted({name for case in cases for name in case.readings}):
        known = sorted(case.readings[name] for case in cases if name in case.readings)
        for limit in sorted({known[int(cut * (len(known) - 1))] for cut in CUTS}):
            above = _bits(case.readings.get(name, -math.inf) > limit for case in cases)
            below = _bits(case.readings.get(name, math.inf) <= limit for case in cases)
            yield _Trait((f"{name} above {limit:g}",), frozenset({name}), above)
            yield _Trait((f"{name} up to {limit:g}",), frozenset({name}), below)


def _pairs(traits: Sequence[_Trait]) -> Iterable[_Trait]:
    for one, other in combinations(traits, 2):
        if not one.attributes & other.attributes:
            yield _Trait((*one.names, *other.names), one.attributes | other.attributes, one.holders & other.holders)


def _distinct(traits: Iterable[_Trait], everybody: int, known: Iterable[int] = ()) -> list[_Trait]:
    """Leave out what too few or all have, and what the very same devices have as something before."""
    seen = {everybody, *known}
    found: list[_Trait] = []
    for trait in traits:
        if trait.holders not in seen and trait.holders.bit_count() >= MIN_DEVICES:
            seen.add(trait.holders)
            found.append(trait)
    return found
