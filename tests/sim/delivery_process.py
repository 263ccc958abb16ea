"""A fleet's delivery loop over any broker, in a process of its own: python -m tests.sim.delivery_process PORT FOLDER BYTES_PER_S."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Literal

from contracts.messages import Offer
from fleet.south import delivery
from fleet.south.delivery import Delivery, Pace
from fleet.south.mqtt import Login, MqttLink
from fleet.store.artifacts import ArtifactStore
from tests.live.mosquitto import FLEET, password_of


class NoDeltas:
    """Nothing is offered."""

    settled = 0

    def answer(self, _target: str, _target_bytes: int, _bases: tuple[str, ...]) -> Offer | Literal["later", "none"]:
        """Offer nothing."""
        return "none"


def main() -> None:
    """Serve until killed."""
    port, folder, bytes_per_s = int(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])
    link = MqttLink(Login("127.0.0.1", port, FLEET, password_of(FLEET)), "fleet-bulk", delivery.TOPICS)
    link.open()
    loop = Delivery(link, ArtifactStore(folder.as_uri()), NoDeltas(), Pace(bytes_per_s))
    while True:
        loop.turn()


if __name__ == "__main__":
    main()
