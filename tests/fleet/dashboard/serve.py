"""Serves the dashboard over a simulated fleet: python -m tests.fleet.dashboard.serve PORT CODE,CODE,... [DEVICES [SPEED]]."""

from __future__ import annotations

import sys

import uvicorn
from fastapi import FastAPI

from fleet.dashboard.app import mount
from tests.sim.fleet_desks import PlayedServices
from tests.sim.fleet_reader import MovingFleet


def main(port: int, codes: set[str], devices: int = 24, speed: float = 1.0) -> None:
    """Serve until a signal; each code signs in once."""

    app = FastAPI()

    @app.get("/healthz")
    def healthz() -> str:
        return "ok"

    mount(app, PlayedServices(MovingFleet(devices, speed=speed), *codes), storage_secret="only-for-tests")
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning")


if __name__ == "__main__":
    main(int(sys.argv[1]), set(sys.argv[2].split(",")), *map(int, sys.argv[3:4]), *map(float, sys.argv[4:5]))
