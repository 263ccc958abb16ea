"""The parts of a device's page that are names and values: who it is, what it has, how it is set, and how it is reached."""

from __future__ import annotations

from datetime import datetime
from functools import partial

from nicegui import ui

from contracts.messages import Health
from fleet.core.refusals import trust_line
from fleet.dashboard.parts import ago, badge, facts, heading, row, table
from fleet.dashboard.setting_words import outcome, written
from fleet.dashboard.words import STATUSES, duration, size, words_of
from fleet.views.device_details import DeviceDetail
from fleet.views.settings import ConfigurationView

Settled = tuple[ConfigurationView | None, int, int]
Refused = tuple[datetime | None, dict[str, int]]


def draw_title(detail: DeviceDetail) -> None:
    """Its name, how it is, and why."""
    with ui.element("div").classes("ff-title"):
        heading(detail.id, 1)
        badge(detail.status)
        with ui.element("span").classes("ff-phrase ff-muted"):
            ui.label(f"{detail.hardware} · last seen")
            ago(detail.last_seen)
    if detail.status_reason:
        look = STATUSES[detail.status]
        with ui.element("div").classes(f"ff-note ff-{look.tone}").style("margin-top: 10px"):
            ui.icon(look.icon).props("aria-hidden=true")
            ui.label(detail.status_reason)


def draw_inventory(detail: DeviceDetail) -> None:
    """What it is made of, and what is left of it."""
    birth, health = detail.birth, detail.health
    if birth is None:
        ui.label("Known as soon as the device was heard.").classes("ff-muted")
        return
    machine = birth.machine
    free = f", {size(max(0, health.memory_total_bytes - health.memory_used_bytes))} free" if health else ""
    facts(
        [
            ("Hardware", birth.hardware),
            ("Targets", ", ".join(birth.targets)),
            ("Runtimes", ", ".join(f"{name} {version}" for name, version in birth.runtimes.items())),
            ("Processor", f"{machine.cpu_count} × {machine.architecture}"),
            ("Memory", size(machine.memory_bytes) + free),
            ("Disk", size(machine.disk_bytes) + (f", {size(health.disk_free_bytes)} free" if health else "")),
            *(_heat(health) if health else ()),
            ("System", machine.system),
            ("Python", machine.python),
            ("Agent", birth.agent_version),
            ("Up for", duration(round(health.uptime_s / 60) * 60) if health else ""),
        ]
    )


def _heat(health: Health) -> list[tuple[str, str]]:
    """Return what a device with such sensors tells of its temperature and its supply."""
    rails = ", ".join(f"{name} {watts:.1f} W" for name, watts in (health.rails_w or {}).items())
    whole = "" if health.power_w is None else f"{health.power_w:.1f} W"
    supply = {None: "", True: "under-voltage", False: "strong enough"}[health.is_undervolted]
    said = (
        ("Temperature", "" if health.temperature_c is None else f"{health.temperature_c:.0f} °C"),
        ("Throttled", {None: "", True: "yes: it is slower than it could be", False: "no"}[health.is_throttled]),
        ("Edge TPU", "" if health.edge_tpu_temperature_c is None else f"{health.edge_tpu_temperature_c:.0f} °C"),
        ("Power", " of which ".join(filter(None, (whole, rails)))),
        ("Supply", supply),
    )
    return [(name, text) for name, text in said if text]


def draw_settings(settled: Settled) -> None:
    """What the fleet set on it, and what the device made of that."""
    configuration, desired, reported = settled
    if configuration is None:
        facts([("Wish", generations(desired, reported))])
        ui.label("The fleet has set nothing; its own agent.toml decides all of it.").classes("ff-muted")
        return
    found = outcome(configuration)
    with ui.element("div").classes("ff-inline"):
        ui.label(f"Revision {configuration.revision}").classes("ff-strong")
        badge(found.state)
        with ui.element("span").classes("ff-phrase ff-muted"):
            ui.label(f"by {configuration.author or 'somebody'}")
            ago(configuration.at)
    ui.label(found.text).classes("ff-tile-note")
    facts([("Wish", generations(desired, reported))])
    if not configuration.settings:
        ui.label("It sets nothing; its own agent.toml decides all of it.").classes("ff-muted")
        return
    with table(["Setting", "Value"]):
        for path, value in configuration.settings.items():
            row(path, written(value))


def generations(desired: int, reported: int) -> str:
    """Say whether a device has seen what is wished of it."""
    if desired == reported:
        return f"generation {desired}, seen by the device"
    return f"generation {desired}, of which the device has seen {reported}"


def draw_link(detail: DeviceDetail) -> None:
    """Whether it is reached, and what never came of it."""
    facts([("Contact", "online" if detail.online else "no contact"), ("Session", detail.birth.session if detail.birth else "")])
    if not detail.gaps:
        ui.label("No message of it is missing.").classes("ff-muted")
        return
    with table(["Missing", "Numbers", "Of", "When"]):
        for gap in detail.gaps:
            row(str(gap.lost), gap.missing, gap.model or "all kinds", partial(ago, gap.at))


def draw_refusals(refused: Refused) -> None:
    """Wishes that the device refused, by class of attack."""
    newest, classes = refused
    if not classes:
        ui.label(trust_line(newest, classes)).classes("ff-muted")
        return
    with table(["Attack", "Wishes refused"]):
        for name, count in sorted(classes.items(), key=lambda item: (-item[1], item[0])):
            row(partial(_draw_attack, name), str(count))
    ui.label(trust_line(newest, classes)).classes("ff-tile-note")


def _draw_attack(name: str) -> None:
    with ui.element("span").classes("ff-inline"):
        ui.icon("gpp_bad").classes("ff-bad-ink").props("aria-hidden=true")
        ui.label(words_of(name))
