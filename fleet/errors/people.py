"""Why a person does not get in, or is not what somebody asked for."""

from __future__ import annotations

from fleet.errors import FleetError


class PasswordError(FleetError):
    """A password that is none; it is never repeated."""

    def __init__(self, expected: str, found: str) -> None:
        super().__init__(f"password: expected {expected}, found {found}; choose another")


class NowhereToAskError(FleetError):
    """A password is wanted, and nobody can type one."""

    def __init__(self) -> None:
        super().__init__("password: expected a terminal to ask at, found none; give it by --password-file FILE, or - for standard input")


class PersonExistsError(FleetError):
    """A person's name is taken."""

    def __init__(self, name: str) -> None:
        super().__init__(f"user {name}: expected a new name, found one that exists; change it with `fieldfare user password` or `role`")


class UnknownPersonError(FleetError):
    """Nobody goes by that name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"user {name}: expected a user of this fleet, found none; `fieldfare user list` lists them")


class LoginRefusedError(FleetError):
    """A name and a password that do not open anything; which of them is wrong is not said."""

    def __init__(self) -> None:
        super().__init__("login: expected a name and its password, found one that does not fit the other; try again")


class TooManyLoginsError(FleetError):
    """Too many attempts failed from this address, or for this name."""

    def __init__(self, wait_s: int) -> None:
        super().__init__(f"login: expected fewer failed attempts, found too many; wait {wait_s} s, or ask the server for a link")
        self.wait_s = wait_s


class TooBusyError(FleetError):
    """Others are waiting for the same."""

    exit_status = 3

    def __init__(self) -> None:
        super().__init__("login: expected its turn, found too many others waiting; try again in a moment")
