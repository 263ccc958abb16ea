"""Decides how much disk and memory a release needs of a device: the fleet foresees by it, the agent goes by it."""

from __future__ import annotations

# Left free on the disk whatever is fetched, so that logs and other services go on.
RESERVE_BYTES = 64 << 20
# A candidate's worker stands beside the one that serves; so much it needs beyond its files.
WORKER_BYTES = 64 << 20


def disk_shortfall(needed_bytes: int, free_bytes: int) -> str | None:
    """Return why the disk has no room for `needed_bytes` more, or None when it has.

    What is still to come needs room once: unpacking links it in, and the previous release has its own.
    """
    if needed_bytes + RESERVE_BYTES <= free_bytes:
        return None
    return f"disk: expected {needed_bytes + RESERVE_BYTES} bytes free (release and reserve), found {free_bytes}"


def memory_shortfall(files_bytes: int, free_bytes: int) -> str | None:
    """Return why the memory has no room for a worker that reads `files_bytes`, or None when it has."""
    if files_bytes + WORKER_BYTES <= free_bytes:
        return None
    return f"memory: expected {files_bytes + WORKER_BYTES} bytes free (files and worker), found {free_bytes}"
