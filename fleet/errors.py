"""The fleet's errors: each names the thing, what was expected, what was found and what to do."""

from __future__ import annotations

from contracts.errors import FieldfareError


class FleetError(FieldfareError):
    """Root of the fleet's errors."""


class UnknownDeviceError(FleetError):
    """No device of that id was added."""

    def __init__(self, device: str) -> None:
        super().__init__(f"device {device}: expected a device of this fleet, found none; `fieldfare devices` lists them")


class UnknownRolloutError(FleetError):
    """No rollout of that number was started."""

    def __init__(self, rollout: int) -> None:
        super().__init__(f"rollout {rollout}: expected a rollout of this fleet, found none; `fieldfare rollout list` lists them")


class UnknownReleaseError(FleetError):
    """No such release was added."""

    def __init__(self, model: str, release: int | None) -> None:
        wanted = f"release {model} {release}" if release else f"model {model}"
        super().__init__(f"{wanted}: expected a signed release, found none; `fieldfare release list` lists them")


class DeviceExistsError(FleetError):
    """A device's id is taken."""

    def __init__(self, device: str) -> None:
        super().__init__(
            f"device {device}: expected a new id, found one that was enrolled before; choose another, "
            f"or run `fieldfare device revoke {device}` and give out a token with --name {device}"
        )


class CounterDoesNotGrowError(FleetError):
    """A release is not newer than the newest of its model."""

    def __init__(self, model: str, found: int, newest: int) -> None:
        super().__init__(
            f"release {model} {found}: expected a counter above {newest}, found {found}; "
            f"compile it again with --release {newest + 1} or higher"
        )


class UntrustedReleaseError(FleetError):
    """Signed release metadata is not what this fleet's root of trust allows next."""

    def __init__(self, expected: str, found: str) -> None:
        super().__init__(f"targets.json: expected {expected}, found {found}; run `fieldfare release add` again with this fleet's own key")


class IncompleteReleaseError(FleetError):
    """A release names a file that was not uploaded."""

    def __init__(self, model: str, release: int, path: str) -> None:
        super().__init__(f"release {model} {release}: expected the content of {path}, found none; run `fieldfare release add` again")


class UnknownArtifactError(FleetError):
    """No file of that digest is stored."""

    def __init__(self, sha256: str) -> None:
        super().__init__(f"artifact {sha256}: expected a stored file, found none; `fieldfare release add` uploads a release's files")


class ArtifactPlaceError(FleetError):
    """Files of releases cannot be kept where they were to be."""

    exit_status = 3

    def __init__(self, url: str, found: str) -> None:
        super().__init__(
            f"--artifacts {url}: expected a folder or bucket that can be written (s3:// needs the extra s3), found {found}"[:500]
        )


class DeltaFailedError(FleetError):
    """A delta could not be made; devices fetch the whole file."""

    def __init__(self, base: str, target: str, reason: str) -> None:
        super().__init__(f"delta from {base} to {target}: expected one to be made, found: {reason}; the whole file is sent")


class UnknownTrustFileError(FleetError):
    """No trust file of that name is published."""

    def __init__(self, name: str) -> None:
        super().__init__(f"trust/{name}: expected a file of the release repository, found none")


class QueryError(FleetError):
    """A target query cannot be read."""

    def __init__(self, query: str, position: int, expected: str, hint: str = "") -> None:
        found = repr(query[position : position + 20]) if position < len(query) else "the end"
        super().__init__(f"query {query!r}: position {position + 1}: expected {expected}, found {found}{hint and f'; {hint}'}")
        self.position = position


class NoDevicesError(FleetError):
    """A rollout would reach nobody."""

    def __init__(self, query: str, reason: str) -> None:
        super().__init__(f"query {query!r}: expected at least one device to update, found none: {reason}")


class RolloutRunningError(FleetError):
    """A model's rollout is still under way."""

    def __init__(self, model: str, rollout: int) -> None:
        super().__init__(f"model {model}: expected no running rollout, found rollout {rollout}; wait until it has ended")


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


class ForeignAuthorityError(FleetError):
    """The folder of the fleet's certificate authority holds something else."""

    def __init__(self, folder: str, found: str) -> None:
        super().__init__(f"{folder}: expected the fleet's own ca.key and ca.pem, found {found}; bring them back from a backup")


class BadRequestError(FleetError):
    """A certificate request cannot be signed."""

    def __init__(self, expected: str, found: str) -> None:
        super().__init__(f"certificate request: expected {expected}, found {found}")


class NamelessServerError(FleetError):
    """A server that listens everywhere must say by which name it is reached, because its certificate names it."""

    def __init__(self, host: str) -> None:
        super().__init__(f"--host {host}: expected the name or address by which devices reach this machine, found none; give --public-name")


class StoreError(FleetError):
    """The database did not do what it was asked."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: expected a working database, found: {reason}")


class NewerDatabaseError(FleetError):
    """A later fieldfare changed the database's shape."""

    def __init__(self, shown: str, newest: str, found: str) -> None:
        super().__init__(f"{shown}: expected a database of version {newest} or older, found {found[:40]}; run the fieldfare that made it")


