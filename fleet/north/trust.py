"""The API's part in trust: the files that devices verify, and other keys in the place of those that they name."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Response

from contracts.topics import of_trust_file, parse_trust_file
from fleet.errors.releases import UnknownTrustFileError
from fleet.north.ports import Services
from fleet.requests.releases import OnlineKey, TrustChange, TrustVersions


def router(services: Services) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(tags=["trust"])

    @routes.get("/trust/{name}")
    def get_trust_file(name: Annotated[str, Path(max_length=96)]) -> Response:
        """Return a file of the TUF repository, without a version its newest one."""
        if parse_trust_file(of_trust_file(name)) is None:
            raise UnknownTrustFileError(name)
        return Response(services.trust.read(name), media_type="application/json")

    @routes.post("/trust", status_code=201)
    def change_trust(change: TrustChange) -> TrustVersions:
        """Put other keys in the place of some, signed by enough of the offline ones."""
        return services.trust_desk.change(change, services.now())

    @routes.post("/online-keys/{role}", status_code=201)
    def make_online_key(role: Literal["snapshot", "timestamp", "director"]) -> OnlineKey:
        """Make the server's next key of a role, and return its public half."""
        return services.trust_desk.new_key(role)

    return routes
