"""The REST API: which routes there are, and that all but three ask for a token, or of a device for its certificate."""

from __future__ import annotations

import secrets
from datetime import timedelta
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse, Response

from fleet.core.roles import CODE_MARK
from fleet.errors.store import StoreError
from fleet.north import (
    commands,
    configurations,
    device_files,
    devices,
    enrolment,
    groups,
    problems,
    releases,
    rollouts,
    simulation,
    tokens,
    trust,
)
from fleet.north.auth import bearer_check, caller_of
from fleet.north.body_limit import BodyLimit
from fleet.north.ports import Services
from fleet.requests import LoginLink

PREFIX = "/api/v1"
LOGIN_LINK_LIFE = timedelta(hours=1)


def build_app(services: Services) -> FastAPI:
    """Return the application."""
    app = FastAPI(title="fieldfare fleet", version="1", openapi_url=None, docs_url=None, redoc_url=None)
    problems.install(app)
    app.add_middleware(BodyLimit)
    guarded = APIRouter(prefix=PREFIX, dependencies=[Depends(bearer_check(services.access, PREFIX, services.now))])
    for part in (commands, configurations, devices, enrolment, groups, releases, rollouts, simulation, tokens, trust):
        guarded.include_router(part.router(services))

    @app.get("/healthz")
    def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/readyz")
    def readyz() -> Response:
        """Say to a balancer in front whether requests belong here now."""
        try:
            services.probe()
        except StoreError:
            return problems.problem(HTTPStatus.SERVICE_UNAVAILABLE, "the database does not answer")
        return JSONResponse({"status": "ok"})

    @guarded.post("/login-links", status_code=201)
    def login_link(request: Request) -> LoginLink:
        code, now = f"{secrets.token_urlsafe(32)}{CODE_MARK}{caller_of(request).name}", services.now()
        services.access.add_code(code, now + LOGIN_LINK_LIFE, now)
        url = services.addresses.public_url if request.url.scheme == "https" else services.addresses.url
        return LoginLink(url=f"{url}/login?code={code}", expires_at=now + LOGIN_LINK_LIFE)

    @guarded.get("/openapi.json", include_in_schema=False)
    def openapi() -> dict[str, Any]:
        return app.openapi()

    @guarded.api_route("/{path:path}", methods=["GET", "POST", "PUT", "DELETE"], include_in_schema=False)
    def nothing(path: str) -> None:
        raise HTTPException(HTTPStatus.NOT_FOUND, f"{PREFIX}/{path}: expected a route of the API, found none")

    app.include_router(enrolment.open_router(services))
    app.include_router(guarded)
    app.include_router(device_files.router(services))
    return app
