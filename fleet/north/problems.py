"""Turns errors into problem documents (RFC 9457), with the same one line that a terminal would show."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from contracts.errors import FieldfareError, TooLargeError
from fleet import enrolment_errors, errors, rollout_errors, targeting_errors
from fleet.simulate.errors import NoSimulationError

STATUS_BY_ERROR: dict[type[FieldfareError], HTTPStatus] = {
    errors.UnknownDeviceError: HTTPStatus.NOT_FOUND,
    errors.UnknownRolloutError: HTTPStatus.NOT_FOUND,
    errors.UnknownCommandError: HTTPStatus.NOT_FOUND,
    errors.TooManyCommandsError: HTTPStatus.CONFLICT,
    targeting_errors.UnknownGroupError: HTTPStatus.NOT_FOUND,
    targeting_errors.StaleVersionError: HTTPStatus.PRECONDITION_FAILED,
    errors.UnknownReleaseError: HTTPStatus.NOT_FOUND,
    errors.UnknownArtifactError: HTTPStatus.NOT_FOUND,
    errors.UnknownTrustFileError: HTTPStatus.NOT_FOUND,
    errors.DeviceExistsError: HTTPStatus.CONFLICT,
    errors.RolloutRunningError: HTTPStatus.CONFLICT,
    errors.CounterDoesNotGrowError: HTTPStatus.CONFLICT,
    errors.UntrustedChangeError: HTTPStatus.CONFLICT,
    errors.UnauthorizedError: HTTPStatus.UNAUTHORIZED,
    enrolment_errors.ForbiddenError: HTTPStatus.FORBIDDEN,
    enrolment_errors.EnrolmentTokenError: HTTPStatus.FORBIDDEN,
    enrolment_errors.TokenExistsError: HTTPStatus.CONFLICT,
    enrolment_errors.UnknownTokenNameError: HTTPStatus.NOT_FOUND,
    rollout_errors.RolloutStateError: HTTPStatus.CONFLICT,
    rollout_errors.ApprovalError: HTTPStatus.FORBIDDEN,
    NoSimulationError: HTTPStatus.CONFLICT,
    errors.StoreError: HTTPStatus.INTERNAL_SERVER_ERROR,
    TooLargeError: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
}
BAD_INPUT = HTTPStatus.UNPROCESSABLE_ENTITY


def install(app: FastAPI) -> None:
    """Make every error of the app a problem document."""
    app.add_exception_handler(FieldfareError, _of_fieldfare)
    app.add_exception_handler(RequestValidationError, _of_validation)
    app.add_exception_handler(HTTPException, _of_http)


def problem(status: HTTPStatus, detail: str) -> JSONResponse:
    """Return a problem document."""
    headers = {"WWW-Authenticate": "Bearer"} if status is HTTPStatus.UNAUTHORIZED else None
    body = {"type": "about:blank", "title": status.phrase, "status": status.value, "detail": detail}
    return JSONResponse(body, status.value, headers, media_type="application/problem+json")


async def _of_fieldfare(_request: Request, error: Exception) -> Response:
    assert isinstance(error, FieldfareError)
    return problem(STATUS_BY_ERROR.get(type(error), BAD_INPUT), str(error))


async def _of_validation(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    return problem(BAD_INPUT, f"{'.'.join(map(str, first['loc']))}: expected {first['msg']}, found {first.get('input')!r:.80}")


async def _of_http(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return problem(HTTPStatus(error.status_code), str(error.detail))
