"""The verifier process: reads mirrored trust files and a desired message, and decides whether the wish is genuine."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from pydantic import AwareDatetime, BaseModel, TypeAdapter, ValidationError
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import Error as SigningError
from securesystemslib.signer import Key
from tuf.api import exceptions as tuf
from tuf.api.metadata import Metadata, Root, TargetFile, Timestamp
from tuf.ngclient import Updater, UpdaterConfig
from tuf.ngclient.fetcher import FetcherInterface

from agent import asked
from agent.core.clock_floor import Floor, judged_now, raised, standing
from agent.core.memory import Memory
from agent.core.verdict import Grounds, Question, RefusalClass, Refused, Verdict, Verified
from agent.errors import AgentError
from contracts import codec
from contracts.downlinks import Desired
from contracts.errors import ContractError, MissingFileError, TooLargeError
from contracts.manifest import MAX_MANIFEST_BYTES
from contracts.messages import ReleaseRef
from contracts.small_files import read_bounded
from contracts.trust import (
    DESIRED_PAYLOAD_TYPE,
    DIRECTOR_TARGET,
    ISSUED_AT,
    MAX_ENVELOPE_BYTES,
    MAX_TRUST_FILE_BYTES,
    SOURCES,
    DirectorKeys,
    ReleaseSources,
    ReleaseTarget,
    release_target_path,
)

Judgement = TypeVar("Judgement")
MAX_QUESTION_BYTES = 64 * 1024
_MIRROR_URL = "mirror:///"
_MOMENT: TypeAdapter[datetime] = TypeAdapter(AwareDatetime)

# Every role below it is checked against a newer one, so an unexpected version or digest is a mixture of repository states.
_CLASSES: tuple[tuple[type[Exception], RefusalClass], ...] = (
    (tuf.DownloadLengthMismatchError, "endless_data"),
    (tuf.DownloadError, "incomplete"),
    (tuf.ExpiredMetadataError, "freeze"),
    (tuf.BadVersionNumberError, "rollback"),
    (tuf.LengthOrHashMismatchError, "mix_and_match"),
    (tuf.RepositoryError, "forged"),
)


class RefusalError(AgentError):
    """The wish must not be followed."""

    def __init__(self, refusal: RefusalClass, reason: str) -> None:
        super().__init__(reason)
        self.refusal: RefusalClass = refusal


class MirrorFetcher(FetcherInterface):
    """Gives python-tuf the files that the broker sent."""

    def __init__(self, folder: Path) -> None:
        """Read from `folder`."""
        self._folder = folder

    def _fetch(self, url: str) -> Iterator[bytes]:
        name = urlsplit(url).path.removeprefix("/")
        try:
            return iter([read_bounded(self._folder / name, MAX_TRUST_FILE_BYTES)])
        except MissingFileError as error:
            raise tuf.DownloadHTTPError(f"{name} is not here yet", 404) from error
        except TooLargeError as error:
            raise tuf.DownloadLengthMismatchError(str(error)) from error


class ClockedUpdater(Updater):
    """python-tuf's client, told what time it is: by itself it believes the system's clock, which a Pi without a battery has wrong."""

    def __init__(self, question: Grounds, now: datetime) -> None:
        """Judge expiry against `now`, over the files in the question's folders."""
        super().__init__(
            metadata_dir=question.cache_dir,
            metadata_base_url=_MIRROR_URL,
            fetcher=MirrorFetcher(Path(question.mirror_dir)),
            config=UpdaterConfig(root_max_length=MAX_TRUST_FILE_BYTES, snapshot_max_length=MAX_TRUST_FILE_BYTES),
            bootstrap=read_bounded(Path(question.root_file), MAX_TRUST_FILE_BYTES),
        )
        # The client has no public name for this, and takes its set of trusted metadata from no factory.
        self._trusted_set.reference_time = now


def verify(question: Question, clock: datetime) -> Verdict:
    """Check every signature, digest, counter and name between the provisioned root and the wish; `clock` is the system's."""
    return judged(lambda: _verify(question, clock))


