"""Decides whether a release whose manifest is here can be taken by this device."""

from __future__ import annotations

from dataclasses import dataclass

from contracts.manifest import Manifest
from contracts.messages import ReleaseRef


@dataclass(frozen=True)
class Fit:
    """What this device can run: targets, best first, and installed runtimes."""

    targets: tuple[str, ...]
    runtimes: frozenset[str]

    def target_of(self, manifest: Manifest) -> str | None:
        """Return which of a release's artifacts this device takes, if there is one for it."""
        return manifest.first_target_of(self.targets, self.runtimes)


def mismatch(manifest: Manifest, release: ReleaseRef, fit: Fit) -> str | None:
    """Return why the manifest is not for this device, or None when it is."""
    if (manifest.name, manifest.release) != (release.model, release.release):
        return f"expected {release.model} release {release.release}, found {manifest.name} release {manifest.release} in its manifest"
    if fit.target_of(manifest) is not None:
        return None
    compiled = [target for target in fit.targets if target in manifest.artifacts]
    if not compiled:
        return f"wrong hardware: expected one of {', '.join(fit.targets)}, found {', '.join(sorted(manifest.artifacts))}"
    needed = " or ".join(sorted({manifest.artifacts[target].runtime for target in compiled}))
    return f"expected runtime {needed} on this device, found {', '.join(sorted(fit.runtimes)) or 'none'}"
