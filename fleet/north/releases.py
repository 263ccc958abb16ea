"""The API's part in a release: files by digest, and the signed list."""

from __future__ import annotations

from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Path, Request

from contracts.names import Sha256
from fleet.errors.releases import UnknownArtifactError
from fleet.north.pages import DEFAULT_LIMIT, Cursor, Limit, Pages
from fleet.north.ports import Services
from fleet.requests.releases import NewRelease
from fleet.views.pages import Page
from fleet.views.releases import ReleaseView

MAX_UPLOAD_BYTES = 4 << 30
# Blocks from the network are gathered to this size before a thread writes them.
WRITE_BYTES = 1 << 20

RELEASES = Pages("releases", int, int, str)

Digest = Annotated[Sha256, Path()]


def router(services: Services) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(tags=["releases"])

    @routes.get("/releases")
    def list_releases(limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None) -> Page[ReleaseView]:
        """List signed releases, newest first."""
        return RELEASES.page(services.lists.releases(limit, RELEASES.key(cursor)))

    @routes.post("/releases", status_code=201)
    def add_release(new: NewRelease) -> ReleaseView:
        """Take in a signed release, whose files were uploaded before."""
        manifest = services.releases.add(new.targets.encode(), new.team, services.now())
        return services.reader.release(manifest.name, manifest.release)

    @routes.head("/artifacts/{sha256}", status_code=204)
    def has_artifact(sha256: Digest) -> None:
        """Say whether a file is here."""
        if services.artifacts.size_of(sha256) is None:
            raise UnknownArtifactError(sha256)

    @routes.put("/artifacts/{sha256}", status_code=204)
    async def put_artifact(sha256: Digest, request: Request) -> None:
        """Take in a file under its digest."""
        await _receive(services, sha256, request)

    return routes


async def _receive(services: Services, sha256: str, request: Request) -> None:
    incoming = await to_thread.run_sync(services.artifacts.receive, sha256, MAX_UPLOAD_BYTES)
    try:
        gathered = bytearray()
        async for block in request.stream():
            gathered += block
            if len(gathered) >= WRITE_BYTES:
                await to_thread.run_sync(incoming.write, bytes(gathered))
                gathered.clear()
        await to_thread.run_sync(incoming.write, bytes(gathered))
        await to_thread.run_sync(incoming.finish)
    finally:
        incoming.discard()
