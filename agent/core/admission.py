"""Decides whether a release whose manifest is here can be taken by this device."""

from __future__ import annotations

from contracts.manifest import Manifest
from contracts.messages import ReleaseRef

# Left free on the disk whatever is fetched, so that logs and other services go on.
RESERVE_BYTES = 64 << 20


def mismatch(manifest: Manifest, release: ReleaseRef, targets: tuple[str, ...], runtimes: frozenset[str]) -> str | None:
    """Return why the manifest is not for this device, or None when it is."""
    if (manifest.name, manifest.release) != (release.model, release.release):
        return f"expected {release.model} release {release.release}, found {manifest.name} release {manifest.release} in its manifest"
    target = manifest.first_target_of(targets)
    if target is None:
        return f"wrong hardware: expected one of {', '.join(targets)}, found {', '.join(sorted(manifest.artifacts))}"
    runtime = manifest.artifacts[target].runtime
    if runtime not in runtimes:
        return f"expected runtime {runtime} on this device, found {', '.join(sorted(runtimes)) or 'none'}"
    return None


def shortfall(needed_bytes: int, free_bytes: int) -> str | None:
    """Return why the disk has no room for `needed_bytes` more, or None when it has."""
    if needed_bytes + RESERVE_BYTES <= free_bytes:
        return None
    return f"disk: expected {needed_bytes + RESERVE_BYTES} bytes free (release and reserve), found {free_bytes}"
