"""A played device in simulated time: what it says is valid, and updates come to the end that the scenario gives them."""

from __future__ import annotations

import base64
import json
from datetime import datetime, timedelta, timezone
from random import Random

import pytest

from contracts.configuration import BASE, Configuration
from contracts.downlinks import Desired
from contracts.lifecycle import Phase
from contracts.messages import UPLINK_MESSAGES, Health, InferenceWindow, Message, ModelReport, ReleaseRef, Reported
from contracts.settings import SettingValue
from fleet.simulate.device import Device, Say
from fleet.simulate.play import Play
from fleet.simulate.scenario import Behaviour, Faults, Group, ReleaseEffect, Scenario
from fleet.simulate.settings import ref_of

BEGAN_S = 1_800_000_000.0
REF = ReleaseRef(model="digits", release=2, manifest_sha256="ab" * 32)


def envelope(
    release: ReleaseRef | None = REF, generation: int = 1, device: str = "sim-0", configuration: Configuration | None = None
) -> bytes:
    now = datetime.fromtimestamp(BEGAN_S, timezone.utc)
    models = {} if release is None else {release.model: release}
    dates = {"issued_at": now, "expires_at": now + timedelta(days=30)}
    wish = Desired.model_validate({"device": device, "generation": generation, **dates, "models": models, "configuration": configuration})
    return json.dumps({"payload": base64.b64encode(wish.model_dump_json().encode()).decode(), "signatures": []}).encode()


def play(behaviour: Behaviour = Behaviour.STEADY, **more: object) -> tuple[Play, Device]:
    scenario = Scenario.model_validate({"groups": (Group(share=1, behaviour=behaviour),), **more})
    played = Play(scenario, Random(1), "1.0")
    device = Device("sim-0", scenario.groups[0], "rpi5")
    played.boot(device, BEGAN_S)
    return played, device


def run(played: Play, device: Device, seconds: float) -> list[Message]:
    """Let time pass, and return all that was said."""
    said: list[Say] = []
    now_s = BEGAN_S
    while device.next_s <= BEGAN_S + seconds:
        now_s = max(now_s, device.next_s)
        said += played.due(device, now_s)
    return [UPLINK_MESSAGES[say.leaf].model_validate_json(say.payload) for say in said]


def phases(said: list[Message]) -> list[Phase]:
    return [message.models["digits"].phase for message in said if isinstance(message, Reported)]


def test_a_release_goes_through_every_phase_and_is_served() -> None:
    played, device = play()

    first = played.hear(device, envelope(), BEGAN_S)
    said = run(played, device, 120)

    assert len(first) == 1
    assert phases(said) == [Phase.STAGING, Phase.TESTING, Phase.SWITCHING, Phase.PROBATION, Phase.COMMITTED]
    windows = [message for message in said if isinstance(message, InferenceWindow)]
    assert {window.release for window in windows} == {REF}
    assert all(window.latencies is not None and window.latencies.count for window in windows)


def test_the_same_wish_again_and_one_for_another_change_nothing() -> None:
    played, device = play()
    played.hear(device, envelope(), BEGAN_S)
    run(played, device, 120)

    assert played.hear(device, envelope(), BEGAN_S + 120) == []
    assert played.hear(device, envelope(generation=9, device="sim-1"), BEGAN_S + 120) == []
    assert played.hear(device, b"{}", BEGAN_S + 120) == []
    played.hear(device, envelope(generation=2), BEGAN_S + 121)
    assert device.updates is not None
    assert device.updates["digits"].phase is Phase.COMMITTED


@pytest.mark.parametrize(
    ("behaviour", "more", "end", "reason"),
    [
        (Behaviour.FAILING, {}, Phase.ROLLED_BACK, "golden set"),
        (Behaviour.STEADY, {"faults": Faults(disk_full=1.0)}, Phase.FAILED, "disk"),
        (Behaviour.STEADY, {"releases": {"digits 2": ReleaseEffect(rolled_back=1.0)}}, Phase.ROLLED_BACK, "3 crashes"),
        (Behaviour.SLOW, {"download_s": 1.0, "probation_s": 1.0}, Phase.COMMITTED, ""),
    ],
)
def test_an_update_comes_to_the_end_that_the_scenario_gives_it(
    behaviour: Behaviour, more: dict[str, object], end: Phase, reason: str
) -> None:
    played, device = play(behaviour, **more)
    played.hear(device, envelope(), BEGAN_S)

    said = run(played, device, 600)

    reports = [message for message in said if isinstance(message, Reported)]
    last = reports[-1].models["digits"].last
    assert last is not None
    assert (last.result, last.release) == (end, REF)
    assert last.reason.startswith(reason)


def test_a_bad_release_shows_in_errors_and_latency() -> None:
    played, device = play(releases={"digits 2": ReleaseEffect(errors=0.5, latency_factor=3.0)}, requests_per_s=10.0)
    played.hear(device, envelope(), BEGAN_S)

    windows = [message for message in run(played, device, 900) if isinstance(message, InferenceWindow)]

    share = sum(window.errors for window in windows) / sum(window.requests for window in windows)
    assert 0.4 < share < 0.62
    assert all(window.latency_ms.p50 > 40 for window in windows)


