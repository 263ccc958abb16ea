"""Decides what each role may do: a route that is not listed here is closed to everybody."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum


class Role(IntEnum):
    """Each may do all that the ones before it may."""

    VIEWER = 1
    OPERATOR = 2
    ADMIN = 3

    @property
    def word(self) -> str:
        """How people and the API name it."""
        return self.name.lower()


@dataclass(frozen=True)
class Caller:
    """Who uses the API or the dashboard, and what he may do there."""

    name: str
    role: Role
    # By which a name is meant: a token's, a person's here (user), or one that the identity provider vouched for (openid).
    kind: str = "token"

    @property
    def who(self) -> str:
        """How the audit log names him."""
        return f"{self.kind} {self.name}"


ROLE_BY_WORD = {role.word: role for role in Role}

# By method and path below the API's prefix. Viewers look; operators bring releases to devices; admins decide who and what is trusted.
NEEDED: dict[tuple[str, str], Role] = {
    ("GET", "/overview"): Role.VIEWER,
    ("GET", "/quarantine"): Role.VIEWER,
    ("GET", "/devices"): Role.VIEWER,
    ("GET", "/groups"): Role.VIEWER,
    ("GET", "/groups/{group}"): Role.VIEWER,
    ("GET", "/groups/{group}/devices"): Role.VIEWER,
    ("GET", "/devices/{device}"): Role.VIEWER,
    ("GET", "/devices/{device}/events"): Role.VIEWER,
    ("GET", "/devices/{device}/health"): Role.VIEWER,
    ("GET", "/devices/{device}/inference"): Role.VIEWER,
    ("GET", "/costs"): Role.VIEWER,
    ("GET", "/configurations"): Role.VIEWER,
    ("GET", "/releases"): Role.VIEWER,
    ("GET", "/rollouts"): Role.VIEWER,
    ("GET", "/rollouts/{rollout}"): Role.VIEWER,
    ("GET", "/rollouts/{rollout}/devices"): Role.VIEWER,
    ("GET", "/rollouts/{rollout}/history"): Role.VIEWER,
    ("GET", "/trust/{name}"): Role.VIEWER,
    ("GET", "/authority"): Role.VIEWER,
    ("GET", "/authority/dependents"): Role.VIEWER,
    ("GET", "/openapi.json"): Role.VIEWER,
    ("HEAD", "/artifacts/{sha256}"): Role.VIEWER,
    # The dashboard lets everybody do what his token may.
    ("POST", "/login-links"): Role.VIEWER,
    # Logs may name people and places, so that looking takes as much as asking.
    ("GET", "/devices/{device}/commands"): Role.OPERATOR,
    ("GET", "/devices/{device}/commands/{command}"): Role.OPERATOR,
    ("POST", "/devices/{device}/commands"): Role.OPERATOR,
    ("PUT", "/artifacts/{sha256}"): Role.OPERATOR,
    ("POST", "/releases"): Role.OPERATOR,
    ("POST", "/rollouts"): Role.OPERATOR,
    ("POST", "/configurations"): Role.OPERATOR,
    ("POST", "/configurations/trial"): Role.OPERATOR,
    ("POST", "/rollouts/preview"): Role.OPERATOR,
    ("POST", "/rollouts/preview/chosen"): Role.OPERATOR,
    ("POST", "/rollouts/preview/excluded"): Role.OPERATOR,
    ("POST", "/device-labels"): Role.OPERATOR,
    ("PUT", "/groups/{group}"): Role.OPERATOR,
    ("DELETE", "/groups/{group}"): Role.OPERATOR,
    ("POST", "/rollouts/{rollout}/approve"): Role.OPERATOR,
    ("POST", "/rollouts/{rollout}/pause"): Role.OPERATOR,
    ("POST", "/rollouts/{rollout}/resume"): Role.OPERATOR,
    ("POST", "/rollouts/{rollout}/promote"): Role.OPERATOR,
    ("POST", "/rollouts/{rollout}/abort"): Role.OPERATOR,
    ("POST", "/rollouts/{rollout}/rollback"): Role.OPERATOR,
    ("POST", "/rollouts/{rollout}/retry"): Role.OPERATOR,
    ("POST", "/enrolment-tokens"): Role.ADMIN,
    ("POST", "/simulated-devices"): Role.ADMIN,
    ("POST", "/devices/{device}/revocation"): Role.ADMIN,
    ("DELETE", "/devices/{device}"): Role.ADMIN,
    ("POST", "/trust"): Role.ADMIN,
    ("POST", "/authority/successor"): Role.ADMIN,
    ("POST", "/authority/retirement"): Role.ADMIN,
    ("POST", "/online-keys/{role}"): Role.ADMIN,
    ("GET", "/audit"): Role.ADMIN,
    ("GET", "/users"): Role.ADMIN,
    ("POST", "/users"): Role.ADMIN,
    ("PUT", "/users/{name}/password"): Role.ADMIN,
    ("PUT", "/users/{name}/role"): Role.ADMIN,
    ("DELETE", "/users/{name}"): Role.ADMIN,
    ("GET", "/tokens"): Role.ADMIN,
    ("POST", "/tokens"): Role.ADMIN,
    ("DELETE", "/tokens/{name}"): Role.ADMIN,
}

_SHAPES = [(method, re.compile(re.sub(r"\{\w+\}", "[^/]+", path))) for method, path in NEEDED]


def methods_at(path: str) -> list[str]:
    """Return by which methods a path can be asked at all."""
    return sorted({method for method, shape in _SHAPES if shape.fullmatch(path)})


# By kind of command, beside the route's own role: to ask for it, and to see what it brought. A picture may show anybody.
_NEEDED_FOR_COMMAND: dict[str, Role] = {"snapshot": Role.ADMIN}


def command_role(kind: str) -> Role:
    """Return which role a kind of command takes."""
    return _NEEDED_FOR_COMMAND.get(kind, Role.OPERATOR)


def may(role: Role, method: str, path: str) -> bool:
    """Say whether a role may use a route; nobody may use one that is not listed."""
    needed = NEEDED.get((method, path))
    return needed is not None and role >= needed
