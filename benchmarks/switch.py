"""What callers notice of a release that takes over: 50 switches of the whole agent under 200 requests a second that wait for nobody."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.bars import Bar, finish, parser
from tests.agent.conftest import DEVICE, AgentProcess, listening_fleet, provisioned_device, running_broker
from tests.sim.fleet import SimFleet
from tests.sim.open_loop import OK, Answer, OpenLoop
from tests.sim.switches import Span, order_for, switch_to, tiny

SWITCHES = 50
# Between two switches, and what of it counts as quiet: the old worker has drained by then.
QUIET_S, SETTLE_S = 3.0, 1.0


def main() -> None:
    """Measure in one run, print, and exit 1 when a bar falls short."""
    arguments = parser(__doc__ or "")
    arguments.add_argument("--switches", type=int, default=SWITCHES)
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with running_broker(folder) as broker, listening_fleet(broker) as fleet, provisioned_device(folder, fleet) as device:
            answers, switches = measure(fleet, device, folder, given.switches)
    pauses = [Span(switch.to_s + SETTLE_S, switch.to_s + QUIET_S) for switch in switches]
    quiet, busy = within(answers, pauses), within(answers, switches)
    failed = sum(answer.status != OK for answer in answers)
    rows = [row("between switches", quiet), row("during switches", busy), row("all", answers)]
    longest = max(switch.to_s - switch.from_s for switch in switches)
    print(f"{len(switches)} switches, from the wish to the commit {longest:.2f} s at most")
    bars = [
        Bar("switches", len(switches), ">=", SWITCHES),
        Bar("failed_requests", failed, "<=", 0),
        Bar("p99_during_switch", p99_ms(busy) / p99_ms(quiet), "<=", 3, " x quiet"),
    ]
    finish("Switches under 200 requests a second", rows, bars, given.json)


def measure(fleet: SimFleet, device: AgentProcess, folder: Path, switches: int) -> tuple[list[Answer], list[Span]]:
    """Bring one release after the other onto the device; return all answers, and when each was on its way."""
    device.behaviours = None
    device.start()
    switch_to(fleet, DEVICE, tiny(folder / "1", 1))
    callers = OpenLoop(order_for(device.serve_port, device.state))
    spans: list[Span] = []
    try:
        for number in range(2, switches + 2):
            release = tiny(folder / str(number), number)
            time.sleep(QUIET_S)
            spans.append(switch_to(fleet, DEVICE, release))
        time.sleep(QUIET_S)
    finally:
        answers = callers.finish()
    return answers, spans


def within(answers: Sequence[Answer], spans: Sequence[Span]) -> list[Answer]:
    """Return what was asked in any of these times."""
    return [answer for answer in answers if any(span.from_s <= answer.due_s <= span.to_s for span in spans)]


def p99_ms(answers: Sequence[Answer]) -> float:
    """Return the latency that one in a hundred exceeds; NaN for none."""
    return quantile_ms(answers, 0.99)


def quantile_ms(answers: Sequence[Answer], share: float) -> float:
    """Return the latency that all but this share stay within; NaN for none."""
    ordered = sorted(answer.latency_s for answer in answers)
    return ordered[math.ceil(len(ordered) * share) - 1] * 1000 if ordered else math.nan


def row(name: str, answers: Sequence[Answer]) -> dict[str, str | float]:
    """Return one line of the table."""
    quantiles = {label: quantile_ms(answers, share) for label, share in (("p50 ms", 0.5), ("p99 ms", 0.99), ("max ms", 1.0))}
    return {"when": name, "requests": len(answers), **quantiles}


if __name__ == "__main__":
    main()