def judged(check: Callable[[], Judgement]) -> Judgement | Refused:
    """Return what a check found, or the class of attack that it met."""
    try:
        return check()
    except RefusalError as error:
        return Refused(refusal=error.refusal, reason=str(error))
    except (tuf.RepositoryError, tuf.DownloadError) as error:
        refusal = next(name for kind, name in _CLASSES if isinstance(error, kind))
        return Refused(refusal=refusal, reason=f"TUF metadata: {error}"[:500])


def _verify(question: Question, clock: datetime) -> Verified:
    updater = refreshed(question, clock)
    now = judged_now(clock, standing(question.memory.floor, timestamp_keys(question)))
    keys, director = director_keys(updater, Path(question.mirror_dir))
    desired = _read_wish(Path(question.envelope_file), keys)
    _check_addressed(desired, question, director, now)
    releases = [*desired.models.items(), *((model, shadow.release) for model, shadow in (desired.shadow or {}).items())]
    listed = {model: _check_listed(updater, model, release, question.targets) for model, release in releases}
    floor = raised_floor(question, desired.issued_at)
    refused, nonce = question.memory.refused, desired.nonce or ""
    memory = Memory(generation=desired.generation, director=director, nonce=nonce, floor=floor, refused=refused)
    lengths = {model: target.length for model, target in listed.items()}
    sources = {model: named for model, target in listed.items() if (named := _sources(target))}
    return Verified(desired=desired, manifest_bytes=lengths, sources=sources, memory=memory)


def refreshed(question: Grounds, clock: datetime) -> Updater:
    """Return a client that has verified the newest metadata, judged not before the floor while the root stands by it."""
    floor = question.memory.floor
    try:
        updater = ClockedUpdater(question, judged_now(clock, floor))
        updater.refresh()
    except tuf.ExpiredMetadataError:
        # The root is followed before anything expires, so the newest one is already here.
        if standing(floor, timestamp_keys(question)) == floor:
            raise
        updater = ClockedUpdater(question, clock)
        updater.refresh()
    return updater


def timestamp_keys(question: Grounds) -> tuple[str, ...]:
    """Return which keys the trusted root lets sign timestamps."""
    root: Metadata[Root] = Metadata.from_file(str(Path(question.cache_dir) / "root.json"))
    return tuple(sorted(root.signed.roles["timestamp"].keyids))


def raised_floor(question: Grounds, issued_at: datetime) -> Floor | None:
    """Return the floor after a verified document said when it was issued, and the timestamp when it was signed."""
    timestamp: Metadata[Timestamp] = Metadata.from_file(str(Path(question.cache_dir) / "timestamp.json"))
    signed = [issued_at]
    with suppress(KeyError, ValidationError):  # it may be left out: it only brings the floor forward sooner
        signed.append(_MOMENT.validate_python(timestamp.signed.unrecognized_fields[ISSUED_AT]))
    return raised(question.memory.floor, timestamp_keys(question), tuple(signed), timestamp.signed.expires)


def director_keys(updater: Updater, mirror: Path) -> tuple[list[Key], str]:
    """Return the director's keys, and the digest of the list that names them."""
    target = updater.get_targetinfo(DIRECTOR_TARGET)
    if target is None:
        raise RefusalError("not_listed", f"{DIRECTOR_TARGET}: expected among the TUF targets, found none")
    try:
        raw = read_bounded(mirror / DIRECTOR_TARGET, MAX_TRUST_FILE_BYTES)
    except MissingFileError as error:
        raise RefusalError("incomplete", f"{DIRECTOR_TARGET} is not here yet") from error
    target.verify_length_and_hashes(raw)
    document = codec.decode(DirectorKeys, raw, name=DIRECTOR_TARGET, max_bytes=MAX_TRUST_FILE_BYTES)
    return [Key.from_dict(key_id, dict(key)) for key_id, key in document.keys.items()], codec.sha256_of(raw)


def _read_wish(file: Path, keys: list[Key]) -> Desired:
    try:
        raw = read_bounded(file, MAX_ENVELOPE_BYTES)
    except ContractError as error:
        raise RefusalError("forged", str(error)) from error
    payload = open_envelope("desired", raw, keys, DESIRED_PAYLOAD_TYPE)
    try:
        return codec.decode(Desired, payload, name="desired", max_bytes=MAX_ENVELOPE_BYTES)
    except ContractError as error:
        raise RefusalError("forged", str(error)) from error


