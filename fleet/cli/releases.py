"""`fieldfare release`: signs a bundle with an offline key and hands it in; lists what was released."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated

import typer

from contracts.bundle import MANIFEST, read_bundle
from contracts.manifest import Manifest
from contracts.trust import ReleaseSources
from fleet.cli.client import ApiClient, connected, request
from fleet.cli.options import DEFAULT_PENDING, AsJson, Folder, KeysToSignWith, PendingFile
from fleet.cli.output import ago, print_json, print_table, size, styled
from fleet.cli.pages import every
from fleet.cli.passphrases import PassphraseFd, PassphraseFile, asker
from fleet.home import Home, default_folder
from fleet.views.releases import ReleaseView

app = typer.Typer(name="release", no_args_is_help=True, help="Sign and list releases.")


@app.command()
def add(
    bundle: Annotated[Path, typer.Argument(help="A bundle's folder, as `fieldfare compile` wrote it.")],
    key: KeysToSignWith = None,
    source: Annotated[
        list[str] | None,
        typer.Option(metavar="URL", help="https:// server that holds its files by digest, for devices that allow its host."),
    ] = None,
    pending: PendingFile = DEFAULT_PENDING,
    folder: Folder = None,
    as_json: AsJson = False,
    passphrase_file: PassphraseFile = None,
    passphrase_fd: PassphraseFd = None,
) -> None:
    """Check every byte of a bundle, sign it with the release key or its team's, upload what the server lacks, and release it."""
    from fleet.cli import pending_file  # listing needs no cryptography
    from fleet.release.pending import missing
    from fleet.release.signing import sign_release

    sources = request(ReleaseSources, sources=tuple(source or ()))
    pending_file.check_free(pending)
    manifest = read_bundle(bundle)
    default = Home(folder or default_folder()).release_key
    with connected(folder) as api:
        signers = pending_file.open_keys(key, default, asker(passphrase_file, passphrase_fd))
        published = pending_file.fetch_published(api, manifest.name)
        change = sign_release(published, manifest, signers, datetime.now(timezone.utc), sources)
        _upload(api, bundle, manifest)
        if missing(change):
            pending_file.write_pending(change, pending)
            pending_file.say_what_lacks(change, pending)
            return
        assert change.release is not None
        release = api.post("releases", change.release, ReleaseView)
    if as_json:
        print_json(release)
    else:
        typer.echo(f"released {manifest.name} {manifest.release} for {', '.join(release.targets)} ({size(release.bytes)})")


@app.command("list")
def list_releases(folder: Folder = None, as_json: AsJson = False) -> None:
    """List signed releases, newest first."""
    with connected(folder) as api:
        releases = every(api, "releases", ReleaseView)
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
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    files = {entry.sha256: bundle / path for path, entry in manifest.files.items()}
    files[manifest.sha256] = bundle / MANIFEST
    columns = (TextColumn("upload {task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        for sha256, file in files.items():
            if not api.has(f"artifacts/{sha256}"):
                with progress.open(file, "rb", description=file.name) as stream:
                    api.upload(f"artifacts/{sha256}", stream)
