"""How `fieldfare rollout start --dry-run` looks: what each artifact would reach, and why others get none."""

from __future__ import annotations

from collections.abc import Iterable

import typer

from fleet.cli.output import print_table, size
from fleet.views import ExcludedView, RolloutPreview, TargetView

EXAMPLES = 3


def show(preview: RolloutPreview) -> None:
    """Print a preview: devices by artifact, then those left out by reason."""
    release = preview.release
    typer.echo(f"{release.model} {release.release} to {preview.query}: {len(preview.chosen)} devices would get it; nothing was changed\n")
    by_target: dict[str, list[TargetView]] = {}
    for chosen in preview.chosen:
        by_target.setdefault(chosen.target, []).append(chosen)
    rows = [_row(target, devices) for target, devices in sorted(by_target.items())]
    columns = ("ARTIFACT", "DEVICES", "DOWNLOAD", "DELTA POSSIBLE", "UNCHECKED", "SUCH AS")
    print_table(columns, rows, empty="no device would get it")
    if preview.excluded:
        typer.echo()
        print_table(("LEFT OUT FOR", "DEVICES", "SUCH AS", "BECAUSE"), _left_out(preview.excluded), empty="")


def _row(target: str, devices: list[TargetView]) -> tuple[str, ...]:
    unchecked = sum(bool(device.unknown) for device in devices)
    return (
        target,
        str(len(devices)),
        size(sum(device.download_bytes for device in devices)),
        str(sum(device.has_base for device in devices)),
        str(unchecked) if unchecked else "-",
        _examples(device.device for device in devices),
    )


def _left_out(excluded: tuple[ExcludedView, ...]) -> list[tuple[str, ...]]:
    by_obstacle: dict[str, list[ExcludedView]] = {}
    for device in excluded:
        by_obstacle.setdefault(device.obstacle, []).append(device)
    return [
        (obstacle, str(len(devices)), _examples(device.device for device in devices), devices[0].reason)
        for obstacle, devices in sorted(by_obstacle.items())
    ]


def _examples(devices: Iterable[str]) -> str:
    names = list(devices)
    return ", ".join(names[:EXAMPLES]) + (", ..." if len(names) > EXAMPLES else "")
