"""The part of a device's page that says what runs there: worker, provider, slots and the last outcome of each model."""

from __future__ import annotations

from functools import partial

from nicegui import ui

from contracts.messages import ModelReport, Outcome, ReleaseRef, WorkerHealth
from fleet.dashboard.parts import ago, badge, empty, mono, panel, row, table
from fleet.dashboard.words import PHASES, percent, short_digest, size
from fleet.views.device_details import DeviceDetail


def draw_models(detail: DeviceDetail) -> None:
    """One card for each model, or what to do when there is none."""
    if detail.birth is None:
        command = f"fieldfare agent run --config {detail.id}/agent.toml"
        empty("Not heard of yet", "Copy the folder that was written when it was added to the device, and start its agent there:", command)
        return
    if not detail.models:
        empty("No model runs here yet", "Bring a release to this device:", f'fieldfare rollout start MODEL --to "id = {detail.id}"')
        return
    workers = detail.health.workers if detail.health else {}
    for model, report in detail.models.items():
        _draw_model(model, report, workers.get(model), detail.desired.get(model))


def _draw_model(model: str, report: ModelReport, worker: WorkerHealth | None, desired: ReleaseRef | None) -> None:
    with panel(model) as bar:
        with bar:
            badge(report.phase.value)
            if report.phase.value == "fetching":
                ui.label(percent(report.progress)).classes("ff-muted")
            if report.reason:
                ui.label(report.reason).classes("ff-muted")
        with ui.element("div").classes("ff-columns"):
            with ui.element("div").classes("ff-stack"):
                _draw_worker(report, worker)
                if report.last:
                    _draw_outcome(report.last)
            _draw_slots(report, desired)


def _draw_worker(report: ModelReport, worker: WorkerHealth | None) -> None:
    if worker is None:
        ui.label("No word of its worker yet.").classes("ff-muted")
        return
    with ui.element("div").classes("ff-inline"):
        badge(worker.state)
        if worker.provider:
            ui.label(f"on {worker.provider}" + (f" ({worker.runtime})" if worker.runtime else ""))
        if report.endpoint:
            mono(report.endpoint)
        restarts = "1 restart" if worker.restarts == 1 else f"{worker.restarts} restarts"
        ui.label(f"{size(worker.rss_bytes)} of memory, {restarts}").classes("ff-muted")
    if worker.provider and worker.preferred_provider and worker.provider != worker.preferred_provider:
        fallen = "falls back to CPU" if "cpu" in worker.provider.lower() else f"falls back to {worker.provider}"
        with ui.element("div").classes("ff-note ff-warn"):
            ui.icon("warning").props("aria-hidden=true")
            ui.label(f"The model {fallen}: this hardware would allow {worker.preferred_provider}, but it runs on {worker.provider}.")


def _draw_slots(report: ModelReport, desired: ReleaseRef | None) -> None:
    slots = [("current", report.current), ("candidate", report.candidate), ("previous", report.previous), ("desired", desired)]
    with ui.element("div"), table(["Slot", "Release", "Digest"]):
        for slot, ref in slots:
            if ref is None:
                row(slot, "–", "–")
            else:
                row(slot, str(ref.release), partial(mono, short_digest(ref.manifest_sha256), ref.manifest_sha256))


def _draw_outcome(outcome: Outcome) -> None:
    look = PHASES[outcome.result]
    with ui.element("div").classes("ff-inline"):
        ui.label("Last outcome: release").classes("ff-muted")
        ui.label(str(outcome.release.release))
        badge(outcome.result.value)
        ago(outcome.at)
        if outcome.reason:
            ui.label(outcome.reason).classes("ff-muted" if look.tone == "good" else "")
