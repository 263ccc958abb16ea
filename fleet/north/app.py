"""The REST API: which routes there are, and that all but three ask for a token, or of a device for its certificate."""

from __future__ import annotations

from functools import cache
from http import HTTPStatus

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request, Response

from contracts.codec import canonical
from fleet.core.roles import methods_at
from fleet.north import (
    audit,
    authority,
    commands,
    configurations,
    device_files,
    devices,
    enrolment,
    groups,
    health,
    problems,
    releases,
    rollouts,
    simulation,
    tokens,
    trust,
    users,
)
from fleet.north.auth import bearer_check
from fleet.north.body_limit import BodyLimit
from fleet.north.document import ABOUT, described
from fleet.north.etags import Etags
from fleet.north.ports import Services
from fleet.north.repeats import Repeats
from fleet.north.trail import AuditTrail

PREFIX = "/api/v1"
PARTS = (authority, audit, commands, configurations, devices, enrolment, groups, releases, rollouts, simulation, tokens, trust, users)
METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE")


def build_app(services: Services) -> FastAPI:
    """Return the application."""
    app = FastAPI(
        title="fieldfare fleet",
        version="1",
        description=ABOUT,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=lambda route: route.name,
        separate_input_output_schemas=False,
    )
    problems.install(app)
    # The innermost: what others do before a request is let through, or answer in its place, is no act.
    app.add_middleware(AuditTrail, prefix=PREFIX, log=services.audit, now=services.now)
    app.add_middleware(BodyLimit)
    app.add_middleware(Repeats, services.access, services.repeats, services.now)
    app.add_middleware(Etags)

    @cache
    def document() -> bytes:
        """Make it when it is first asked for: it takes as long as all the rest of the application."""
        return canonical(described(app.openapi(), PREFIX))

    guarded = APIRouter(prefix=PREFIX, dependencies=[Depends(bearer_check(services.access, PREFIX, services.now))])
    for part in PARTS:
        guarded.include_router(part.router(services))

    @guarded.get("/openapi.json", include_in_schema=False)
    def openapi() -> Response:
        return Response(document(), media_type="application/json")

    @guarded.api_route("/{path:path}", methods=list(METHODS), include_in_schema=False)
    def nothing(path: str, request: Request) -> None:
        allowed = methods_at(f"/{path}")
        if allowed:
            detail = f"{PREFIX}/{path}: expected {' or '.join(allowed)}, found {request.method}"
            raise HTTPException(HTTPStatus.METHOD_NOT_ALLOWED, detail, {"Allow": ", ".join(allowed)})
        raise HTTPException(HTTPStatus.NOT_FOUND, f"{PREFIX}/{path}: expected a route of the API, found none")

    app.include_router(health.router(services))
    app.include_router(enrolment.open_router(services))
    app.include_router(guarded)
    app.include_router(device_files.router(services))
    return app
