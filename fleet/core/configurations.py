"""Decides the next revision of a device's settings, and whether it left the newest one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from contracts.configuration import BASE, Configuration
from contracts.lifecycle import IN_PROGRESS, Phase
from contracts.messages import ModelReport
from contracts.settings import SettingValue

Standing = Literal["waiting", "trying", "in_force", "refused"]


@dataclass(frozen=True)
class Revision:
    """One revision of a device's settings, and whose it is."""

    configuration: Configuration
    # The name of his token.
    author: str
    at: datetime


@dataclass(frozen=True)
class Setting:
    """What people ask of a device's settings: those to set, and those that agent.toml shall decide again."""

    values: Mapping[str, SettingValue]
    unset: frozenset[str] = frozenset()

    def on(self, settings: Mapping[str, SettingValue]) -> dict[str, SettingValue]:
        """Return what settings become by it."""
        kept = {path: value for path, value in settings.items() if path not in self.unset}
        return dict(sorted({**kept, **self.values}.items()))


def has_left(wished: Configuration | None, report: ModelReport | None) -> bool:
    """Say whether the device tried what it was wished last and left it, or did not even try it."""
    last = None if report is None else report.last
    is_about = last is not None and wished is not None and last.release.manifest_sha256 == wished.sha256
    return is_about and last is not None and last.result in {Phase.REJECTED, Phase.ROLLED_BACK}


def how_it_goes(wished: Configuration, report: ModelReport | None) -> tuple[Standing, str]:
    """Return how a device is with what it was wished last, and why."""
    if report is None:
        return "waiting", ""
    if has_left(wished, report):
        assert report.last is not None
        return "refused", report.last.reason
    is_current = report.current is not None and report.current.manifest_sha256 == wished.sha256
    is_candidate = report.candidate is not None and report.candidate.manifest_sha256 == wished.sha256
    if is_candidate or (is_current and report.phase in IN_PROGRESS):
        return "trying", report.reason
    return ("in_force" if is_current else "waiting"), ""


def next_configuration(wished: Configuration | None, report: ModelReport | None, settings: Mapping[str, SettingValue]) -> Configuration:
    """Return the next revision: later than any that the device was wished or has told of."""
    told = [] if report is None else [report.current, report.last.release if report.last else None]
    newest = max([(wished or BASE).revision, *(ref.release for ref in told if ref is not None)])
    return Configuration(revision=newest + 1, settings=dict(settings))
