"""Decides how messages of a series become rows, in the order of their tables' columns."""

from __future__ import annotations

import msgspec
from pydantic import BaseModel

from contracts.messages import DeviceEvent, Health, InferenceWindow
from contracts.shadow import ShadowPart
from fleet.store.bulk_rows import Row


def health_row(device: str, health: Health, at: int) -> Row:
    """Return a row of `health_points`."""
    disk_used = health.disk_total_bytes - health.disk_free_bytes
    return (
        device,
        health.session,
        health.sequence,
        at,
        health.cpu_percent,
        100 * health.memory_used_bytes / max(health.memory_total_bytes, 1),
        100 * disk_used / max(health.disk_total_bytes, 1),
        health.temperature_c,
    )


def window_row(device: str, window: InferenceWindow, at: int) -> Row:
    """Return a row of `inference_windows`."""
    release, latency = window.release, window.latency_ms
    return (
        device,
        window.session,
        window.sequence,
        at,
        release.model,
        release.release,
        window.window_s,
        window.requests,
        window.errors,
        latency.p50,
        latency.p95,
        _text_of(window.classes),
        without_nul(window.provider),
        release.manifest_sha256,
        None if window.latencies is None else _text_of(window.latencies),
        window.ordinal,
        window.parts,
        None if window.confidences is None else _text_of(window.confidences),
    )


def shadow_row(device: str, window: InferenceWindow, part: ShadowPart, at: int) -> Row:
    """Return a row of `shadow_windows`, for a window that tells of a candidate."""
    return (
        device,
        window.session,
        window.sequence,
        at,
        window.release.model,
        part.manifest_sha256,
        part.compared,
        part.agreed,
        part.errors,
        part.dropped,
        part.scored,
        part.paused_s,
        part.shift,
        part.shift_squares,
        _text_of(part.latencies),
        _text_of(part.live_latencies),
    )


def event_row(device: str, event: DeviceEvent, at: int) -> Row:
    """Return a row of `events`."""
    return (
        device,
        event.session,
        event.sequence,
        at,
        event.kind,
        event.severity,
        event.model,
        without_nul(event.text),
        _text_of(event.facts),
    )


def without_nul(text: str) -> str:
    """Return a text that both databases take: PostgreSQL keeps every character but this one."""
    return text.replace("\0", "\ufffd")


def _fields_of(value: object) -> object:
    assert isinstance(value, BaseModel), "documents are models, or records of their fields"
    return value.model_dump()


_encode = msgspec.json.Encoder(enc_hook=_fields_of).encode


def _text_of(document: object) -> str:
    return _encode(document).decode()
