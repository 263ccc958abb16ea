"""Reads messages with msgspec, whose types are made from the contract's own models: it says yes, or leaves the verdict to them.

What it accepts, pydantic accepts with the same values; what it does not, such as a number written as text, may still be right.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import cache
from operator import attrgetter
from types import NoneType, UnionType
from typing import Annotated, Any, Generic, Literal, TypeGuard, TypeVar, Union, get_args, get_origin

import msgspec
from pydantic import AwareDatetime, BaseModel
from pydantic.fields import FieldInfo

Model = TypeVar("Model", bound=BaseModel)
_BOUNDS = ("ge", "gt", "le", "lt", "max_length", "min_length", "pattern")
# Sessions of a fleet, and the releases that they told of.
NAMES_REMEMBERED = 1 << 15
_PLAIN = (str, int, float, bool, NoneType)


class QuickReader(Generic[Model]):
    """Reads one kind of message.

    A quarter of the time would go into patterns, and devices say the same few names again and again: those that were found right in
    their places, all of one message together, are remembered, and their patterns are not looked at again.
    """

    def __init__(self, model: type[Model]) -> None:
        """Make the types; raise TypeError for a model that says what msgspec cannot."""
        self._decode = _decoder_of(record_of(model))
        self._decode_named = _decoder_of(record_of(model, has_names=True))
        self._names: Callable[[Model], object] = attrgetter(*_names_of(model))
        self._proven: set[object] = set()

    def read(self, raw: bytes) -> Model | None:
        """Return a record that has the model's fields and nothing else of it; None when only the model can tell."""
        try:
            record: Model = self._decode_named(raw)
            names = self._names(record)
            if names not in self._proven:
                record = self._decode(raw)
                if len(self._proven) >= NAMES_REMEMBERED:
                    self._proven.clear()
                self._proven.add(names)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None
        return record


def _decoder_of(record: type[msgspec.Struct]) -> Callable[[bytes], Any]:
    return msgspec.json.Decoder(record).decode


@cache
def record_of(model: type[BaseModel], *, has_names: bool = False) -> type[msgspec.Struct]:
    """Return the type of records that have a model's fields, and its bounds; with names, those of `_names_of` have no patterns."""
    fields = []
    for name, field in model.model_fields.items():
        annotation = field.annotation
        if has_names and _is_model(annotation):
            kind: Any = record_of(annotation, has_names=True)
        else:
            kind = _bounded(_kind_of(annotation), field.metadata, keeps_pattern=not has_names)
        if field.is_required():
            fields.append((name, kind))
        else:
            default = field.get_default(call_default_factory=True)
            fields.append((name, kind, msgspec.field(default_factory=default.copy) if isinstance(default, dict) else default))  # type: ignore[arg-type]  # a default is one more
    checks = [found.func for found in model.__pydantic_decorators__.model_validators.values()]
    if model.__pydantic_decorators__.field_validators or any(not callable(check) for check in checks):
        raise TypeError(f"{model.__name__}: expected bounds and checks of whole models, found checks of fields")

    def check(record: object) -> None:
        for each in checks:
            each(record)  # reads fields alone

    # One call for each record counts.
    namespace = {"__post_init__": checks[0] if len(checks) == 1 else check} if checks else {}
    forbids = model.model_config.get("extra") == "forbid"
    # Without gc: nothing in a message leads back to it.
    return msgspec.defstruct(
        model.__name__, fields, namespace=namespace, frozen=True, gc=False, kw_only=True, forbid_unknown_fields=forbids
    )


def _names_of(model: type[BaseModel], above: str = "") -> list[str]:
    """Return where in a model, and in those that are parts of every one, a text with a pattern lies."""
    found = []
    for name, field in model.model_fields.items():
        if _is_model(field.annotation):
            found += _names_of(field.annotation, f"{above}{name}.")
        elif "pattern" in _bounds_of(field.metadata):
            found.append(above + name)
    return found


def _is_model(annotation: Any) -> TypeGuard[type[BaseModel]]:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _kind_of(annotation: Any) -> Any:
    """Return msgspec's type for one of pydantic's."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if annotation is AwareDatetime:
        return Annotated[datetime, msgspec.Meta(tz=True)]
    if annotation in _PLAIN or origin is Literal:
        return annotation
    if _is_model(annotation):
        return record_of(annotation)
    if origin is Annotated:
        return _bounded(_kind_of(parts[0]), parts[1:])
    if origin in (Union, UnionType):
        return Union[tuple(map(_kind_of, parts))]  # noqa: UP007 - built, not written
    if origin is tuple and parts[1:] == (Ellipsis,):
        return tuple[_kind_of(parts[0]), ...]  # type: ignore[misc]  # built, not written
    if origin is dict:
        return dict[_kind_of(parts[0]), _kind_of(parts[1])]  # type: ignore[misc]  # built, not written
    raise TypeError(f"{annotation!r}: expected a type that msgspec knows")


def _bounded(kind: Any, metadata: Any, *, keeps_pattern: bool = True) -> Any:
    bounds = _bounds_of(metadata)
    if not keeps_pattern:
        bounds.pop("pattern", None)
    return Annotated[kind, msgspec.Meta(**bounds)] if bounds else kind


def _bounds_of(metadata: Any) -> dict[str, Any]:
    bounds: dict[str, Any] = {}
    for each in metadata:
        for part in each.metadata if isinstance(each, FieldInfo) else [each]:
            bounds |= {name: value for name in _BOUNDS if (value := getattr(part, name, None)) is not None}
    if "pattern" in bounds:
        # Python's $ also matches before a last line's end.
        bounds["pattern"] = bounds["pattern"].replace("$", r"\Z")
    return bounds
