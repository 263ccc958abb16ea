"""A fleet's delivery loop over any broker in a process of its own; its arguments: PORT FOLDER BYTES_PER_S AUTHORITY IDENTITY."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Literal

from contracts.downlinks import Offer
from fleet.south import delivery
from fleet.south.bulk import BulkLink
from fleet.south.delivery import Delivery, Pace
from fleet.south.mqtt import Login
from fleet.store.artifacts import ArtifactStore


class NoDeltas:
    """Nothing is offered."""

    settled = 0

    def answer(self, _target: str, _target_bytes: int, _bases: tuple[str, ...]) -> Offer | Literal["later", "none"]:
        """Offer nothing."""
        return "none"


def main() -> None:
    """Serve until killed."""
    port, folder, bytes_per_s, authority, identity = sys.argv[1:]
    link = BulkLink(Login("127.0.0.1", int(port), Path(authority), Path(identity)), "fleet-bulk", delivery.TOPICS)
    loop = Delivery(link, ArtifactStore(Path(folder).as_uri()), NoDeltas(), Pace(float(bytes_per_s)))
    while True:
        loop.turn()


if __name__ == "__main__":
    main()
