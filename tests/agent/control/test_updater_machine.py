"""The real updaters of two models through whatever may happen to them, in any order: never two bad releases, never less than before."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.sim.time import SimulatedTime
from tests.sim.updating import LONG_S, MODELS, RELEASES, Device

models = st.sampled_from(MODELS)


class AnyDay(RuleBasedStateMachine):
    """One device, from its first boot to a long rest."""

    def __init__(self) -> None:
        """Provision it."""
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="fieldfare-updating-"))
        self.time = SimulatedTime()
        self.device = Device(self.folder / "state")

    @initialize()
    def boot(self) -> None:
        """Start for the first time."""
        self.time.go_on(self.device.boot())

    @rule(model=models, number=st.sampled_from([None, *RELEASES]), seconds=st.sampled_from([0.0, 15.0, 100.0, 100.0]))
    def wish(self, model: str, number: int | None, seconds: float) -> None:
        """The fleet wishes something else, and leaves it some time."""
        self.time.go_on(self._do(lambda: self.device.wish(model, number)))
        self.time.go_on(asyncio.sleep(seconds))

    @rule(seconds=st.sampled_from([1.0, 20.0, 100.0, 700.0, 4000.0]))
    def wait(self, seconds: float) -> None:
        """Time goes by."""
        self.time.go_on(asyncio.sleep(seconds))

    @rule(is_full=st.booleans())
    def fill(self, is_full: bool) -> None:
        """The disk takes nothing more, or everything again."""
        self.device.disk.is_full = is_full

    @rule(model=models, hangs=st.booleans())
    def fail(self, model: str, hangs: bool) -> None:
        """A worker crashes, or hangs."""

        def fail() -> None:
            worker = self.device.launcher.newest_of.get(model)
            if worker is not None and hangs:
                worker.has_hung = True
            elif worker is not None:
                worker.kill()

        self.time.go_on(self._do(fail))

    @rule(model=models)
    def rot(self, model: str) -> None:
        """A committed file loses a bit."""
        self.time.go_on(self._do(lambda: self.device.rot(model)))

    @rule(in_peace=st.booleans(), clock=st.sampled_from([0.0, 1.0, 1e6]))
    def restart(self, in_peace: bool, clock: float) -> None:
        """The agent ends and starts again, on a machine whose clock has counted from anew, or for weeks."""
        self.time.go_on(self.device.end(in_peace=in_peace))
        self.time.now_s += clock
        self.time.go_on(self.device.boot())

    @invariant()
    def nothing_is_wrong(self) -> None:
        """Look at it."""
        if hasattr(self.device, "updaters"):
            self.device.check()

    def teardown(self) -> None:
        """With nothing going wrong any more, all of it comes to an end."""
        try:
            if hasattr(self.device, "updaters"):
                self.device.disk.is_full = False
                self.time.go_on(asyncio.sleep(LONG_S))
                self.device.check()
                self.device.check_rest()
                # After another start, what lost a bit meanwhile is whole again, too.
                self.time.go_on(self.device.end(in_peace=True))
                self.time.go_on(self.device.boot())
                self.time.go_on(asyncio.sleep(LONG_S))
                self.device.check_rest()
                self.device.check_slots()
                self.time.go_on(self.device.end(in_peace=True))
        finally:
            self.time.end()
            shutil.rmtree(self.folder)

    async def _do(self, deed: object) -> None:
        assert callable(deed)
        deed()
        await asyncio.sleep(0)


AnyDay.TestCase.settings = settings(
    max_examples=20, stateful_step_count=12, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
test_whatever_happens_every_update_ends_and_nothing_is_lost = AnyDay.TestCase
