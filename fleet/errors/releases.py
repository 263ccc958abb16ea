"""Why a release, or a file of one, is not taken or not to be had."""

from __future__ import annotations

from fleet.errors import FleetError


class UnknownReleaseError(FleetError):
    """No such release was added."""

    def __init__(self, model: str, release: int | None) -> None:
        wanted = f"release {model} {release}" if release else f"model {model}"
        super().__init__(f"{wanted}: expected a signed release, found none; `fieldfare release list` lists them")


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
