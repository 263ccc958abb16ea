"""What all answers of the API share."""

from __future__ import annotations

from pydantic import BaseModel


class View(BaseModel, frozen=True):
    """An answer of the API."""
