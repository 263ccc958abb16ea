"""Reads which identity provider a server believes, and what its groups may do here, from one TOML file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field, ValidationError, field_validator

from contracts.codec import invalid_document
from fleet.core.openid import Rules
from fleet.core.roles import ROLE_BY_WORD
from fleet.errors.openid import OpenIdSettingsError
from fleet.requests.access import RoleName

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MAX_FILE_BYTES = 64 * 1024
LOOPBACK = ("http://127.0.0.1", "http://localhost", "http://[::1]")
Claim = Annotated[str, Field(min_length=1, max_length=200)]


class OpenIdSettings(BaseModel, frozen=True, extra="forbid"):
    """The file's content; paths in it are relative to it."""

    # As the provider's tokens name it, such as https://login.example.com/realms/fleet.
    issuer: Annotated[str, Field(max_length=400)]
    client_id: Annotated[str, Field(min_length=1, max_length=200)]
    # Holds the client's secret in its first line; mode 0600.
    secret_file: Path
    # By group.
    roles: Annotated[dict[str, RoleName], Field(min_length=1, max_length=1000)]
    groups_claim: Claim = "groups"
    name_claim: Claim = "preferred_username"
    # Beside openid; a provider may tell groups only to those who ask for them.
    scopes: Annotated[tuple[Annotated[str, Field(pattern=r"^[!#-\[\]-~]{1,64}$")], ...], Field(max_length=16)] = ("profile", "email")
    domains: Annotated[tuple[Annotated[str, Field(pattern=r"^[a-z0-9.-]{1,253}$")], ...], Field(max_length=100)] = ()
    # Where browsers reach this dashboard, if by another name than the server's first --public-name.
    url: Annotated[str, Field(max_length=400)] | None = None
    # Authorities that vouch for the provider's certificate; without it the system's.
    ca_file: Path | None = None

    @field_validator("issuer", "url")
    @classmethod
    def _is_safe(cls, url: str | None) -> str | None:
        if url is not None and (not is_safe(url) or "?" in url or "#" in url):
            raise ValueError("an https:// address without ? and #")
        return url

    def rules(self) -> Rules:
        """Return how claims become a name and a role."""
        roles = {group: ROLE_BY_WORD[word] for group, word in self.roles.items()}
        return Rules(self.name_claim, self.groups_claim, roles, frozenset(self.domains))

    def secret(self) -> str:
        """Return the client's secret; raise OpenIdSettingsError for a file that others can read."""
        try:
            mode, text = self.secret_file.stat().st_mode, self.secret_file.read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise OpenIdSettingsError(str(self.secret_file), "the client's secret", type(error).__name__) from error
        secret = text.partition("\n")[0].strip()
        if mode & 0o077:
            raise OpenIdSettingsError(str(self.secret_file), "a file of mode 0600", f"{mode & 0o777:o}")
        if not 1 <= len(secret) <= 1024:
            raise OpenIdSettingsError(str(self.secret_file), "1 to 1024 characters", str(len(secret)))
        return secret


def is_safe(url: str) -> bool:
    """Say whether what is sent there can be read on the way by nobody else."""
    return url.startswith("https://") or any(url == host or url.startswith((f"{host}:", f"{host}/")) for host in LOOPBACK)


def read_settings(file: Path) -> OpenIdSettings:
    """Read the file; raise OpenIdSettingsError or InvalidDocumentError."""
    try:
        with file.open("rb") as stream:
            raw = stream.read(MAX_FILE_BYTES + 1)
        found = tomllib.loads(raw.decode())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise OpenIdSettingsError(str(file), "a TOML file", str(error)) from error
    try:
        settings = OpenIdSettings.model_validate(found)
    except ValidationError as error:
        raise invalid_document(str(file), error) from error
    ca_file = None if settings.ca_file is None else file.parent / settings.ca_file
    return settings.model_copy(update={"secret_file": file.parent / settings.secret_file, "ca_file": ca_file})
