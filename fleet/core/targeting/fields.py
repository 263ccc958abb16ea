"""What a query may ask of a device: each field's name, what it is compared with, and where it is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import get_args

from contracts.names import Runtime
from fleet.core.inventory import Inventory, Vitals
from fleet.core.status import Status
from fleet.core.targeting import values
from fleet.core.targeting.values import Age, Celsius, Percent, Size, Text, Value, Version, version_key

# What is found on a device in comparable form; None where it was never reported.
Found = str | float | values.VersionKey | None
Read = Callable[[Inventory, datetime], Found]

LABEL = "label."
GROUP = "group"
ORDER = ("=", "!=", "<=", ">=", "<", ">", "in")
SAME = ("=", "!=", "in")
STATUSES: tuple[str, ...] = get_args(Status)


@dataclass(frozen=True)
class Kind:
    """How a field is compared, and how what it is compared with is written."""

    operators: tuple[str, ...]
    expected: str
    parse: Callable[[str], Value | None]


TEXT = Kind(SAME, 'a value such as rpi5 or "lyon"', Text)
STATUS = Kind(SAME, f"one of {', '.join(STATUSES)}", lambda text: Text(text) if text in STATUSES else None)
VERSION = Kind(ORDER, "a version such as 1.18", values.version)
SIZE = Kind(ORDER, "a size such as 500MB or 2GiB", values.size)
SIZE_OR_SHARE = Kind(ORDER, "a size or share such as 500MB, 2GiB or 20%", values.size_or_percent)
TEMPERATURE = Kind(ORDER, "a temperature such as 70 or 70C", values.celsius)
AGE = Kind(ORDER, "a time such as 30s, 15m, 12h or 7d", values.age)


@dataclass(frozen=True)
class Field:
    """One thing to ask."""

    kind: Kind
    read: Read
    # Of what a percentage is a share.
    whole: Read = lambda _device, _now: None


def _vital(read: Callable[[Vitals], float | None]) -> Read:
    return lambda device, _now: read(device.vitals) if device.vitals else None


def _version(read: Callable[[Inventory], str | None]) -> Read:
    return lambda device, _now: version_key(read(device) or "")


def _runtime(name: Runtime) -> Read:
    return _version(lambda device: (device.runtimes or {}).get(name))


def _kernel(device: Inventory) -> str | None:
    words = (device.system or "").split()
    return words[1] if len(words) > 1 and words[0] == "Linux" else None


def _silent_s(device: Inventory, now: datetime) -> float | None:
    return (now - device.last_seen).total_seconds() if device.last_seen else None


FIELDS: Mapping[str, Field] = {
    "id": Field(TEXT, lambda device, _now: device.id),
    "hw": Field(TEXT, lambda device, _now: device.hardware),
    "status": Field(STATUS, lambda device, now: device.status(now)),
    "architecture": Field(TEXT, lambda device, _now: device.architecture),
    "system": Field(TEXT, lambda device, _now: device.system),
    "kernel": Field(VERSION, _version(_kernel)),
    "agent": Field(VERSION, _version(lambda device: device.agent)),
    "runtime.onnx": Field(VERSION, _runtime("onnx")),
    "runtime.litert": Field(VERSION, _runtime("litert")),
    "memory": Field(SIZE, _vital(lambda vitals: vitals.memory_bytes)),
    "free_memory": Field(SIZE_OR_SHARE, _vital(lambda vitals: vitals.free_memory_bytes), _vital(lambda vitals: vitals.memory_bytes)),
    "free_disk": Field(SIZE_OR_SHARE, _vital(lambda vitals: vitals.free_disk_bytes), _vital(lambda vitals: vitals.disk_bytes)),
    "temperature": Field(TEMPERATURE, _vital(lambda vitals: vitals.temperature_c)),
    "last_seen": Field(AGE, _silent_s),
}


def field_of(name: str) -> Field:
    """Return a field by the name that stands in a query; KeyError for one that does not exist."""
    if name.startswith(LABEL):
        key = name.removeprefix(LABEL)
        return Field(TEXT, lambda device, _now: device.labels.get(key))
    return FIELDS[name]


def found_on(field: Field, device: Inventory, now: datetime, value: Value) -> Found:
    """Return what a device has, in the form that `key_of` gives the value."""
    found = field.read(device, now)
    if not isinstance(value, Percent) or not isinstance(found, (int, float)):
        return found
    whole = field.whole(device, now)
    return 100 * found / whole if isinstance(whole, (int, float)) and whole else None


def key_of(value: Value) -> Found:
    """Return a value in comparable form."""
    match value:
        case Text(text):
            return text
        case Version(text):
            return version_key(text)
        case Size(number) | Age(number):
            return number
        case Percent(number) | Celsius(number):
            return float(number)
