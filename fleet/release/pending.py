"""Decides which signatures a change still lacks, and who may give them; a file carries it from one key holder to the next."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import BaseModel
from securesystemslib.signer import Signer
from tuf.api.metadata import Metadata, Root, Targets, VerificationResult

from contracts.trust import MAX_TRUST_FILE_BYTES, team_role
from fleet.errors.keys import WrongKeyError
from fleet.errors.releases import UntrustedReleaseError
from fleet.release import metadata
from fleet.requests.releases import NewRelease, TrustChange, TrustText

MAX_PENDING_BYTES = 4 * MAX_TRUST_FILE_BYTES


class Pending(BaseModel, frozen=True, extra="forbid"):
    """New metadata, and what it builds on."""

    root_before: TrustText
    targets_before: TrustText
    # One of the two: a change of keys, or a release.
    change: TrustChange | None = None
    release: NewRelease | None = None
    # That team's list as it was, when the release is a team's and is not its first.
    team_before: TrustText | None = None


@dataclass(frozen=True)
class Paper:
    """One document of a change, and how far each role that must sign it is."""

    name: str
    document: Metadata[Root] | Metadata[Targets]
    results: tuple[VerificationResult, ...]

    def wants(self, key_id: str) -> bool:
        """Say whether this key's signature counts here."""
        return any(key_id in result.signed or key_id in result.unsigned for result in self.results)


def papers(pending: Pending) -> Iterator[Paper]:
    """Yield the documents that need signatures; raise UntrustedReleaseError for what is no metadata."""
    root = metadata.read(Root, pending.root_before.encode()).signed
    if pending.change is not None and pending.change.root is not None:
        new = metadata.read(Root, pending.change.root.encode())
        if new.signed.version != root.version + 1:
            raise UntrustedReleaseError(f"root version {root.version + 1}", f"version {new.signed.version}")
        both = new.signed.get_root_verification_result(root, new.signed_bytes, new.signatures)
        yield Paper("root.json", new, (both.first, both.second))
        root = new.signed
    if pending.change is not None and pending.change.targets is not None:
        yield _listed("targets.json", root, "targets", pending.change.targets)
    if pending.release is not None:
        team = pending.release.team
        if team is None:
            yield _listed("targets.json", root, "targets", pending.release.targets)
        else:
            top = metadata.read(Targets, pending.targets_before.encode()).signed
            yield _listed(f"{team_role(team)}.json", top, team_role(team), pending.release.targets)


def missing(pending: Pending) -> tuple[str, ...]:
    """Say what is still to be signed, one line for each role; empty when all is."""
    lines = (
        f"{paper.name}: {result.missing} more of {', '.join(sorted(key_id[:8] for key_id in result.unsigned))}"
        for paper in papers(pending)
        for result in paper.results
        if not result.verified
    )
    # A root is signed by the keys before and by its own, which mostly are the same.
    return tuple(dict.fromkeys(lines))


def signed_by(pending: Pending, signer: Signer, name: str) -> Pending:
    """Return the change with one more signature on every paper that wants it; raise WrongKeyError when none does."""
    key_id = signer.public_key.keyid
    wanted = [paper for paper in papers(pending) if paper.wants(key_id)]
    if not wanted:
        raise WrongKeyError(name, "a key whose signature this change lacks")
    for paper in wanted:
        paper.document.sign(signer, append=True)
    written = {paper.name: paper.document.to_bytes(metadata.FORM).decode() for paper in wanted}
    if pending.release is not None:
        return pending.model_copy(update={"release": pending.release.model_copy(update={"targets": next(iter(written.values()))})})
    assert pending.change is not None
    fields = {name.removesuffix(".json"): text for name, text in written.items()}
    return pending.model_copy(update={"change": pending.change.model_copy(update=fields)})


def _listed(name: str, delegator: Root | Targets, role: str, text: str) -> Paper:
    document = metadata.read(Targets, text.encode())
    try:
        result = delegator.get_verification_result(role, document.signed_bytes, document.signatures)
    except ValueError as error:
        raise UntrustedReleaseError(f"a list that is delegated to {role}", "none") from error
    return Paper(name, document, (result,))
