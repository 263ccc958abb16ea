"""The agent's errors start here: each says at fault, expected, found and what to do."""

from __future__ import annotations

from contracts.errors import FieldfareError


class AgentError(FieldfareError):
    """Root of the agent's errors."""


class ConfigError(AgentError):
    """The configuration file, or a file it names, is not what the agent needs."""

    def __init__(self, file: str, field: str, expected: str, found: str) -> None:
        super().__init__(f"{file}: {field}: expected {expected}, found {found}")
        self.file = file
        self.field = field


class StateError(AgentError):
    """The state folder cannot be used, for now or at all: `path` is what was touched, `reason` what the system said."""

    exit_status = 3

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: expected a disk this user can read and write, found {reason}; look at its room, and at state_dir")
        self.path = path
        self.reason = reason


class UnreadableStateError(AgentError):
    """What an agent left in its state folder says nothing to this version of it."""

    exit_status = 3

    def __init__(self, path: str, found: str) -> None:
        super().__init__(f"{path}: expected state that this version and this user can read, found {found}")


class NoFreePortError(AgentError):
    """Every port a model could be served on is taken."""

    exit_status = 3

    def __init__(self, host: str, first: int, tried: int) -> None:
        super().__init__(f"{host}: expected a free port from {first} on, found {tried} taken; set serve.port in agent.toml")


class LinkLostError(AgentError):
    """The broker cannot be reached, refused us, or has gone; the agent tries again."""

    exit_status = 3

    def __init__(self, broker: str, found: str, reason_code: int | None = None) -> None:
        """`reason_code` is what MQTT 5 says of it, None where nobody did."""
        super().__init__(f"broker {broker}: expected a connection, found {found}")
        self.found = found
        self.reason_code = reason_code


class FetchError(AgentError):
    """A release could not be fetched; the reason is for the fleet to read."""

    exit_status = 1


class SourceAwayError(FetchError):
    """A source cannot be reached now; that says nothing of the file."""


class SourceFailedError(FetchError):
    """A source was reached, and did not bring the file."""


class UnsuitableReleaseError(AgentError):
    """A release's own manifest shows that it is not for this device."""

    exit_status = 1


class WorkerError(AgentError):
    """A worker did not do what it was asked to; the reason is its own last words."""

    exit_status = 1


class GoldenSetError(WorkerError):
    """A release does not reproduce its golden outputs on this device."""

    def __init__(self, error: float, tolerance: float, reason: str) -> None:
        super().__init__(f"golden set: expected outputs within {tolerance:g}, found {error:g}" + (f" ({reason})" if reason else ""))


class PauseError(WorkerError):
    """What a worker that serves holds alone is wanted elsewhere, and it may not make way for that."""


class EngineError(AgentError):
    """The engine that a release needs could not be built on this device."""

    exit_status = 1

    def __init__(self, found: str, *, may_pass: bool = False) -> None:
        super().__init__(f"engine: expected it to be built, found {found}")
        # Of disk and room; what a builder says of a model it will say again.
        self.may_pass = may_pass


class ProbationError(WorkerError):
    """A release that serves does worse than it may; `name` is the limit that it is past."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(f"probation: {name}: {text}")
        self.name = name


class CommandError(AgentError):
    """A command that is genuine could not be carried out; the reason is for whoever gave it."""

    exit_status = 1


class RefusedCommandError(CommandError):
    """A command that is genuine is one that this device's own configuration forbids."""


class VerifierError(AgentError):
    """The verifier process gave no verdict."""

    exit_status = 3

    def __init__(self, found: str) -> None:
        super().__init__(f"verifier: expected a verdict, found {found}")


class PatchError(AgentError):
    """A delta did not lead to the file that was wanted; the whole file is fetched instead."""

    exit_status = 1


class InstallError(AgentError):
    """This machine cannot take the service."""

    def __init__(self, thing: str, expected: str, found: str) -> None:
        super().__init__(f"{thing}: expected {expected}, found {found}")


class NotInstalledError(AgentError):
    """There is no agent here to be upgraded."""

    def __init__(self) -> None:
        super().__init__("fieldfare-agent.service: expected an installed agent, found none; run `fieldfare agent install` first")


class UpgradeError(AgentError):
    """A new version of the agent did not become ready, and the one before serves again."""

    exit_status = 1

    def __init__(self, candidate: str, good: str, reason: str) -> None:
        super().__init__(f"version {candidate}: expected it to become ready, found that {reason}; version {good} serves again")


class SettingsError(AgentError):
    """Settings that the fleet wishes make no sense on this device, or did not show themselves fit; the reason is for the fleet to read."""

    exit_status = 1


class CredentialError(AgentError):
    """A key or certificate is not what the device needs."""

    exit_status = 1

    def __init__(self, expected: str, found: str) -> None:
        super().__init__(f"certificate: expected {expected}, found {found}")


class FleetUnreachableError(AgentError):
    """The fleet's server does not answer."""

    exit_status = 3

    def __init__(self, server: str, found: str) -> None:
        super().__init__(f"{server}: expected the fleet server, found no answer ({found}); check --server and the network, then try again")


class UntrustedServerError(AgentError):
    """Whoever answers is not the server that the token is from; nothing was told to it."""

    exit_status = 1

    def __init__(self, server: str, expected: str, found: str) -> None:
        super().__init__(f"{server}: expected {expected}, found {found}; nothing was sent")


class EnrolmentRefusedError(AgentError):
    """The fleet does not let this machine in, in these words; about what was asked, such as a name that is taken."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)


class TokenRefusedError(EnrolmentRefusedError):
    """The token opens nothing: unknown, ended or used up."""

    exit_status = 1


class AlreadyEnrolledError(AgentError):
    """A folder already holds a device's configuration."""

    def __init__(self, folder: str) -> None:
        super().__init__(f"{folder}: expected a folder without agent.toml, found a device that is enrolled; choose another with --out")
