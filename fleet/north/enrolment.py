"""The API's part in enrolment: the two routes that a machine needs before it is a device, and those by which admins let in and turn out."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Response

from contracts.enrolment import CA_PATH, ENROL_PATH, Enrolled, EnrolmentRequest
from contracts.names import DeviceId
from fleet.acting import MACHINE, introduce
from fleet.core.enrolment import Grant
from fleet.core.roles import Caller
from fleet.north.auth import caller_of
from fleet.north.ports import Services
from fleet.requests.enrolment import GivenToken, NewEnrolmentToken


class Pem(Response):
    """A certificate."""

    media_type = "application/x-pem-file"


def open_router(services: Services) -> APIRouter:
    """Return the routes that ask for no API token: who enrols shows his one-time token instead."""
    routes = APIRouter(tags=["enrolment"])
    addresses = services.addresses

    @routes.get(CA_PATH, response_class=Pem)
    def get_authority() -> Response:
        """Return the certificate of the fleet's authority, in PEM."""
        return Pem(addresses.authority)

    @routes.post(ENROL_PATH, status_code=201)
    def enrol(request: EnrolmentRequest) -> Enrolled:
        """Let a machine in that shows a one-time token: sign its certificate."""
        introduce(MACHINE, "")
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
    routes = APIRouter(tags=["enrolment"])

    @routes.post("/enrolment-tokens", status_code=201)
    def give_enrolment_token(new: NewEnrolmentToken) -> GivenToken:
        """Make a token by which machines become devices; it is told this once."""
        expires_at = services.now() + timedelta(seconds=new.life_s)
        token = services.enrolment.give_token(Grant(new.device, new.hardware, new.labels, new.uses, expires_at))
        return GivenToken(token=str(token), expires_at=expires_at)

    @routes.post("/devices/{device}/revocation", status_code=204)
    def revoke_device(device: Annotated[DeviceId, Path()]) -> None:
        """Turn a device out at once: its certificates are void, its connections end."""
        services.enrolment.revoke(device, services.now())

    @routes.delete("/devices/{device}", status_code=204)
    def remove_device(
        device: Annotated[DeviceId, Path()], caller: Annotated[Caller, Depends(caller_of)], keep_history: bool = False
    ) -> None:
        """Turn a device out at once and forget it, with its history unless that is kept."""
        services.enrolment.remove(device, caller.name, services.now(), keeps_history=keep_history)

    return routes
