"""The routes that balancers and whoever keeps the server alive ask, without a token."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter, HTTPException

from fleet.errors.store import StoreError
from fleet.north.ports import Services


def router(services: Services) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(tags=["server"])

    @routes.get("/healthz")
    def get_health_of_server() -> dict[str, str]:
        """Say that the server lives."""
        return {"status": "ok"}

    @routes.get("/readyz")
    def get_readiness_of_server() -> dict[str, str]:
        """Say to a balancer in front whether requests belong here now."""
        try:
            services.probe()
        except StoreError as error:
            raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, "the database does not answer") from error
        return {"status": "ok"}

    return routes
