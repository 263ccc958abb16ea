"""What callers notice of a candidate that runs in shadow: 200 requests a second that wait for nobody, with it and without it in turn."""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from pathlib import Path

from benchmarks.bars import Bar, finish, parser
from benchmarks.switch import p99_ms, quantile_ms, row, within
from contracts.lifecycle import Phase
from contracts.messages import InferenceWindow
from contracts.shadow import ShadowTerms
from tests.agent.conftest import DEVICE, AgentProcess, listening_fleet, provisioned_device, running_broker
from tests.sim.fleet import SimFleet
from tests.sim.open_loop import OK, Answer, OpenLoop
from tests.sim.releases import Release
from tests.sim.switches import Span, order_for, switch_to, tiny
from tests.sim.tiny_release import MODEL

TURNS = 6
TURN_S, SETTLE_S = 5.0, 2.0
TERMS = ShadowTerms(share=0.05, max_cpu_share=0.5)


def main() -> None:
    """Measure in one run, print, and exit 1 when a bar falls short."""
    arguments = parser(__doc__ or "")
    arguments.add_argument("--turns", type=int, default=TURNS)
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with running_broker(folder) as broker, listening_fleet(broker) as fleet, provisioned_device(folder, fleet) as device:
            device.behaviours = None
            live, candidate = tiny(folder / "1", 1), tiny(folder / "2", 2, seed=1)
            device.start()
            switch_to(fleet, DEVICE, live)
            fleet.release(candidate)
            answers, alone, beside = measure(fleet, device, live, candidate, given.turns)
            told = [window.shadow for window in fleet.all(InferenceWindow) if window.shadow is not None]
    quiet, busy = within(answers, alone), within(answers, beside)
    failed = Counter(answer.status for answer in answers if answer.status != OK)
    print(f"the candidate compared {sum(part.compared for part in told)} inputs, and dropped {sum(part.dropped for part in told)}")
    beside_it = sum(answer.status != OK for answer in busy)
    print(f"failed by status (503: too many wait, on a machine that is too busy): {dict(failed)}; {beside_it} beside the shadow")
    bars = [
        Bar("failed_requests", failed.total(), "<=", 0),
        Bar("compared", sum(part.compared for part in told), ">=", 1),
        Bar("p50_beside_shadow", quantile_ms(busy, 0.5) / quantile_ms(quiet, 0.5), "<=", 1.5, " x alone"),
        Bar("p99_beside_shadow", p99_ms(busy) / p99_ms(quiet), "<=", 2, " x alone"),
    ]
    finish(
        "Callers beside a shadow of 5 % of the inputs",
        [row("alone", quiet), row("beside a shadow", busy), row("all", answers)],
        bars,
        given.json,
    )


def measure(
    fleet: SimFleet, device: AgentProcess, live: Release, candidate: Release, turns: int
) -> tuple[list[Answer], list[Span], list[Span]]:
    """Have the candidate come and go; return all answers, when the live release was alone, and when it was not."""
    callers = OpenLoop(order_for(device.serve_port, device.state))
    alone: list[Span] = []
    beside: list[Span] = []
    try:
        for turn in range(turns):
            alone.append(_turn())
            mark = fleet.mark
            fleet.shadow(DEVICE, 10 + 2 * turn, live, candidate, TERMS)
            fleet.wait_for_model(DEVICE, lambda model: model.phase is Phase.SHADOW, model=MODEL, since=mark, timeout_s=60)
            beside.append(_turn())
            mark = fleet.mark
            fleet.wish(DEVICE, 11 + 2 * turn, live)
            fleet.wait_for_model(DEVICE, lambda model: model.phase is Phase.COMMITTED, model=MODEL, since=mark, timeout_s=60)
    finally:
        answers = callers.finish()
    return answers, alone, beside


def _turn() -> Span:
    time.sleep(SETTLE_S)
    began_s = time.monotonic()
    time.sleep(TURN_S)
    return Span(began_s, time.monotonic())


if __name__ == "__main__":
    main()
