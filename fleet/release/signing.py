"""What the operator's side does with release keys: adds one release to the fleet's list, or to a team's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from securesystemslib.exceptions import UnverifiedSignatureError
from securesystemslib.signer import Signer
from tuf.api.metadata import Metadata, Root, TargetFile, Targets

from contracts import codec
from contracts.manifest import Manifest
from contracts.trust import SOURCES, ReleaseSources, ReleaseTarget, release_target_path, team_role
from fleet.core.releases import check_counter_grows
from fleet.errors.keys import WrongKeyError
from fleet.errors.releases import UntrustedReleaseError
from fleet.release import metadata
from fleet.release.pending import Pending, signed_by
from fleet.requests.releases import NewRelease

NOWHERE = ReleaseSources()


@dataclass(frozen=True)
class Published:
    """What the server says of its trust: believed only as far as it is signed."""

    root: bytes
    targets: bytes
    # The list of the team of the model in question, if there is one.
    team: bytes | None = None

    def read(self) -> tuple[Metadata[Root], Metadata[Targets]]:
        """Return root and targets; raise UntrustedReleaseError unless the one stands by itself and by the other."""
        root, targets = metadata.read(Root, self.root), metadata.read(Targets, self.targets)
        for role, document in (("root", root), ("targets", targets)):
            if not root.signed.get_verification_result(role, document.signed_bytes, document.signatures):
                raise UntrustedReleaseError(f"{role} metadata that enough of this fleet's keys signed", "fewer signatures")
        return root, targets


def sign_release(
    published: Published, manifest: Manifest, signers: Mapping[str, Signer], now: datetime, sources: ReleaseSources = NOWHERE
) -> Pending:
    """Return the next list with a release, signed by all `signers`; raise CounterDoesNotGrowError, WrongKeyError, UntrustedReleaseError.

    `signers` are named as the operator named them. The first one's role decides which list is signed. `sources` are servers from which
    devices that allow them may fetch its files.
    """
    root, targets = published.read()
    first = next(iter(signers.values())).public_key.keyid
    team = None if first in root.signed.roles["targets"].keyids else manifest.name
    team_before = metadata.team_list(targets.signed, manifest.name, published.team)
    if team is None:
        _check_own(targets, root.signed.roles["targets"].threshold, signers)
        before = metadata.ReleaseList(targets.signed.version, targets.signed.targets, targets.signed.delegations)
    elif is_team_key(targets.signed, manifest.name, first):
        before = team_before
    else:
        raise WrongKeyError(next(iter(signers)), f"this fleet's release key, or one of the team of {manifest.name}")
    known = {**targets.signed.targets, **team_before.targets}
    check_counter_grows(manifest.name, manifest.release, metadata.newest_counter(known, manifest.name))
    added = _target(manifest, sources)
    new = metadata.new_targets(before.version + 1, {**before.targets, added.path: added}, before.delegations, now)
    pending = Pending(
        root_before=published.root.decode(),
        targets_before=published.targets.decode(),
        team_before=None if team is None or published.team is None else published.team.decode(),
        release=NewRelease(targets=metadata.sign(new).decode(), team=team),
    )
    for name, signer in signers.items():
        pending = signed_by(pending, signer, name)
    return pending


def is_team_key(targets: Targets, model: str, key_id: str) -> bool:
    """Say whether a model's releases are delegated to this key."""
    roles = targets.delegations.roles if targets.delegations else None
    role = (roles or {}).get(team_role(model))
    return role is not None and key_id in role.keyids


def _check_own(targets: Metadata[Targets], threshold: int, signers: Mapping[str, Signer]) -> None:
    """Raise WrongKeyError when a single key suffices and none of ours signed the list before: the server may have made it up."""
    if threshold == 1 and not any(_has_signed(signer, targets) for signer in signers.values()):
        raise WrongKeyError(next(iter(signers)))


def _has_signed(signer: Signer, targets: Metadata[Targets]) -> bool:
    try:
        signer.public_key.verify_signature(targets.signatures[signer.public_key.keyid], targets.signed_bytes)
    except (KeyError, UnverifiedSignatureError):
        return False
    return True


def _target(manifest: Manifest, sources: ReleaseSources) -> TargetFile:
    target = TargetFile.from_data(release_target_path(manifest.name, manifest.release), codec.encode(manifest), ["sha256"])
    custom = ReleaseTarget(model=manifest.name, release=manifest.release, targets=tuple(sorted(manifest.artifacts)))
    target.unrecognized_fields["custom"] = custom.model_dump(mode="json")
    if sources.sources:
        target.unrecognized_fields[SOURCES] = list(sources.sources)
    return target
