"""The words that documents share: alphabets of names that may stand in a topic, a path and a signed document without quoting."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints

# One path or topic segment: no slash, no MQTT wildcard, no leading dot or dash.
_SEGMENT = r"^[a-z0-9][a-z0-9._-]{0,63}$"

# Shared topic trees stand where a device's name would, and the broker knows the fleet's own parts by such names too.
RESERVED_DEVICE_IDS = frozenset({"chunk", "trust", "fleet", "viewer"})


def _free(name: str) -> str:
    if name in RESERVED_DEVICE_IDS:
        raise ValueError(f"a name other than {', '.join(sorted(RESERVED_DEVICE_IDS))}")
    return name


DeviceId = Annotated[str, StringConstraints(pattern=_SEGMENT), AfterValidator(_free)]
ModelName = Annotated[str, StringConstraints(pattern=_SEGMENT)]
TargetName = Annotated[str, StringConstraints(pattern=_SEGMENT)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
# Relative, forward slashes, every segment starting with a letter or digit: so no "..", no hidden file.
BundlePath = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*){0,4}$", max_length=200)]
# A label's key and value, as an operator writes them.
LabelKey = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
LabelValue = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
ReleaseCounter = Annotated[int, Field(ge=1, le=2**31 - 1)]
# Which loader a device needs: ONNX Runtime, or LiteRT / TensorFlow Lite.
Runtime = Literal["onnx", "litert"]
Port = Annotated[int, Field(ge=1, le=65535)]
