"""Turns errors into problem documents (RFC 9457), with the same one line that a terminal would show."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from contracts.codec import expectation_of
from contracts.errors import FieldfareError, TooLargeError
from fleet.errors import client, devices, enrolment, people, releases, repeats, rollouts, server, simulation, store, targeting
from fleet.errors import keys as trust

STATUS_BY_ERROR: dict[type[FieldfareError], HTTPStatus] = {
    devices.UnknownDeviceError: HTTPStatus.NOT_FOUND,
    rollouts.UnknownRolloutError: HTTPStatus.NOT_FOUND,
    devices.UnknownCommandError: HTTPStatus.NOT_FOUND,
    devices.TooManyCommandsError: HTTPStatus.CONFLICT,
    targeting.UnknownGroupError: HTTPStatus.NOT_FOUND,
    targeting.StaleVersionError: HTTPStatus.PRECONDITION_FAILED,
    releases.UnknownReleaseError: HTTPStatus.NOT_FOUND,
    releases.UnknownArtifactError: HTTPStatus.NOT_FOUND,
    releases.UnknownTrustFileError: HTTPStatus.NOT_FOUND,
    devices.DeviceExistsError: HTTPStatus.CONFLICT,
    server.SuccessionError: HTTPStatus.CONFLICT,
    server.NoSuccessionError: HTTPStatus.CONFLICT,
    server.DependentsError: HTTPStatus.CONFLICT,
    rollouts.RolloutRunningError: HTTPStatus.CONFLICT,
    releases.CounterDoesNotGrowError: HTTPStatus.CONFLICT,
    trust.UntrustedChangeError: HTTPStatus.CONFLICT,
    client.UnauthorizedError: HTTPStatus.UNAUTHORIZED,
    enrolment.ForbiddenError: HTTPStatus.FORBIDDEN,
    enrolment.EnrolmentTokenError: HTTPStatus.FORBIDDEN,
    enrolment.TokenExistsError: HTTPStatus.CONFLICT,
    enrolment.UnknownTokenNameError: HTTPStatus.NOT_FOUND,
    rollouts.RolloutStateError: HTTPStatus.CONFLICT,
    rollouts.ApprovalError: HTTPStatus.FORBIDDEN,
    people.PersonExistsError: HTTPStatus.CONFLICT,
    people.UnknownPersonError: HTTPStatus.NOT_FOUND,
    people.TooBusyError: HTTPStatus.SERVICE_UNAVAILABLE,
    simulation.NoSimulationError: HTTPStatus.CONFLICT,
    store.StoreError: HTTPStatus.INTERNAL_SERVER_ERROR,
    store.DatabaseAwayError: HTTPStatus.SERVICE_UNAVAILABLE,
    repeats.KeyReusedError: HTTPStatus.UNPROCESSABLE_ENTITY,
    repeats.KeyBusyError: HTTPStatus.CONFLICT,
    repeats.TooManyKeysError: HTTPStatus.CONFLICT,
    store.UnsealableError: HTTPStatus.INTERNAL_SERVER_ERROR,
    TooLargeError: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
}
PROBLEM_TYPE = "application/problem+json"
BAD_INPUT = HTTPStatus.UNPROCESSABLE_ENTITY


def install(app: FastAPI) -> None:
    """Make every error of the app a problem document."""
    app.add_exception_handler(FieldfareError, _of_fieldfare)
    app.add_exception_handler(RequestValidationError, _of_validation)
    app.add_exception_handler(HTTPException, _of_http)
    app.add_exception_handler(Exception, _of_bug)


class Problem(BaseModel, frozen=True):
    """Why a request was not carried out (RFC 9457)."""

    # `about:blank`: the status says what kind of problem it is.
    type: str
    # The status in words.
    title: str
    status: int
    # The thing, what was expected, what was found and what to do, in one line for people.
    detail: str


def problem(status: HTTPStatus, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """Return a problem document."""
    more = {"WWW-Authenticate": "Bearer"} if status is HTTPStatus.UNAUTHORIZED else {}
    body = Problem(type="about:blank", title=status.phrase, status=status.value, detail=detail).model_dump_json()
    return Response(body, status.value, {**(headers or {}), **more}, media_type=PROBLEM_TYPE)


def problem_of(error: FieldfareError) -> Response:
    """Return the problem document of an error."""
    return problem(STATUS_BY_ERROR.get(type(error), BAD_INPUT), str(error))


async def _of_fieldfare(_request: Request, error: Exception) -> Response:
    assert isinstance(error, FieldfareError)
    return problem_of(error)


async def _of_bug(_request: Request, _error: Exception) -> Response:
    """Say nothing of what was not foreseen; the server logs it."""
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "expected an answer, found a fault of the server; its log tells more")


async def _of_validation(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    expected = expectation_of(first["type"], first["msg"])
    return problem(BAD_INPUT, f"{'.'.join(map(str, first['loc']))}: expected {expected}, found {first.get('input')!r:.80}")


async def _of_http(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return problem(HTTPStatus(error.status_code), str(error.detail), error.headers)
