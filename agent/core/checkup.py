"""Decides what is healthy about a device and what to do about the rest, from facts that were gathered elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from agent.core.finding import Finding
from agent.core.inventory import Inventory, inventory_findings
from agent.core.renewal import Span

# A release and its download lie on the disk at the same time.
ENOUGH_DISK_BYTES = 1 << 30
LEAST_DISK_BYTES = 100 << 20
WARM_C = 75.0
# A certificate is renewed when a third of its life is left; one of which so little is left was not.
LATE_SHARE = 1 / 6
# get_throttled: what is so now, and what was since the start.
NOW_BITS = {0: "under-voltage", 1: "frequency capped", 2: "throttled", 3: "soft temperature limit"}
PAST_SHIFT = 16


@dataclass(frozen=True)
class Node:
    """A device file, the group it belongs to, and whether the service's user may open it."""

    path: str
    group: str
    is_open: bool


@dataclass(frozen=True)
class Seen:
    """What a model's camera, stream or folder shows: its size, or the problem with it."""

    model: str
    source: str
    found: str = ""
    problem: str = ""


@dataclass(frozen=True)
class Facts:
    """What was found; None where it cannot be known here, and a problem is empty where there is none."""

    service_state: str | None
    upgrade_cut_off: bool
    user: str
    now: datetime
    floor: datetime | None
    is_synchronized: bool | None
    state_dir: str
    state_problem: str
    disk_free_bytes: int | None
    broker: str
    link_problem: str
    certificate: Span | None
    certificate_problem: str
    hardware: str
    runtimes: dict[str, str]
    delegates: tuple[str, ...]
    accelerators: tuple[Node, ...]
    cameras: tuple[Node, ...]
    others: tuple[Node, ...]
    throttled_bits: int | None
    temperature_c: float | None
    inventory: Inventory
    # One for each [[source]] of agent.toml.
    sights: tuple[Seen, ...] = ()


def findings(facts: Facts) -> tuple[Finding, ...]:
    """Run every check."""
    return (*(check(facts) for check in CHECKS), *inventory_findings(facts.inventory, facts.now))


def _service(facts: Facts) -> Finding:
    if facts.upgrade_cut_off:
        advice = "the next start goes back to the version before: systemctl restart fieldfare-agent, then upgrade again"
        return Finding(check="service", verdict="warn", text="an upgrade was cut off", advice=advice)
    match facts.service_state:
        case None:
            return Finding(check="service", verdict="warn", text="not installed", advice="run: fieldfare agent install --config FOLDER")
        case "active":
            return Finding(check="service", verdict="ok", text="active")
        case state:
            return Finding(check="service", verdict="fail", text=state, advice="read: journalctl -u fieldfare-agent -e")


def _clock(facts: Facts) -> Finding:
    if facts.floor is not None and facts.now < facts.floor:
        text = f"{facts.now:%Y-%m-%d %H:%M} is before {facts.floor:%Y-%m-%d %H:%M}, which a signature vouches for"
        return Finding(check="clock", verdict="warn", text=text, advice="let NTP through (UDP 123), or fit a battery-backed clock")
    if facts.is_synchronized is False:
        advice = "enable it: timedatectl set-ntp true; until then time is only known from the fleet's signatures"
        return Finding(check="clock", verdict="warn", text="not synchronized", advice=advice)
    return Finding(check="clock", verdict="ok", text="synchronized" if facts.is_synchronized else f"{facts.now:%Y-%m-%d %H:%M} UTC")


def _disk(facts: Facts) -> Finding:
    free = facts.disk_free_bytes
    if facts.state_problem or free is None:
        advice = f"the folder must belong to {facts.user}; the service makes it at its start"
        return Finding(check="disk", verdict="fail", text=f"{facts.state_dir}: {facts.state_problem}", advice=advice)
    text = f"{free / 1e9:.1f} GB free for {facts.state_dir}"
    if free < LEAST_DISK_BYTES:
        return Finding(check="disk", verdict="fail", text=text, advice="make room: no release can be fetched")
    if free < ENOUGH_DISK_BYTES:
        return Finding(check="disk", verdict="warn", text=text, advice="make room: a large release may be refused")
    return Finding(check="disk", verdict="ok", text=text)


def _link(facts: Facts) -> Finding:
    if facts.link_problem:
        advice = f"is {facts.broker} right in agent.toml, and open in every firewall? Is the fleet up?"
        return Finding(check="link", verdict="fail", text=f"{facts.broker}: {facts.link_problem}", advice=advice)
    return Finding(check="link", verdict="ok", text=f"{facts.broker} answers, and both certificates are accepted")


