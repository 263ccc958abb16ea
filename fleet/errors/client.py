"""Why a command does not reach its server, or is refused there."""

from __future__ import annotations

from fleet.errors import FleetError


class NotConnectedError(FleetError):
    """The CLI does not know where its server is."""

    def __init__(self, path: str) -> None:
        super().__init__(
            f"{path}: expected a running fleet server's connection file, found none; "
            "start one with `fieldfare fleet up`, or set FIELDFARE_SERVER and FIELDFARE_TOKEN"
        )

    exit_status = 3


class ServerUnreachableError(FleetError):
    """The fleet server does not answer."""

    exit_status = 3

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"{url}: expected the fleet server, found no answer ({reason}); start it with `fieldfare fleet up`")


class AnswerLostError(ServerUnreachableError):
    """The connection ended before the answer; the server may have done what it was asked."""


class ClearTextError(FleetError):
    """A token was about to be sent over a network for everybody to read."""

    def __init__(self, url: str) -> None:
        super().__init__(
            f"{url}: expected https:// for a server on another machine, found an address without TLS; use the server's --tls-port"
        )


class RefusedError(FleetError):
    """The fleet server said no, in these words."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


class UnauthorizedError(FleetError):
    """A request without a token that may enter."""

    def __init__(self) -> None:
        super().__init__("expected a valid API token, found none; use connection.json of the server, or set FIELDFARE_TOKEN")


class BrokerUnreachableError(FleetError):
    """The broker does not let us listen."""

    exit_status = 3

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(f"broker {address}: expected a connection, found {reason}; start the server with `fieldfare fleet up`")


class BrokerUnknownError(FleetError):
    """A command that listens was pointed at a server whose broker's login it does not have."""

    exit_status = 3

    def __init__(self, path: str) -> None:
        super().__init__(
            f"{path}: expected the broker's login, found none; run this on the server's machine, or give its folder with --dir"
        )
