"""Renews the device's certificate over the broker while the agent runs, long before the old one ends."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime

import anyio

from agent.control.ports.trust import Credentials, Identity
from agent.control.reporter import Reporter
from agent.control.uplink import Uplink
from agent.core.renewal import LONGEST_PAUSE_S, NextKey, Span
from agent.errors import CredentialError
from contracts import codec
from contracts.downlinks import Renewed, Succession
from contracts.errors import ContractError
from contracts.messages import MAX_MESSAGE_BYTES, Renew

ANSWER_S = 20.0
# For a device whose own files cannot be read: it stays connected, and somebody may mend them.
TROUBLE_S = 600.0
# Whoever can publish all he likes has us look at one word in this time.
NEXT_WORD_S = 30.0
# A fleet that was not reached, or gives no certificate of the authority that is believed, is asked again after twice this, and then ever
# more seldom.
FIRST_LATE_S = 15.0

log = logging.getLogger(__name__)


class Renewal:
    """The way from one certificate to the next."""

    def __init__(
        self, identity: Identity, credentials: Credentials, uplink: Uplink, reporter: Reporter, now: Callable[[], datetime]
    ) -> None:
        """Judge by `now`, which is never before the newest time that a signature vouched for."""
        self._identity = identity
        self._credentials = credentials
        self._uplink = uplink
        self._reporter = reporter
        self._now = now
        self._device = reporter.identity.device.id
        self._answers: asyncio.Queue[bytes] = asyncio.Queue(maxsize=8)
        # The newest word of another authority, and the one that was looked at.
        self._word = self._seen = b""
        self._news = asyncio.Event()
        self._late_s = FIRST_LATE_S

    def hear(self, payload: bytes) -> None:
        """Take the fleet's answer; one that nobody waits for is dropped."""
        if not self._answers.full():
            self._answers.put_nowait(payload)

    def hear_authority(self, payload: bytes) -> None:
        """Take the word of an authority that follows; an empty one says nothing."""
        if payload and payload != self._seen:
            self._word = payload
            self._news.set()

    async def run(self) -> None:
        """Look at the certificate for as long as the agent runs."""
        with suppress(OSError):  # the first look says why
            self._reporter.authority = self._identity.own_authority
        while True:
            self._news.clear()
            if self._word != self._seen and not await self._follow(self._word):
                await asyncio.sleep(NEXT_WORD_S)
            wait_s = await self._look()
            with anyio.move_on_after(wait_s):
                await self._news.wait()

    async def _follow(self, word: bytes) -> bool:
        """Believe the next authority beside the one that vouches for it; return False when nobody does."""
        self._seen = word
        try:
            told = codec.decode(Succession, word, name="authority", max_bytes=MAX_MESSAGE_BYTES)
            believed = await self._credentials.follow(self._identity.authority(), told.certificate, told.voucher)
            if believed.authorities != self._identity.authority():
                await anyio.to_thread.run_sync(self._identity.believe, believed.authorities)
        except (ContractError, CredentialError, OSError) as error:
            log.warning("the next authority is not believed: %s", error)
            self._seen = b""  # on another connection it may be looked at again
            self._word = b""
            return False
        return True

    async def _look(self) -> float:
        """Renew if it is time, and return how many seconds to wait before looking again."""
        try:
            span = await self._span(self._identity.identity())
            self._reporter.authority = span.authority
            is_due = self._is_old(span) or self._now() >= span.due
            renewed = await self._renew() if is_due else None
            is_late = self._is_old(renewed or span) or (is_due and renewed is None)
            self._late_s = min(2 * self._late_s, LONGEST_PAUSE_S) if is_late else FIRST_LATE_S
            return self._late_s if is_late else (renewed or span).pause_s(self._now())
        except (CredentialError, OSError) as error:
            log.error("%s; looking again in %g s", error, TROUBLE_S)
            return TROUBLE_S

    def _is_old(self, span: Span) -> bool:
        return span.authority != self._identity.newest_authority

    async def _renew(self) -> Span | None:
        following = await self._credentials.make(self._device)
        while not self._answers.empty():
            self._answers.get_nowait()
        asked = self._reporter.stamp(Renew, csr=following.csr, authority=self._identity.newest_authority)
        if not await self._uplink.send_now("renew", asked):
            return None  # no link: the next look tries again
        with anyio.move_on_after(ANSWER_S):
            while True:
                span = await self._try(following, await self._answers.get())
                if span is not None:
                    return span
        return None

    async def _try(self, following: NextKey, payload: bytes) -> Span | None:
        """Adopt a certificate for this very key; None for any other answer."""
        try:
            answer = codec.decode(Renewed, payload, name="certificate", max_bytes=MAX_MESSAGE_BYTES)
        except ContractError as error:
            log.warning("%s", error)
            return None
        if answer.certificate is None:
            self._reporter.event("link", "warning", f"no new certificate: {answer.refusal}")
            return None
        identity = following.key + answer.certificate
        try:
            span = await self._span(identity)
        except CredentialError as error:  # a late answer to an earlier key, or somebody's nonsense
            log.warning("%s", error)
            return None
        await anyio.to_thread.run_sync(self._identity.adopt, identity, span.authority)
        self._reporter.authority = span.authority
        self._reporter.event("link", "info", f"certificate renewed until {span.ends.isoformat(timespec='seconds')}")
        self._uplink.reconnect()
        return span

    async def _span(self, identity: str) -> Span:
        return await self._credentials.span(self._device, identity, self._identity.authority())