def open_envelope(name: str, raw: bytes, keys: list[Key], payload_type: str) -> bytes:
    """Return what one of the director's keys signed as a document of this type."""
    try:
        envelope = Envelope.from_dict(json.loads(raw))
        envelope.verify(keys, threshold=1)
    except (SigningError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        # securesystemslib reads a dict by hand: whatever shape or depth it stumbles over, nobody we trust signed it.
        raise RefusalError("forged", f"{name}: expected an envelope signed by the director, found {error!r}"[:500]) from error
    if envelope.payload_type != payload_type:
        raise RefusalError("forged", f"{name}: expected payload type {payload_type}, found {envelope.payload_type[:80]!r}")
    return bytes(envelope.payload)


def _check_addressed(desired: Desired, question: Question, director: str, now: datetime) -> None:
    memory = question.memory
    oldest_generation = memory.oldest_generation(director)
    if desired.device != question.device:
        raise RefusalError("wrong_device", f"desired: expected a wish for {question.device}, found one for {desired.device}")
    if desired.generation < oldest_generation:
        found = f"expected generation {oldest_generation} or later, found {desired.generation}"
        raise RefusalError("replayed", f"desired: {found}")
    if memory.has_seen_another(director, desired.generation, desired.nonce or ""):
        found = f"nonce {memory.nonce} with generation {desired.generation}, found {desired.nonce or 'none'}"
        raise RefusalError("replayed", f"desired: expected {found}")
    if desired.expires_at <= now:
        raise RefusalError("expired", f"desired: expected an expiry after {now.isoformat()}, found {desired.expires_at.isoformat()}")


def _check_listed(updater: Updater, model: str, release: ReleaseRef, targets: tuple[str, ...]) -> TargetFile:
    path = release_target_path(release.model, release.release)
    found = updater.get_targetinfo(path)
    if found is None or release.model != model:
        raise RefusalError("not_listed", f"{path}: expected among the TUF targets for model {model}, found none")
    custom = _custom(path, found)
    if found.hashes.get("sha256") != release.manifest_sha256 or (custom.model, custom.release) != (model, release.release):
        raise RefusalError("not_listed", f"{path}: expected sha256 {release.manifest_sha256}, found {found.hashes.get('sha256')}")
    if not set(targets) & set(custom.targets):
        raise RefusalError("wrong_hardware", f"{path}: expected one of {', '.join(targets)}, found {', '.join(custom.targets)}")
    if found.length > MAX_MANIFEST_BYTES:
        raise RefusalError("endless_data", f"{path}: expected at most {MAX_MANIFEST_BYTES} bytes, found {found.length}")
    return found


def _sources(target: TargetFile) -> tuple[str, ...]:
    try:
        return ReleaseSources.model_validate({SOURCES: target.unrecognized_fields.get(SOURCES, ())}).sources
    except ValidationError:
        return ()  # of a later version: the files are to be had elsewhere


def _custom(path: str, target: TargetFile) -> ReleaseTarget:
    try:
        return ReleaseTarget.model_validate(target.custom)
    except ValidationError as error:
        raise RefusalError("not_listed", f"{path}: expected a release under custom, found {target.custom!r}"[:500]) from error


def answer(judge: Callable[[], BaseModel], question: Grounds) -> None:
    """Write a verdict on stdout; where none can be found because the disk takes nothing, end with status 1 and one line."""
    try:
        verdict = judge()
    except OSError as error:
        sys.exit(f"{question.cache_dir}: expected a disk that takes what was verified, found {error.strerror or error}")
    sys.stdout.write(verdict.model_dump_json())


def main() -> None:
    """Answer one question on stdin by one line on stdout."""
    question = codec.decode(Question, asked.question(MAX_QUESTION_BYTES), name="question", max_bytes=MAX_QUESTION_BYTES)
    answer(lambda: verify(question, datetime.now(timezone.utc)), question)


if __name__ == "__main__":
    main()
