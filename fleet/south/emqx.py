"""Tells a cluster of EMQX brokers through its REST API (version 5) who may do what, and whom to turn out.

Source: EMQX 5 documentation, "REST API", "Banned Clients" and "Use ACL file". Written by it; it has not run beside an EMQX yet.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import anyio
import httpx
from anyio import to_thread

from fleet.errors.server import BrokerApiError
from fleet.south.emqx_api import Api
from fleet.south.mosquitto_conf import Address
from fleet.south.rules import emqx_rules

# Whose bans these are: others' are left alone.
BY = "fieldfare"
PAGE = 1000
TIMEOUT_S = 10.0
LOOK_S = 0.2
FIRST_BACKOFF_S = 1.0
LONGEST_BACKOFF_S = 30.0

log = logging.getLogger("fleet.emqx")


class Emqx:
    """A broker that others run; whom it lets in is decided by the certificates that its owner made it believe."""

    # Whom it bans it turns out by itself.
    lag_s = 0.0

    def __init__(self, address: Address, api: Api) -> None:
        """Say nothing before `keep_alive` runs."""
        self.address = address
        self._api = api
        self._wanted: tuple[str, ...] = ()
        # Of `admit`, and of the last of them that EMQX has followed.
        self._version = self._followed = 0

    async def start(self) -> None:
        """It runs, or will."""

    async def stop(self) -> None:
        """It runs on."""

    async def keep_alive(self) -> None:
        """Bring it what it lacks, soon after each `admit`, and again until it takes it."""
        backoff_s = FIRST_BACKOFF_S
        while True:
            if self._followed == self._version:
                await anyio.sleep(LOOK_S)
                continue
            version, wanted = self._version, self._wanted
            try:
                await to_thread.run_sync(self._bring, wanted)
            except BrokerApiError as error:
                log.warning("%s; trying again in %g s", error, backoff_s)
                await anyio.sleep(backoff_s)
                backoff_s = min(2 * backoff_s, LONGEST_BACKOFF_S)
            else:
                self._followed, backoff_s = version, FIRST_BACKOFF_S

    def admit(self, revoked: Sequence[str], revocation_list: bytes) -> None:  # noqa: ARG002 - it would fetch a list by itself
        """Let these do nothing from now on."""
        self._wanted = tuple(revoked)
        self._version += 1

    def believe(self, authorities: Mapping[str, str]) -> None:
        """Its owner has it believe another authority, which is read at the API."""

    def reload(self) -> None:
        """Its owner gives it other certificates."""

    def save(self) -> None:
        """It keeps sessions on several machines."""

    def _bring(self, revoked: tuple[str, ...]) -> None:
        with self._client() as client:
            rules = {"type": "file", "enable": True, "rules": emqx_rules(revoked)}
            client.put("authorization/sources/file", json=rules).raise_for_status()
            banned = set(_banned(client))
            for device in sorted(set(revoked) - banned):  # ends its connections too
                body = {"as": "username", "who": device, "by": BY, "reason": "revoked"}
                client.post("banned", json=body).raise_for_status()
            for device in sorted(banned - set(revoked)):
                client.delete(f"banned/username/{device}").raise_for_status()

    @contextmanager
    def _client(self) -> Iterator[httpx.Client]:
        auth = (self._api.key, self._api.secret)
        try:
            with httpx.Client(base_url=f"{self._api.url}/api/v5/", auth=auth, timeout=TIMEOUT_S) as client:
                yield client
        except httpx.HTTPError as error:
            raise BrokerApiError(self._api.url, " ".join(str(error).split())[:200]) from error


def _banned(client: httpx.Client) -> Iterator[str]:
    """Yield whom we turned out."""
    page = 1
    while True:
        found = client.get("banned", params={"page": page, "limit": PAGE}).raise_for_status().json()["data"]
        yield from (ban["who"] for ban in found if ban["as"] == "username" and ban.get("by") == BY)
        if len(found) < PAGE:
            return
        page += 1
