"""The page of whoever is signed in: who that is and may do what, and a form that changes the own password."""

from __future__ import annotations

from functools import partial

from fastapi import FastAPI
from nicegui import ui
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from fleet.core.roles import Caller, Role
from fleet.dashboard.guard import address_of, signed_in
from fleet.dashboard.parts import facts, heading, panel
from fleet.dashboard.posted import PASSWORD_CHARS, posted
from fleet.dashboard.session import Login, Sessions, read_login, write_login
from fleet.dashboard.theme import ACCOUNT, FIRST_ANSWER_S, STATIC, Frame
from fleet.dashboard.way_in import NOT_KEPT, WayIn
from fleet.errors.people import LoginRefusedError, PasswordError, TooBusyError, TooManyLoginsError

CHANGE = f"{ACCOUNT}/password"
FIELDS = dict.fromkeys(("old", "new", "again"), PASSWORD_CHARS)
DONE = "changed"
# What the page says afterwards, by a word in its address: nobody else's text can be put there.
SAID = {
    DONE: "Your password was changed. Whoever else was signed in by your name is signed out.",
    "wrong": "The old password is not the one that is kept. Nothing was changed.",
    "unequal": "The new password was not typed the same way twice. Nothing was changed.",
    "unfit": "A new password has at least 12 characters, and at most 1024 bytes. Nothing was changed.",
    "wait": "Too many attempts failed. Wait a minute, then try again.",
    "busy": "Too many others are signing in just now. Try again in a moment.",
    "large": "This is no form that was filled in here.",
}
MAY = {
    Role.VIEWER: "look at everything but the audit log and what devices sent by command",
    Role.OPERATOR: "look; bring releases to devices, label and set them, and send them commands",
    Role.ADMIN: "all of that; decide who and what is trusted, ask for pictures, and read the audit log",
}
CAME = {
    "user": "name and password",
    "openid": "the word of your organisation",
    "token": "a link that the server gave to the API token of that name",
}
NO_PASSWORD = {
    "openid": "Your organisation keeps it; change it there.",
    "token": "There is none. The link's token belongs to a program or to the server's owner; `fieldfare user add` gives people passwords.",
}


def register(frame: Frame) -> None:
    """Add the page."""
    form = (STATIC / "password.html").read_text()

    @ui.page(ACCOUNT, response_timeout=FIRST_ANSWER_S)
    async def account_page(request: Request, said: str = "") -> None:
        caller = signed_in(request)
        async with frame.page(request, "Your account", under=ACCOUNT):
            heading("Your account", 1)
            if said in SAID:
                tone = "ff-good" if said == DONE else "ff-bad"
                with ui.element("div").classes(f"ff-note {tone}").props("role=status" if said == DONE else "role=alert"):
                    ui.label(SAID[said])
            with ui.element("div").classes("ff-columns"):
                _draw_caller(caller)
                with panel("Password"):
                    if caller.kind in NO_PASSWORD:
                        ui.label(NO_PASSWORD[caller.kind])
                    else:
                        ui.html(form, sanitize=False)


def _draw_caller(caller: Caller) -> None:
    with panel("You"):
        facts([("Name", caller.name), ("Role", caller.role.word), ("May", MAY[caller.role]), ("Signed in by", CAME.get(caller.kind, ""))])


class OwnPassword:
    """Takes the form: the browser that sent it stays signed in, by another key."""

    def __init__(self, sessions: Sessions, way_in: WayIn) -> None:
        """Compute in `way_in`'s turn, so that a flood of either costs no more."""
        self._sessions = sessions
        self._way_in = way_in

    def add_to(self, pages: FastAPI) -> None:
        """Add the route."""
        pages.post(CHANGE, include_in_schema=False)(self.change)

    async def change(self, request: Request) -> Response:
        """Change the password, and lead back to the page, which says what came of it."""
        form, login = await posted(request, FIELDS), read_login(request.session)
        if form is None or login is None:
            return _back("large")
        if form["new"] != form["again"]:
            return _back("unequal")
        changing = partial(self._sessions.desk.change_password, login.key, form["old"], form["new"], address_of(request.client))
        try:
            key = await self._way_in.in_turn(changing)
        except LoginRefusedError:
            return _back("wrong")
        except PasswordError:
            return _back("unfit")
        except TooManyLoginsError:
            return _back("wait")
        except TooBusyError:
            return _back("busy")
        write_login(request.session, Login(key))
        return _back(DONE)


def _back(said: str) -> Response:
    return RedirectResponse(f"{ACCOUNT}?said={said}", status_code=303, headers=NOT_KEPT)
