"""The JSON schema of report.json, which others read; `python -m compiler.package.schema` prints what docs/schemas publishes."""

from __future__ import annotations

import json
import sys

from compiler.package.report import Report

SCHEMA_ID = "report.schema.json"


def report_schema() -> str:
    """Return the schema: draft 2020-12, sorted keys, two spaces."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": SCHEMA_ID, **Report.model_json_schema(by_alias=True)}
    return json.dumps(schema, indent=2, sort_keys=True) + "\n"


if __name__ == "__main__":
    sys.stdout.write(report_schema())
