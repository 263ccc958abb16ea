"""Touches the state folder only to read it, so that a running agent is not disturbed."""

from __future__ import annotations

from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from agent.core.memory import Memory
from agent.core.update import Update
from agent.errors import UnreadableStateError
from contracts import codec
from contracts.errors import ContractError
from contracts.small_files import read_bounded

MAX_FILE_BYTES = 64 * 1024
_UPDATE: TypeAdapter[Update] = TypeAdapter(Update)


def saved_models(state_dir: Path) -> dict[str, Update]:
    """Return every model's machine as it was saved last; raise UnreadableStateError."""
    found = {}
    path = state_dir
    try:
        for path in sorted((state_dir / "models").glob("*/update.json")):
            found[path.parent.name] = _UPDATE.validate_json(read_bounded(path, MAX_FILE_BYTES))
    except ValidationError as error:
        raise UnreadableStateError(str(path), str(codec.invalid_document("it", error))) from error
    except (OSError, ContractError) as error:
        raise UnreadableStateError(str(path), str(error)) from error
    return found


def saved_memory(state_dir: Path) -> Memory:
    """Return what was remembered of wishes; nothing where there is nothing to read."""
    try:
        return codec.decode(Memory, read_bounded(state_dir / "memory.json", MAX_FILE_BYTES), name="memory.json", max_bytes=MAX_FILE_BYTES)
    except (OSError, ContractError):
        return Memory()
