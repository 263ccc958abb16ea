"""The published schema is the schema of what is written."""

from __future__ import annotations

from compiler.package.schema import SCHEMA_ID, report_schema
from tests.compiler.material import ROOT


def test_the_published_schema_is_the_reports() -> None:
    """When it fails: python -m compiler.package.schema > docs/schemas/report.schema.json"""
    assert (ROOT / "docs" / "schemas" / SCHEMA_ID).read_text() == report_schema()