def test_a_drifting_device_sees_ever_more_of_one_class() -> None:
    played, device = play(Behaviour.DRIFTING)
    played.hear(device, envelope(), BEGAN_S)

    windows = [message for message in run(played, device, 3600) if isinstance(message, InferenceWindow)]

    assert windows[0].classes["0"] < windows[-1].classes["0"]
    assert windows[-1].classes["0"] >= 0.9 * windows[-1].requests


def test_a_wrong_clock_is_decades_off_and_nothing_else_is() -> None:
    played, device = play(Behaviour.WRONG_CLOCK)

    (health, *_) = [message for message in run(played, device, 60) if isinstance(message, Health)]

    assert health.sent_at.year < 2010
    assert health.uptime_s < 60


def test_a_flaky_link_breaks_and_the_next_session_is_another() -> None:
    played, device = play(Behaviour.FLAKY)
    before, breaks_s = device.session, device.leave_s

    back_s = played.leave(device, breaks_s)
    played.boot(device, back_s)

    assert breaks_s < BEGAN_S + 3600
    assert back_s > breaks_s
    assert device.session != before


def test_a_reboot_ends_the_session_and_what_was_under_way_goes_on_afterwards() -> None:
    played, device = play(faults=Faults(reboots_per_day=24.0))
    played.hear(device, envelope(), BEGAN_S)
    reboot_s = device.leave_s

    back_s = played.leave(device, reboot_s)
    session = device.session
    played.boot(device, back_s)
    said = run(played, device, back_s - BEGAN_S + 120)

    assert BEGAN_S < reboot_s < BEGAN_S + 24 * 3600
    assert device.session != session
    assert phases(said)[-1] is Phase.COMMITTED
    health = next(message for message in said if isinstance(message, Health))
    assert health.session == device.session
    assert health.uptime_s <= 30


def settings(revision: int, **changes: SettingValue) -> Configuration:
    return Configuration(revision=revision, settings={path.replace("__", "."): value for path, value in changes.items()})


def set_to(played: Play, device: Device, configuration: Configuration, seconds: float = 30) -> list[ModelReport]:
    """Wish settings, let time pass, and return what was reported of them."""
    first = played.hear(device, envelope(None, device.generation + 1, configuration=configuration), BEGAN_S)
    said = [Reported.model_validate_json(say.payload) for say in first] + run(played, device, seconds)
    return [message.configuration for message in said if isinstance(message, Reported) and message.configuration is not None]


def test_a_device_that_was_never_set_says_that_it_takes_settings() -> None:
    played, device = play()
    report = Reported.model_validate_json(played.report(device, BEGAN_S).payload).configuration
    assert report is not None
    assert (report.phase, report.current) == (Phase.COMMITTED, ref_of(BASE))


def test_settings_are_proved_by_living_with_them_and_kept_over_a_restart() -> None:
    played, device = play(probation_s=10)
    wanted = settings(2, telemetry__health_interval_s=1.0)
    said = set_to(played, device, wanted)
    order = [Phase.FETCHING, Phase.STAGING, Phase.TESTING, Phase.SWITCHING, Phase.PROBATION, Phase.COMMITTED]
    assert list(dict.fromkeys(report.phase for report in said)) == order
    assert said[-1].current == ref_of(wanted)
    # Then it speaks as often as they ask for, also after it was away
    played.leave(device, BEGAN_S + 30)
    played.boot(device, BEGAN_S + 30)
    assert sum(isinstance(message, Health) for message in run(played, device, 60)) >= 29
    # And older ones, and the same again, change nothing
    assert all(report.phase is Phase.COMMITTED for report in set_to(played, device, wanted, 0) + set_to(played, device, BASE, 0))


@pytest.mark.parametrize(
    ("changes", "behaviour", "end", "reason"),
    [
        ({"telemetry__health_interval_s": "often"}, Behaviour.STEADY, Phase.REJECTED, "telemetry.health_interval_s"),
        ({"telemetry__colour": 1}, Behaviour.STEADY, Phase.REJECTED, "telemetry.colour"),
        ({"worker__memory_mib": 8192}, Behaviour.STEADY, Phase.ROLLED_BACK, "worker.memory_mib: expected at most the device's 4096"),
        ({"delivery__folder": "/media/stick"}, Behaviour.STEADY, Phase.ROLLED_BACK, "delivery.folder"),
        ({"telemetry__window_s": 5.0}, Behaviour.FAILING, Phase.ROLLED_BACK, "health: expected"),
    ],
)
def test_settings_that_make_no_sense_are_refused_for_their_reason_and_not_tried_again(
    changes: dict[str, SettingValue], behaviour: Behaviour, end: Phase, reason: str
) -> None:
    played, device = play(behaviour, probation_s=5)
    wanted = settings(2, **changes)
    last = set_to(played, device, wanted)[-1]
    assert (last.phase, last.current) == (end, ref_of(BASE))
    assert last.last is not None
    assert reason in last.last.reason
    assert [report.phase for report in set_to(played, device, wanted)] == [end]
