"""Decides whether a server is reached through a proxy, as HTTPS_PROXY, ALL_PROXY and NO_PROXY say."""

from __future__ import annotations

import os
from base64 import b64encode
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from contracts.errors import InvalidDocumentError

VARIABLES = ("https_proxy", "all_proxy")
USUAL_PORT = 80


@dataclass(frozen=True)
class Tunnel:
    """A proxy that passes TLS on unread, and what it is told of us."""

    host: str
    port: int
    headers: dict[str, str] = field(repr=False)


def find_tunnel(host: str) -> Tunnel | None:
    """Return the proxy on the way to a host, None for none; raise InvalidDocumentError for one of another kind."""
    if not any(name.lower() in VARIABLES for name in os.environ):
        return None
    from urllib.request import getproxies, proxy_bypass  # takes long, and few have a proxy

    proxies = getproxies()
    text = proxies.get("https") or proxies.get("all")
    if not text or proxy_bypass(host):
        return None
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        where, port = parts.hostname, parts.port or USUAL_PORT
    except ValueError:
        where, port = None, 0
    # What was found is not told: it may hold a password.
    if where is None or parts.scheme != "http":
        raise InvalidDocumentError("environment", "HTTPS_PROXY", "a proxy such as http://proxy.example:3128", "another address")
    login = f"{unquote(parts.username)}:{unquote(parts.password or '')}" if parts.username else ""
    return Tunnel(where, port, {"Proxy-Authorization": f"Basic {b64encode(login.encode()).decode()}"} if login else {})
