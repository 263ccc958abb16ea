"""`fieldfare release`: signs a bundle with the offline key and hands it in; lists what was released."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated

import typer

from contracts.bundle import MANIFEST, read_bundle
from contracts.manifest import Manifest
from fleet.cli.client import ApiClient, connected
from fleet.cli.options import AsJson, Folder
from fleet.cli.output import ago, print_json, print_table, size, styled
from fleet.home import Home, default_folder
from fleet.requests import NewRelease
from fleet.views import ReleaseView

app = typer.Typer(no_args_is_help=True)


@app.command()
def add(
    bundle: Annotated[Path, typer.Argument(help="A bundle's folder, as `fieldfare compile` wrote it.")],
    key: Annotated[Path | None, typer.Option(help="The release key; without it the one in the server's folder.")] = None,
    folder: Folder = None,
    as_json: AsJson = False,
) -> None:
    """Check every byte of a bundle, sign it, upload what the server lacks, and release it."""
    from fleet.release.signing import sign_release  # listing needs no cryptography

    manifest = read_bundle(bundle)
    with connected(folder) as api:
        current = api.fetch("trust/targets.json")
        signed = sign_release(current, manifest, key or Home(folder or default_folder()).release_key, datetime.now(timezone.utc))
        _upload(api, bundle, manifest)
        release = api.post("releases", NewRelease(targets=signed.decode()), ReleaseView)
    if as_json:
        print_json(release)
    else:
        typer.echo(f"released {manifest.name} {manifest.release} for {', '.join(release.targets)} ({size(release.bytes)})")


@app.command("list")
def list_releases(folder: Folder = None, as_json: AsJson = False) -> None:
    """List signed releases, newest first."""
    with connected(folder) as api:
        releases = api.get("releases", tuple[ReleaseView, ...])
    if as_json:
        print_json(releases)
        return
    rows = [
        (view.ref.model, str(view.ref.release), ", ".join(view.targets), size(view.bytes), styled(view.verdict), str(view.running_on),
         ago(view.added_at), view.ref.manifest_sha256[:12])
        for view in releases
    ]  # fmt: skip
    columns = ("MODEL", "RELEASE", "TARGETS", "SIZE", "GATE", "RUNNING ON", "ADDED", "DIGEST")
    print_table(columns, rows, empty="no releases yet; add one with: fieldfare release add BUNDLE")


def _upload(api: ApiClient, bundle: Path, manifest: Manifest) -> None:
    files = {entry.sha256: bundle / path for path, entry in manifest.files.items()}
    files[manifest.sha256] = bundle / MANIFEST
    for sha256, file in files.items():
        if not api.has(f"artifacts/{sha256}"):
            api.upload(f"artifacts/{sha256}", file)
