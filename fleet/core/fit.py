"""Foresees whether a release fits a device, and which of its artifacts the device would take: by the laws that the agent goes by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from contracts.manifest import Manifest
from contracts.messages import ReleaseRef
from contracts.names import Runtime
from contracts.room import disk_shortfall, memory_shortfall
from fleet.core.inventory import Inventory, Vitals

Obstacle = Literal["target", "runtime", "accelerator", "disk", "memory"]
Unknown = Literal["runtime", "disk", "memory"]


@dataclass(frozen=True)
class Need:
    """What one artifact asks of a device."""

    runtime: Runtime
    # Sizes of the files that the device must have, by digest.
    files: Mapping[str, int]
    # It was compiled for the Edge TPU, and nothing beside it runs without one.
    needs_edge_tpu: bool

    @property
    def bytes(self) -> int:
        """All files together."""
        return sum(self.files.values())


@dataclass(frozen=True)
class Package:
    """What a release asks of devices, by artifact target."""

    ref: ReleaseRef
    needs: Mapping[str, Need]


@dataclass(frozen=True)
class Fit:
    """It fits, as far as was reported."""

    target: str
    # What the device would fetch, files that it holds left out; deltas make it less.
    download_bytes: int
    # It runs another release of the model, from which deltas may lead.
    has_base: bool
    # What could not be checked, because the device never reported it.
    unknown: tuple[Unknown, ...] = ()


@dataclass(frozen=True)
class Misfit:
    """It does not fit, and why."""

    obstacle: Obstacle
    reason: str


def package_of(ref: ReleaseRef, manifest: Manifest) -> Package:
    """Return what a release asks of devices."""
    return Package(ref, {target: _need(manifest, target) for target in manifest.artifacts})


def fit_of(package: Package, device: Inventory, held: Mapping[str, Package]) -> Fit | Misfit:
    """Say which artifact a device would take, or why none; `held` are earlier releases by digest, as far as they are known."""
    target = _target_of(package, device)
    if isinstance(target, Misfit):
        return target
    running = device.running.get(package.ref.model)
    if running is not None and running.manifest_sha256 == package.ref.manifest_sha256:
        return Fit(target, 0, has_base=False)
    need = package.needs[target]
    present = _files_of(held.get(running.manifest_sha256), device) if running else {}
    download_bytes = sum(size for digest, size in need.files.items() if digest not in present)
    misfit = _hindrance(need, download_bytes, device.vitals)
    if misfit is not None:
        return misfit
    unknown: tuple[Unknown, ...] = ("runtime",) if device.runtimes is None else ()
    if device.vitals is None:
        unknown = (*unknown, "disk", "memory")
    return Fit(target, download_bytes, running is not None, unknown)


def _target_of(package: Package, device: Inventory) -> str | Misfit:
    compiled = [target for target in device.targets if target in package.needs]
    if not compiled:
        made_for = ", ".join(sorted(package.needs))
        return Misfit("target", f"it runs {', '.join(device.targets)}, and the release was compiled for {made_for}")
    if device.runtimes is None:
        return compiled[0]
    runnable = next((target for target in compiled if package.needs[target].runtime in device.runtimes), None)
    if runnable is None:
        needed = " or ".join(sorted({package.needs[target].runtime for target in compiled}))
        return Misfit("runtime", f"expected runtime {needed}, found {', '.join(sorted(device.runtimes)) or 'none'}")
    return runnable


def _hindrance(need: Need, download_bytes: int, vitals: Vitals | None) -> Misfit | None:
    if vitals is None:
        return None
    if need.needs_edge_tpu and vitals.lacks_edge_tpu:
        return Misfit("accelerator", "accelerator: expected an Edge TPU, found that its worker runs without one")
    if (reason := disk_shortfall(download_bytes, vitals.free_disk_bytes)) is not None:
        return Misfit("disk", reason)
    if (reason := memory_shortfall(need.bytes, vitals.free_memory_bytes)) is not None:
        return Misfit("memory", reason)
    return None


def _files_of(held: Package | None, device: Inventory) -> Mapping[str, int]:
    target = _target_of(held, device) if held else None
    return held.needs[target].files if held and isinstance(target, str) else {}


def _need(manifest: Manifest, target: str) -> Need:
    artifact = manifest.artifacts[target]
    edge = artifact.edge_tpu
    files = {manifest.files[path].sha256: manifest.files[path].bytes for path in manifest.paths_for(target)}
    return Need(artifact.runtime, files, edge is not None and edge.outcome == "compiled" and edge.judged_file is None)
