"""The value that every check of a doctor's ends in."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel

Verdict = Literal["ok", "warn", "fail"]


class Finding(BaseModel, frozen=True):
    """One check's result; `advice` says what to do, and is empty where nothing is."""

    check: str
    verdict: Verdict
    text: str
    advice: str = ""