class LonelyBrokerError(FleetError):
    """Several servers would share a broker, but not a database."""

    def __init__(self, broker: str) -> None:
        super().__init__(f"--broker {broker}: expected a database that servers share, found a file; give --database postgresql://...")


class OlderDatabaseError(FleetError):
    """An earlier fieldfare made the database, and nobody is to change it now."""

    def __init__(self, shown: str, newest: str, found: str) -> None:
        super().__init__(f"{shown}: expected a database of version {newest}, found {found}; start this fieldfare's server once")


class DatabaseNotEmptyError(FleetError):
    """A backup would be mixed with what a database holds."""

    def __init__(self, shown: str, table: str) -> None:
        super().__init__(f"{shown}: expected an empty database, found rows in {table}; choose another with --database")


class NoFleetError(FleetError):
    """There is nothing to back up."""

    def __init__(self, folder: str) -> None:
        super().__init__(f"{folder}: expected the folder of a fleet server, found none; name it with --dir")


class BackupExistsError(FleetError):
    """A backup would be written over a file."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{path}: expected no file, found one; a backup is never written over, choose another name")


class NoBackupError(FleetError):
    """A file is no backup."""

    def __init__(self, path: str, found: str) -> None:
        super().__init__(f"{path}: expected a file that `fieldfare fleet backup` wrote, found: {found}"[:500])


class DatabasePlaceError(FleetError):
    """The database is not named in a way that can be used; the name is not repeated, for it may hold a password."""

    def __init__(self, source: str, found: str) -> None:
        super().__init__(
            f"{source}: expected postgresql://user@host/name (with its password in FIELDFARE_DATABASE_URL or in a file "
            f"that --database names, of mode 0600), found {found}"
        )


class KeyFileError(FleetError):
    """A signing key cannot be used."""

    def __init__(self, path: str, found: str) -> None:
        super().__init__(f"{path}: expected an ed25519 private key in PEM form, found {found}; give the release key with --key")


class KeyExistsError(FleetError):
    """A key would be written over."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{path}: expected no file, found one; a key is never written over, choose another name")


class PendingExistsError(FleetError):
    """A change that waits for signatures would be written over."""

    def __init__(self, path: str) -> None:
        super().__init__(
            f"{path}: expected no file, found a change that may still wait; sign it, remove it, or choose another with --pending"
        )


class TokenError(FleetError):
    """A key on a PKCS#11 token cannot be used."""

    def __init__(self, uri: str, found: str) -> None:
        super().__init__(
            f"{uri}: expected an ECDSA key on a PKCS#11 token, found: {found}; install fieldfare[hsm], "
            "set PYKCS11LIB to the token's library, and name the key as hsm:ID?label=TOKEN"
        )


class PassphraseError(FleetError):
    """No usable passphrase was given."""

    def __init__(self, source: str, found: str) -> None:
        super().__init__(f"{source}: expected a passphrase of 1 to 1024 characters, found {found}")


class ThresholdError(FleetError):
    """A role would need more signatures than it has keys, or none."""

    def __init__(self, role: str, threshold: int, keys: int) -> None:
        super().__init__(f"{role}: expected a threshold of 1 to {keys}, the number of its keys, found {threshold}")


class WrongKeyError(FleetError):
    """A key is none of those whose signature is wanted."""

    def __init__(self, path: str, wanted: str = "the key that signed this fleet's releases") -> None:
        super().__init__(f"{path}: expected {wanted}, found another; give the right one with --key")


class UnknownKeyError(FleetError):
    """A role has no key, or more than one, that a text begins the id of."""

    def __init__(self, role: str, key_id: str, found: int) -> None:
        super().__init__(f"{role}: expected one key whose id begins with {key_id!r}, found {found}; `fieldfare keys show` lists them")


class UntrustedChangeError(FleetError):
    """New root, targets or director metadata is not what the fleet's offline keys allow next."""

    def __init__(self, document: str, expected: str, found: str) -> None:
        super().__init__(f"{document}: expected {expected}, found {found}; build the change again from what the server has now")


class ForeignTrustError(FleetError):
    """A folder with a fleet's first metadata does not fit this server."""

    def __init__(self, folder: str, expected: str, found: str) -> None:
        super().__init__(f"{folder}: expected {expected}, found {found}; give the server folder that `fieldfare keys init` wrote")


class FolderNotEmptyError(FleetError):
    """A device's folder would be written over."""

    def __init__(self, folder: str) -> None:
        super().__init__(f"{folder}: expected a folder that is empty or missing, found files; choose another with --out")


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


class RolloutFailedError(FleetError):
    """A rollout that was waited for did not succeed."""

    exit_status = 1

    def __init__(self, rollout: int, reason: str) -> None:
        super().__init__(f"rollout {rollout}: expected every device to commit, found {reason}")


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
