"""Why a model cannot be loaded or run on this device."""

from __future__ import annotations

from agent.errors import AgentError


class RuntimeFaultError(AgentError):
    """Root of what can go wrong between a model and its runtime."""

    exit_status = 1


class RuntimeMissingError(RuntimeFaultError):
    """The runtime is not installed, or its installation does not work."""

    def __init__(self, runtime: str, extra: str, found: str) -> None:
        super().__init__(f"runtime {runtime}: expected a working installation, found {found}; run: pip install 'fieldfare[{extra}]'")
        self.runtime = runtime


class ModelUnloadableError(RuntimeFaultError):
    """The runtime does not take the model's file."""

    def __init__(self, file: str, runtime: str, found: str) -> None:
        super().__init__(f"{file}: expected a model that {runtime} loads, found: {_one_line(found)}")
        self.file = file


class CpuFallbackError(RuntimeFaultError):
    """The release was compiled for an accelerator which does not take it, and the device's policy leaves nothing to the CPU."""

    def __init__(self, file: str, provider: str, found: str) -> None:
        super().__init__(
            f"{file}: expected {provider} to run it, found: {_one_line(found)}; see to the accelerator, "
            "or set runtime.allow_cpu_fallback = true in agent.toml"
        )
        self.file = file
        self.provider = provider


class TensorMismatchError(RuntimeFaultError):
    """The model's tensors are not those that its manifest promises."""

    def __init__(self, file: str, expected: str, found: str) -> None:
        super().__init__(f"{file}: expected {expected}, found {found}; compile the model again")
        self.file = file


class InferenceError(RuntimeFaultError):
    """The runtime failed on one sample."""

    def __init__(self, runtime: str, found: str) -> None:
        super().__init__(f"runtime {runtime}: expected outputs, found: {_one_line(found)}")


class RuntimeLostError(RuntimeFaultError):
    """The runtime fails on what it computed before, as it does when its accelerator is unplugged; the worker ends."""

    def __init__(self, provider: str, found: str) -> None:
        super().__init__(f"{provider} is lost: expected the outputs of its first golden sample, found: {_one_line(found)}")


def _one_line(text: str, limit: int = 500) -> str:
    return " ".join(text.split())[:limit]
