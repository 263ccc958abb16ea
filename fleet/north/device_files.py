"""Files for devices over HTTPS: one range at a time, to whoever shows a device's own certificate."""

from __future__ import annotations

import re
from collections.abc import Iterator
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, HTTPException, Path, Response
from fastapi.responses import RedirectResponse, StreamingResponse

from contracts.chunks import ARTIFACTS_PATH
from contracts.names import Sha256
from fleet.errors.releases import UnknownArtifactError
from fleet.north.peer import device_check
from fleet.north.ports import Services

READ_BYTES = 1 << 20
# Who reads longer than this asks for another link.
LINK_LIFE_S = 3600
OTHERWISE: dict[int | str, dict[str, Any]] = {307: {"description": "A link"}}
_RANGE = re.compile(r"bytes=([0-9]{1,15})-([0-9]{1,15})?")


class Bytes(Response):
    """A part of a file."""

    media_type = "application/octet-stream"


def router(services: Services) -> APIRouter:
    """Return the routes."""

    routes = APIRouter(tags=["files"], dependencies=[Depends(device_check(services.devices, services.now))])

    @routes.get(f"{ARTIFACTS_PATH}/{{sha256}}", status_code=206, response_class=Bytes, responses=OTHERWISE)
    def get_file(sha256: Annotated[Sha256, Path()], wanted: Annotated[str, Header(alias="Range", max_length=64)] = "bytes=0-") -> Response:
        """Return one range of a file, or a link to it in a store of files."""
        size = services.artifacts.size_of(sha256)
        if size is None:
            raise UnknownArtifactError(sha256)
        link = services.artifacts.link(sha256, LINK_LIFE_S)
        if link is not None:  # the store serves it better than we do
            return RedirectResponse(link, 307)
        match = _RANGE.fullmatch(wanted)
        start, last = (int(match[1]), min(int(match[2] or size), size - 1)) if match else (size, size)
        if not start <= last < size:
            detail = f"file {sha256}: expected a range within {size} bytes, found {wanted}"
            raise HTTPException(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, detail, {"Content-Range": f"bytes */{size}"})
        headers = {"Content-Range": f"bytes {start}-{last}/{size}", "Content-Length": str(last - start + 1), "Accept-Ranges": "bytes"}
        return StreamingResponse(_part(services, sha256, start, last + 1), 206, headers, media_type="application/octet-stream")

    return routes


def _part(services: Services, sha256: str, start: int, stop: int) -> Iterator[bytes]:
    for at in range(start, stop, READ_BYTES):
        yield services.artifacts.read(sha256, at, min(READ_BYTES, stop - at))
