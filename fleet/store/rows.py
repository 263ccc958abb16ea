"""How values lie in columns: small documents as JSON text."""

from __future__ import annotations

import json
from collections.abc import Mapping

from pydantic import TypeAdapter

from contracts import codec
from contracts.downlinks import ShadowWish
from contracts.messages import ReleaseRef

TEXT_BY_NAME: TypeAdapter[dict[str, str]] = TypeAdapter(dict[str, str])
COUNT_BY_NAME: TypeAdapter[dict[str, int]] = TypeAdapter(dict[str, int])
NUMBER_BY_NAME: TypeAdapter[dict[str, float]] = TypeAdapter(dict[str, float])
NAMES: TypeAdapter[tuple[str, ...]] = TypeAdapter(tuple[str, ...])
REF_BY_MODEL: TypeAdapter[dict[str, ReleaseRef]] = TypeAdapter(dict[str, ReleaseRef])
SHADOW_BY_MODEL: TypeAdapter[dict[str, ShadowWish]] = TypeAdapter(dict[str, ShadowWish])


def refs_to_text(refs: Mapping[str, ReleaseRef]) -> str:
    """Write releases by model."""
    return json.dumps({model: ref.model_dump(mode="json") for model, ref in refs.items()}, sort_keys=True)


def ref_to_text(ref: ReleaseRef | None) -> str | None:
    """Write one release, or nothing."""
    return None if ref is None else codec.encode(ref).decode()


def ref_from_text(text: str | None) -> ReleaseRef | None:
    """Read one release, or nothing."""
    return None if text is None else ReleaseRef.model_validate_json(text)
