"""Keeps watch over a runtime: how long a call lasts, and whether a fault is the caller's or the end of the accelerator."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from agent.runtimes.errors import InferenceError, RuntimeLostError

if TYPE_CHECKING:
    from agent.runtimes.port import Arrays, Runtime
    from contracts.tensors import TensorSpec


class Vigil:
    """A runtime that is watched; it may be asked about from another thread than the one that uses it."""

    def __init__(self, runtime: Runtime) -> None:
        """Watch `runtime`, which must be able to do again what it did first."""
        self.slowest_s = 0.0
        # Why it can compute nothing any more, such as a device that was unplugged.
        self.lost = ""
        self._runtime = runtime
        self._began_s: float | None = None
        self._first: Arrays | None = None

    @property
    def name(self) -> str:
        """The runtime's name, as in a manifest."""
        return self._runtime.name

    @property
    def version(self) -> str:
        """The installed library's version."""
        return self._runtime.version

    @property
    def provider(self) -> str:
        """What really runs the model."""
        return self._runtime.provider

    @property
    def preferred_provider(self) -> str:
        """What this hardware's best would have been."""
        return self._runtime.preferred_provider

    @property
    def is_exclusive(self) -> bool:
        """Whether what runs it serves no other process meanwhile."""
        return self._runtime.is_exclusive

    @property
    def placement(self) -> dict[str, int]:
        """How many of the model's operators each provider runs."""
        return self._runtime.placement

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """What `infer` takes."""
        return self._runtime.inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """What `infer` gives."""
        return self._runtime.outputs

    @property
    def age_s(self) -> float:
        """How long the call under way has lasted; 0 without one."""
        began_s = self._began_s
        return 0.0 if began_s is None else monotonic() - began_s

    def infer(self, inputs: Arrays) -> Arrays:
        """Run one sample; raise InferenceError, or RuntimeLostError when what once worked fails as well."""
        try:
            outputs = self._timed(inputs)
        except InferenceError as error:
            self._check_that_it_lives(error)
            raise
        if self._first is None:
            # A sample of the golden set, which is the first to be run.
            self._first = {name: values.copy() for name, values in inputs.items()}
        return outputs

    def forget_warm_up(self) -> None:
        """Let what was measured while kernels were chosen and caches filled not count."""
        self.slowest_s = 0.0

    def _timed(self, inputs: Arrays) -> Arrays:
        self._began_s = began_s = monotonic()
        try:
            return self._runtime.infer(inputs)
        finally:
            self._began_s = None
            self.slowest_s = max(self.slowest_s, monotonic() - began_s)

    def _check_that_it_lives(self, cause: InferenceError) -> None:
        if self._first is None:
            return
        try:
            self._timed(self._first)
        except InferenceError as error:
            lost = RuntimeLostError(self.provider, str(error))
            self.lost = str(lost)
            raise lost from cause
