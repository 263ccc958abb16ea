"""The fleet's errors: each names the thing, what was expected, what was found and what to do; a file for each part of the work."""

from __future__ import annotations

from contracts.errors import FieldfareError


class FleetError(FieldfareError):
    """Root of the fleet's errors."""
