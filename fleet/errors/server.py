"""Why a server cannot start, or lost what it works with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from contracts.mqtt_reasons import words
from fleet.errors import FleetError

# Of devices, in one line.
MAX_NAMED = 20


class CannotListenError(FleetError):
    """A port cannot be had, mostly because somebody else listens there."""

    def __init__(self, host: str, port: int, reason: str, option: str) -> None:
        found = reason[:1].lower() + reason[1:]
        super().__init__(f"{host}:{port}: expected a free port, found {found}; stop what listens there or choose another with {option}")


class FolderInUseError(FleetError):
    """Another server works in the same folder."""

    def __init__(self, folder: str) -> None:
        super().__init__(f"{folder}: expected no running fleet server, found one; stop it or choose another folder with --dir")


class FolderBusyError(FleetError):
    """Another server is changing a folder, and does not end."""

    def __init__(self, folder: str, patience_s: float) -> None:
        super().__init__(f"{folder}: expected its turn to change it within {patience_s:g} s, found another server at it; try again")


class UnusableFolderError(FleetError):
    """A server cannot write where it was told to."""

    def __init__(self, folder: str, reason: str) -> None:
        super().__init__(f"{folder}: expected a folder that can be written, found: {reason}; choose another with --dir")


class FolderNotEmptyError(FleetError):
    """A device's folder would be written over."""

    def __init__(self, folder: str) -> None:
        super().__init__(f"{folder}: expected a folder that is empty or missing, found files; choose another folder")


class ToolMissingError(FleetError):
    """A program that the fleet starts is not installed."""

    def __init__(self, tool: str, package: str) -> None:
        super().__init__(f"{tool}: expected it to be installed, found none; run: sudo apt-get install --no-install-recommends {package}")


class BrokerFailedError(FleetError):
    """The MQTT broker did not start."""

    def __init__(self, log: str, last_line: str) -> None:
        super().__init__(f"mosquitto: expected it to listen, found it ended: {last_line}; see {log}")


class LinkDownError(FleetError):
    """The broker cannot be reached, or did not acknowledge in time."""

    exit_status = 3

    def __init__(self, topic: str, reason: str) -> None:
        super().__init__(f"broker: expected an acknowledgement for {topic}, found none: {reason}")


class MessagesRefusedError(LinkDownError):
    """The broker is there, and does not take some of what we publish: the reason codes by topic."""

    def __init__(self, reasons: Mapping[str, int], *, is_news: bool) -> None:
        """It `is_news` when the broker said so just now; else it was not asked again so soon."""
        topic, reason = next(iter(reasons.items()))
        super().__init__(topic, words(reason) + (f", and refusals of {len(reasons) - 1} more" if len(reasons) > 1 else ""))
        self.reasons = reasons
        self.is_news = is_news


class ForeignAuthorityError(FleetError):
    """The folder of the fleet's certificate authority holds something else."""

    def __init__(self, folder: str, found: str) -> None:
        super().__init__(f"{folder}: expected the fleet's own ca.key and ca.pem, found {found}; bring them back from a backup")


class SuccessionError(FleetError):
    """Another root of the fleet's authority is being introduced."""

    def __init__(self, fingerprint: str) -> None:
        super().__init__(f"fleet authority: expected no successor, found {fingerprint[:16]}; see: fieldfare authority show")


class NoSuccessionError(FleetError):
    """There is no next root of the fleet's authority."""

    def __init__(self) -> None:
        super().__init__("fleet authority: expected a successor, found none; make one with: fieldfare authority rotate")


class DependentsError(FleetError):
    """Devices would be cut off."""

    def __init__(self, devices: Sequence[str]) -> None:
        named = ", ".join(devices[:MAX_NAMED]) + (f" and {len(devices) - MAX_NAMED} more" if len(devices) > MAX_NAMED else "")
        super().__init__(
            f"fleet authority: expected no device that depends on the present one, found {named}; "
            "bring them online, remove them, or turn them out with --leave"
        )


class BadRequestError(FleetError):
    """A certificate request cannot be signed."""

    def __init__(self, expected: str, found: str) -> None:
        super().__init__(f"certificate request: expected {expected}, found {found}")


class NamelessServerError(FleetError):
    """A server that listens everywhere must say by which name it is reached, because its certificate names it."""

    def __init__(self, host: str) -> None:
        super().__init__(f"--host {host}: expected the name or address by which devices reach this machine, found none; give --public-name")


class LonelyBrokerError(FleetError):
    """Several servers would share a broker, but not a database."""

    def __init__(self, broker: str) -> None:
        super().__init__(f"--broker {broker}: expected a database that servers share, found a file; give --database postgresql://...")


class BrokerApiError(FleetError):
    """The interface of a broker that others run does not take what we say."""

    exit_status = 3

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"{url}: expected the broker's API to follow, found: {reason}")


class BrokerApiKeyError(FleetError):
    """What lets us in at a broker's API cannot be used."""

    def __init__(self, file: str, found: str) -> None:
        super().__init__(f"{file}: expected KEY:SECRET on one line, as the broker gave it, in a file of mode 0600, found {found}")


class ApiWithoutBrokerError(FleetError):
    """Only a broker that others run is told by its API."""

    def __init__(self) -> None:
        super().__init__("--broker-api: expected --broker and --broker-api-key beside it, found none; name all three or leave it out")


class ProxyHeaderError(FleetError):
    """A balancer that is to say who comes began a connection in another way."""

    def __init__(self, found: str) -> None:
        super().__init__(f"expected a header of the PROXY protocol, found {found[:120]}; have the balancer send it, or do not name it here")
