"""`fieldfare device label`: shows whose labels a change means, and then makes exactly that change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer
from pydantic import BaseModel

from contracts.errors import InvalidDocumentError
from fleet.cli.client import ApiClient, connected, request
from fleet.cli.options import AsJson, Folder
from fleet.cli.output import print_json, print_table
from fleet.cli.pages import every_device
from fleet.core.labels import changed, version_of
from fleet.requests.targeting import LabelChange
from fleet.views.device_details import DeviceDetail
from fleet.views.devices import DeviceSummary
from fleet.views.targeting import LabelledView

# How many changed devices a person is shown; the rest are counted.
SHOWN = 20
# How many devices one request names; each such part is changed whole or not at all.
PART = 5000


class Change(BaseModel, frozen=True):
    """What one device's labels would become."""

    device: str
    before: dict[str, str]
    after: dict[str, str]


@dataclass(frozen=True)
class Wish:
    """What was typed: labels to set, and labels to take away."""

    put: dict[str, str]
    drop: tuple[str, ...]


def label(
    words: Annotated[list[str], typer.Argument(metavar="[DEVICE] KEY=VALUE|-KEY ...", help="Whose, without --to; what to set or remove.")],
    to: Annotated[str | None, typer.Option("--to", metavar="QUERY", help="All devices that a query means, instead of one.")] = None,
    is_dry: Annotated[bool, typer.Option("--dry-run", help="Show what would change, and change nothing.")] = False,
    is_sure: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before labels of several devices change.")] = False,
    folder: Folder = None,
    as_json: AsJson = False,
) -> None:
    """Set and remove labels. Rollouts under way keep the lists that they began with."""
    device, wish = _read(words, has_query=to is not None)
    with connected(folder) as api:
        found = every_device(api, to) if to is not None else (api.get(f"devices/{device}", DeviceDetail),)
        changes = tuple(filter(None, (_change(each, wish) for each in found)))
        if as_json and is_dry:
            print_json(changes)
        elif not as_json:
            _show(changes, len(found))
        if is_dry or (changes and to is not None and not is_sure and not _confirmed(len(changes))):
            return
        done = _send(api, changes, wish)
    if as_json:
        print_json(LabelledView(changed=done))


def _read(words: list[str], *, has_query: bool) -> tuple[str, Wish]:
    device, rest = ("", words) if has_query else (words[0], words[1:])
    put = dict(word.split("=", 1) for word in rest if "=" in word)
    drop = tuple(word[1:] for word in rest if word.startswith("-") and "=" not in word)
    has_option = any(word.startswith("--") for word in rest)
    if not rest or has_option or len(put) + len(drop) != len(rest):
        raise InvalidDocumentError("command line", "labels", "KEY=VALUE to set or -KEY to remove, each once", " ".join(rest) or "none")
    return device, Wish(put, drop)


def _change(device: DeviceSummary, wish: Wish) -> Change | None:
    after = changed(device.id, device.labels, wish.put, wish.drop)
    return None if after == device.labels else Change(device=device.id, before=device.labels, after=after)


def _show(changes: tuple[Change, ...], meant: int) -> None:
    rows = [(change.device, _text(change.before), _text(change.after)) for change in changes[:SHOWN]]
    print_table(("DEVICE", "LABELS", "BECOME"), rows, empty=_nothing(meant))
    if len(changes) > SHOWN:
        typer.echo(f"and {len(changes) - SHOWN} more")


def _nothing(meant: int) -> str:
    if not meant:
        return "the query means no device"
    return "the device has these labels already" if meant == 1 else f"{meant} devices are meant, and all have these labels already"


def _confirmed(count: int) -> bool:
    return typer.confirm(f"Change the labels of {count} devices?", err=True)


def _send(api: ApiClient, changes: tuple[Change, ...], wish: Wish) -> tuple[str, ...]:
    """Order the changes as they were shown; the server refuses them where somebody was faster."""
    done: list[str] = []
    for start in range(0, len(changes), PART):
        devices = {change.device: version_of(change.before) for change in changes[start : start + PART]}
        order = request(LabelChange, devices=devices, put=wish.put, drop=wish.drop)
        done += api.post("device-labels", order, LabelledView).changed
    return tuple(done)


def _text(labels: dict[str, str]) -> str:
    return " ".join(f"{key}={value}" for key, value in sorted(labels.items())) or "-"
