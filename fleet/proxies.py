"""Decides which balancers may say on whose behalf they come: none but those that are named."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

from contracts.errors import InvalidDocumentError

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True)
class Proxies:
    """Balancers by their addresses."""

    # They pass TLS through, and begin each connection with a header of the PROXY protocol.
    introducing: tuple[Network, ...] = ()
    # They end TLS, and add to the header X-Forwarded-For of each request. One that passes TLS through must not be here: what its clients
    # write into that header would be believed.
    forwarding: tuple[Network, ...] = ()

    def introduces(self, address: str) -> bool:
        """Say whether a connection from an address begins with such a header."""
        found = ipaddress.ip_address(address.partition("%")[0])
        if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
            found = found.ipv4_mapped
        return any(found in network for network in self.introducing)


NOBODY = Proxies()


def parse_networks(option: str, texts: Sequence[str]) -> tuple[Network, ...]:
    """Read addresses such as 10.0.0.7 and networks such as 10.0.0.0/24; raise InvalidDocumentError, also for all the world."""
    found: list[Network] = []
    for text in texts:
        try:
            network = ipaddress.ip_network(text)
        except ValueError as error:
            raise InvalidDocumentError("fleet up", option, "an address or a network such as 10.0.0.0/24", repr(text[:60])) from error
        if network.prefixlen == 0:
            raise InvalidDocumentError("fleet up", option, "the addresses of balancers", f"{text}, which is everybody's")
        found.append(network)
    return tuple(found)
