"""Carries an importer's remarks with the graph itself, from where the file is read to where people read."""

from __future__ import annotations

import json
from collections.abc import Sequence

import onnx

KEY = "fieldfare.notes"


def noted(model: onnx.ModelProto, notes: Sequence[str]) -> onnx.ModelProto:
    """Write remarks, each a sentence for people, into the model."""
    if notes:
        model.metadata_props.add(key=KEY, value=json.dumps(list(notes)))
    return model


def notes_of(model: onnx.ModelProto) -> tuple[str, ...]:
    """Return what the importer had to remark; nothing for a graph that comes from elsewhere."""
    return tuple(note for entry in model.metadata_props if entry.key == KEY for note in json.loads(entry.value))
