"""Says what one device of a rollout is and measured, so that those that failed can be compared with those that did not."""

from __future__ import annotations

from contracts.messages import Birth, Health, WorkerHealth
from fleet.core.blame import Case
from fleet.core.devices import HeardDevice
from fleet.core.rollout.model import LOST, Member

GIB = 1 << 30


def case_of(member: Member, model: str, heard: HeardDevice, health: Health | None, temperature_c: float | None) -> Case:
    """Lay flat what is known of a device; the temperature is that of its outcome."""
    facts = {"hardware": heard.device.hardware}
    if heard.birth is not None:
        # The fleet's word on a label goes before the device's own.
        facts |= {f"label.{name}": value for name, value in heard.birth.labels.items()} | _machine(heard.birth)
    facts |= {f"label.{name}": value for name, value in heard.device.labels.items()}
    report = heard.report_on(model)
    if report is not None and report.target:
        facts["target"] = report.target
    if health is not None:
        facts |= _condition(health)
        if (worker := health.workers.get(model)) is not None and worker.runtime:
            facts |= _driver(worker)
    return Case(member.device, member.phase in LOST, facts, {} if temperature_c is None else {"temperature_c": temperature_c})


def _machine(birth: Birth) -> dict[str, str]:
    machine = birth.machine
    facts = {
        "agent": birth.agent_version,
        "system": machine.system,
        "architecture": machine.architecture,
        "python": machine.python,
        "memory": f"{round(machine.memory_bytes / GIB)} GiB",
    }
    return facts | {f"runtime.{name}": version for name, version in birth.runtimes.items()}


def _driver(worker: WorkerHealth) -> dict[str, str]:
    """Return what loads the model, and the execution provider or delegate that runs it."""
    is_second_choice = worker.preferred_provider not in ("", worker.provider)
    return {"loader": worker.runtime, "driver": worker.provider + (f" for lack of {worker.preferred_provider}" if is_second_choice else "")}


def _condition(health: Health) -> dict[str, str]:
    claims = {"throttled": health.is_throttled, "undervolted": health.is_undervolted}
    return {name: "yes" if holds else "no" for name, holds in claims.items() if holds is not None}
