"""Decides which of the servers that signed releases name this device may ask: those of hosts that its owner allows, and no others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from urllib.parse import urlsplit

from contracts.trust import MAX_SOURCES

HTTPS = 443


def allowed(urls: Iterable[str], hosts: Sequence[str]) -> tuple[str, ...]:
    """Return each URL once whose host one of `hosts` means, as many as one release may name.

    `cdn.example.org` means that host at the usual port, `cdn.example.org:8443` another port, `*.example.org` any host below it.
    """
    return tuple(dict.fromkeys(url for url in urls if _is_meant(url, hosts)))[:MAX_SOURCES]


def _is_meant(url: str, hosts: Sequence[str]) -> bool:
    parts = urlsplit(url)
    try:
        host, port = (parts.hostname or "").rstrip("."), parts.port or HTTPS
    except ValueError:
        return False
    # A name before the host, as in https://cdn.example.org@elsewhere.org, is there to deceive.
    if parts.scheme != "https" or not host or parts.username is not None:
        return False
    names = {host} if port == HTTPS else set()
    names.add(f"{host}:{port}")
    below = {f"*.{'.'.join(host.split('.')[start:])}" for start in range(1, host.count(".") + 1)} if port == HTTPS else set()
    return not names.isdisjoint(hosts) or not below.isdisjoint(hosts)
