"""What the operator's side does with the offline key: adds one release to the signed list."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from securesystemslib.exceptions import UnverifiedSignatureError
from tuf.api.metadata import TargetFile, Targets

from contracts import codec
from contracts.manifest import Manifest
from contracts.trust import ReleaseTarget, release_target_path
from fleet.core.releases import check_counter_grows
from fleet.errors import WrongKeyError
from fleet.release import metadata
from fleet.release.keys import load_signer


def sign_release(current_raw: bytes, manifest: Manifest, key: Path, now: datetime) -> bytes:
    """Return the next targets metadata; raise CounterDoesNotGrowError, WrongKeyError or KeyFileError.

    The current list comes from the server, so it is only built upon when our own key signed it.
    """
    signer = load_signer(key)
    current = metadata.read(Targets, current_raw)
    try:
        signer.public_key.verify_signature(current.signatures[signer.public_key.keyid], current.signed_bytes)
    except (KeyError, UnverifiedSignatureError) as error:
        raise WrongKeyError(str(key)) from error
    check_counter_grows(manifest.name, manifest.release, metadata.newest_counter(current.signed, manifest.name))
    path = release_target_path(manifest.name, manifest.release)
    target = TargetFile.from_data(path, codec.encode(manifest), ["sha256"])
    custom = ReleaseTarget(model=manifest.name, release=manifest.release, targets=tuple(sorted(manifest.artifacts)))
    target.unrecognized_fields["custom"] = custom.model_dump(mode="json")
    return metadata.sign(metadata.next_targets(current.signed, target, now), signer)
