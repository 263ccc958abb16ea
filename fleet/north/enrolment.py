"""The API's part in enrolment: the two routes that a machine needs before it is a device, and those by which admins let in and turn out."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Response

from contracts.enrolment import CA_PATH, ENROL_PATH, Enrolled, EnrolmentRequest
from contracts.names import DeviceId
from fleet.core.enrolment import Grant
from fleet.core.roles import Caller
from fleet.north.auth import caller_of
from fleet.north.ports import Services
from fleet.requests import GivenToken, NewEnrolmentToken


def open_router(services: Services) -> APIRouter:
    """Return the routes that ask for no API token: who enrols shows his one-time token instead."""
    routes = APIRouter()
    addresses = services.addresses

    @routes.get(CA_PATH)
    def authority() -> Response:
        return Response(addresses.authority, media_type="application/x-pem-file")

    @routes.post(ENROL_PATH, status_code=201)
    def enrol(request: EnrolmentRequest) -> Enrolled:
        device, issued = services.enrolment.enrol(request.secret, request.device, request.csr, services.now())
        return Enrolled(
            device=device.id,
            hardware=device.hardware,
            labels=dict(device.labels),
            certificate=issued.pem,
            broker_host=addresses.broker_host,
            broker_port=addresses.broker_port,
            root=services.trust.read("root.json").decode(),
        )

    return routes


def router(services: Services) -> APIRouter:
    """Return the routes for admins."""
    routes = APIRouter()

    @routes.post("/enrolment-tokens", status_code=201)
    def give_token(new: NewEnrolmentToken) -> GivenToken:
        expires_at = services.now() + timedelta(seconds=new.life_s)
        token = services.enrolment.give_token(Grant(new.device, new.hardware, new.labels, new.uses, expires_at))
        return GivenToken(token=str(token), expires_at=expires_at)

    @routes.post("/devices/{device}/revocation", status_code=204)
    def revoke(device: Annotated[DeviceId, Path()]) -> None:
        services.enrolment.revoke(device, services.now())

    @routes.delete("/devices/{device}", status_code=204)
    def remove(device: Annotated[DeviceId, Path()], caller: Annotated[Caller, Depends(caller_of)], keep_history: bool = False) -> None:
        services.enrolment.remove(device, caller.name, services.now(), keeps_history=keep_history)

    return routes
