"""How `fieldfare rollout start --dry-run` looks: what each artifact would reach, and why others get none; whole for programs."""

from __future__ import annotations

import typer

from fleet.cli.client import ApiClient
from fleet.cli.output import print_table, size
from fleet.cli.pages import every
from fleet.requests.rollouts import NewRollout
from fleet.views.targeting import ArtifactPreview, ExcludedView, RolloutPreview, TargetView, WholePreview


def foreseen(api: ApiClient, new: NewRollout) -> RolloutPreview:
    """Ask what a rollout would do."""
    return api.ask("rollouts/preview", new, RolloutPreview)


def whole(api: ApiClient, new: NewRollout) -> WholePreview:
    """Ask what a rollout would do to each device."""
    preview = foreseen(api, new)
    return WholePreview(
        release=preview.release,
        query=preview.query,
        chosen=every(api, "rollouts/preview/chosen", TargetView, question=new),
        excluded=every(api, "rollouts/preview/excluded", ExcludedView, question=new),
    )


def show(preview: RolloutPreview) -> None:
    """Print a preview: devices by artifact, then those left out by reason."""
    release = preview.release
    typer.echo(f"{release.model} {release.release} to {preview.query}: {preview.chosen} devices would get it; nothing was changed\n")
    columns = ("ARTIFACT", "DEVICES", "DOWNLOAD", "DELTA POSSIBLE", "UNCHECKED", "SUCH AS")
    print_table(columns, map(_row, preview.artifacts), empty="no device would get it")
    if preview.obstacles:
        typer.echo()
        rows = [(one.obstacle, str(one.devices), _examples(one.such_as, one.devices), one.reason) for one in preview.obstacles]
        print_table(("LEFT OUT FOR", "DEVICES", "SUCH AS", "BECAUSE"), rows, empty="")


def _row(artifact: ArtifactPreview) -> tuple[str, ...]:
    return (
        artifact.target,
        str(artifact.devices),
        size(artifact.download_bytes),
        str(artifact.has_base),
        str(artifact.unchecked or "-"),
        _examples(artifact.such_as, artifact.devices),
    )


def _examples(names: tuple[str, ...], devices: int) -> str:
    return ", ".join(names) + (", ..." if devices > len(names) else "")
