"""Compares our worker with FastAPI on uvicorn: the same model, small binary requests from eight callers, turn by turn in one run."""

from __future__ import annotations

import contextlib
import json
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep

from benchmarks.bars import Bar, finish, parser
from benchmarks.load import Load, drive
from tests.sim.control import ROOT, TOKEN, control
from tests.sim.tiny_release import MODEL, RAW, SCORES, TinyRelease

CALLERS = 8
ROUNDS = 5
ROUND_S = 2.0
START_S = 30.0


def main() -> None:
    """Run the comparison."""
    arguments = parser(__doc__ or "").parse_args()
    release = TinyRelease()
    request = binary_request(release)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        release.write(folder / "bundle")
        with control(folder) as playing, fastapi_peer(folder / "bundle") as peer_port:
            worker = playing.start(folder / "bundle")
            worker.start_serving()
            ports = {"fieldfare worker": playing.address.port, "FastAPI on uvicorn": peer_port}
            loads: dict[str, list[Load]] = {server: [] for server in ports}
            for round_number in range(ROUNDS + 1):
                for server, port in ports.items():
                    load = drive(port, request, callers=CALLERS, duration_s=ROUND_S if round_number else 0.5)
                    # The first round only warms both up.
                    loads[server] += [load] if round_number else []
    rows = [row_of(server, results) for server, results in loads.items()]
    ratios = [ours.requests_per_s / theirs.requests_per_s for ours, theirs in zip(*loads.values(), strict=True)]
    finish("Serving", rows, [Bar("serving_throughput_ratio", statistics.median(ratios), ">=", 1.5)], arguments.json)


def row_of(server: str, results: list[Load]) -> dict[str, str | float]:
    """Return the medians of a server's rounds."""
    return {
        "server": server,
        "requests/s": statistics.median(load.requests_per_s for load in results),
        "p50 ms": statistics.median(load.p50_ms for load in results),
        "p99 ms": statistics.median(load.p99_ms for load in results),
    }


def binary_request(release: TinyRelease) -> bytes:
    """Return one infer request, whole."""
    tensor = release.pictures(1).tobytes()
    described = {"name": RAW.name, "datatype": RAW.datatype, "shape": RAW.shape, "parameters": {"binary_data_size": len(tensor)}}
    wanted = {"name": SCORES.name, "parameters": {"binary_data": True}}
    head = json.dumps({"inputs": [described], "outputs": [wanted]}).encode()
    lines = [
        f"POST /v2/models/{MODEL}/infer HTTP/1.1",
        "Host: localhost",
        f"Authorization: Bearer {TOKEN}",
        f"Inference-Header-Content-Length: {len(head)}",
        f"Content-Length: {len(head) + len(tensor)}",
        "\r\n",
    ]
    return "\r\n".join(lines).encode() + head + tensor


@contextlib.contextmanager
def fastapi_peer(bundle: Path) -> Iterator[int]:
    """Run the peer; yield its port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.peers.fastapi_serving", str(bundle), str(port)], cwd=ROOT)
    try:
        deadline = monotonic() + START_S
        while not _answers(port):
            assert process.poll() is None, "the peer ended"
            assert monotonic() < deadline, "the peer did not start"
            sleep(0.1)
        yield port
    finally:
        process.terminate()
        process.wait(10)


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


if __name__ == "__main__":
    main()