def _certificate(facts: Facts) -> Finding:
    span = facts.certificate
    if span is None:
        advice = "run this as root, or enrol anew with a token of `fieldfare device token`"
        return Finding(check="certificate", verdict="fail", text=facts.certificate_problem, advice=advice)
    if span.ends <= facts.now:
        advice = "enrol anew with a token of `fieldfare device token`"
        return Finding(check="certificate", verdict="fail", text=f"ended on {span.ends:%Y-%m-%d}", advice=advice)
    if span.ends - facts.now < (span.ends - span.begins) * LATE_SHARE:
        advice = "it should have been renewed by now, which needs the link: see the check above"
        return Finding(check="certificate", verdict="warn", text=f"ends on {span.ends:%Y-%m-%d %H:%M} UTC", advice=advice)
    return Finding(check="certificate", verdict="ok", text=f"good until {span.ends:%Y-%m-%d}")


def _runtimes(facts: Facts) -> Finding:
    if not facts.runtimes:
        advice = "install one: pip install 'fieldfare[litert]' or 'fieldfare[onnx]' into the agent's environment"
        return Finding(check="runtimes", verdict="fail", text="none", advice=advice)
    return Finding(check="runtimes", verdict="ok", text=", ".join(f"{name} {version}" for name, version in sorted(facts.runtimes.items())))


def _delegates(facts: Facts) -> Finding:
    if facts.hardware == "coral" and "libedgetpu" not in facts.delegates:
        advice = "install the libedgetpu1-std that was built for the runtime's version; which one that is: docs/devices.md"
        return Finding(check="delegates", verdict="fail", text="no Edge TPU library", advice=advice)
    if facts.hardware.startswith("jetson") and "libnvinfer" not in facts.delegates:
        return Finding(check="delegates", verdict="warn", text="no TensorRT", advice="run: apt-get install nvidia-jetpack")
    return Finding(check="delegates", verdict="ok", text=", ".join(facts.delegates) or f"none needed on {facts.hardware}")


def _accelerators(facts: Facts) -> Finding:
    is_wanted = facts.hardware == "coral" or facts.hardware.startswith("jetson")
    if is_wanted and not facts.accelerators:
        advice = "check the plug and its power, then: lsusb, ls /dev/apex_* /dev/nvhost-* /dev/nvmap"
        return Finding(check="accelerators", verdict="fail", text=f"none on this {facts.hardware}", advice=advice)
    return Finding(check="accelerators", verdict="ok", text=_paths(facts.accelerators) or f"none needed on {facts.hardware}")


def _cameras(facts: Facts) -> Finding:
    blind = [f"{seen.source} for {seen.model}: {seen.problem}" for seen in facts.sights if seen.problem]
    if blind:
        advice = "check its plug, power and cable, its address in agent.toml, and whether another program holds it"
        return Finding(check="cameras", verdict="fail", text="; ".join(blind), advice=advice)
    shown = (f"{seen.source} for {seen.model}: {seen.found}" for seen in facts.sights)
    return Finding(check="cameras", verdict="ok", text="; ".join(filter(None, (_paths(facts.cameras), *shown))) or "none attached")


def _permissions(facts: Facts) -> Finding:
    closed = [node for node in (*facts.accelerators, *facts.cameras, *facts.others) if not node.is_open]
    if closed:
        groups = ",".join(sorted({node.group for node in closed}))
        advice = f"run: usermod -aG {groups} {facts.user}; systemctl restart fieldfare-agent"
        return Finding(check="permissions", verdict="fail", text=f"{facts.user} may not open {_paths(tuple(closed))}", advice=advice)
    return Finding(check="permissions", verdict="ok", text=f"{facts.user} may open every device that is there")


def _throttling(facts: Facts) -> Finding:
    bits = facts.throttled_bits or 0
    now = [name for bit, name in NOW_BITS.items() if bits >> bit & 1]
    past = [name for bit, name in NOW_BITS.items() if bits >> (bit + PAST_SHIFT) & 1]
    heat = "" if facts.temperature_c is None else f"{facts.temperature_c:.0f} °C"
    advice = "a power supply that is strong enough and a short cable; a heat sink or a fan"
    if now:
        return Finding(check="throttling", verdict="fail", text=f"now: {', '.join(now)} {heat}".strip(), advice=advice)
    if past:
        return Finding(check="throttling", verdict="warn", text=f"since the start: {', '.join(past)} {heat}".strip(), advice=advice)
    if facts.temperature_c is not None and facts.temperature_c > WARM_C:
        return Finding(check="throttling", verdict="warn", text=heat, advice="a heat sink or a fan: it will throttle soon")
    return Finding(check="throttling", verdict="ok", text=heat or "no sensor that tells")


def _paths(nodes: tuple[Node, ...]) -> str:
    return ", ".join(node.path for node in nodes)


CHECKS: tuple[Callable[[Facts], Finding], ...] = (
    *(_service, _clock, _disk, _link, _certificate, _runtimes),
    *(_delegates, _accelerators, _cameras, _permissions, _throttling),
)
