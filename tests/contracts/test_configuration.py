"""Which settings a fleet may change, and what they make of an agent.toml: those and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from contracts import codec
from contracts.agent_config import AgentConfig
from contracts.configuration import BASE, PATHS, SETTABLE, Configuration, check_settings, configured, parse_setting
from contracts.errors import InvalidDocumentError
from contracts.settings import Settings

OWN = AgentConfig.model_validate(
    {"device": {"id": "pi-1", "hardware": "rpi5", "labels": {"site": "lyon"}}, "broker": {"host": "broker", "port": 8883}}
)
ADAPTER: TypeAdapter[Settings] = TypeAdapter(Settings)
# A value other than the default for every setting.
VALUES: Settings = {
    "broker.host": "other", "broker.port": 1883, "broker.keepalive_s": 60,
    "telemetry.health_interval_s": 60.0, "telemetry.window_s": 60.0, "telemetry.outbox_max_bytes": 1 << 20,
    "telemetry.outbox_max_age_s": 7200.0,
    "update.probation_s": 60.0, "update.max_error_share": 0.1, "update.max_error_rise": 0.1, "update.max_latency_ratio": 3.0,
    "update.max_growth_mib_per_h": 10.0, "update.max_temperature_rise_c": 5.0,
    "worker.inference_s": 5.0, "worker.memory_mib": 512, "storage.earlier_releases": 3, "storage.max_bytes": 1 << 30,
    "delivery.sources": ("https", "mqtt"), "delivery.server": "https://fleet.example.org", "delivery.urls": ("https://cdn.example.org/a",),
    "delivery.release_hosts": ("cdn.example.org",),
    "delivery.folder": "stick", "delivery.max_bytes_per_s": 1e6, "delivery.hours": "22:00-06:00",
}  # fmt: skip


def test_every_setting_is_one_of_agent_toml_and_none_says_who_the_device_is_or_whom_it_believes() -> None:
    assert set(VALUES) == PATHS
    document = OWN.model_dump()
    for section, keys in SETTABLE.items():
        assert set(keys) <= set(document[section])
    assert not {"device", "trust", "serve"} & set(SETTABLE)
    assert not {"ca_file", "identity_file"} & set(SETTABLE["broker"])


@given(st.sets(st.sampled_from(sorted(PATHS))))
def test_settings_change_what_they_name_and_nothing_else(paths: set[str]) -> None:
    settings = {path: VALUES[path] for path in paths}
    before, after = OWN.model_dump(), configured(OWN, settings).model_dump()
    changed = {f"{section}.{key}" for section, table in before.items() for key in table if table[key] != after[section][key]}
    assert changed == paths
    # Setting them again changes nothing
    assert configured(configured(OWN, settings), settings) == configured(OWN, settings)


ANYTHING = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text("a1.:/-", max_size=5))


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(PATHS)), ANYTHING))
def test_a_value_is_either_one_of_its_setting_or_refused_by_name(settings: dict[str, object]) -> None:
    blamed = ""
    checked: Settings = {}
    try:
        checked = check_settings(settings)  # type: ignore[arg-type]  # anything that may come over a wire
    except InvalidDocumentError as error:
        blamed = error.field
    assert blamed == "" or any(blamed.startswith(path) for path in settings)
    assert check_settings(checked) == checked == ADAPTER.validate_json(codec.canonical(checked))


@pytest.mark.parametrize(("path", "value"), list(VALUES.items()))
def test_what_is_typed_is_read_as_its_setting_s_own_kind(path: str, value: object) -> None:
    typed = ", ".join(value) if isinstance(value, tuple) else str(value)
    assert parse_setting(path, typed) == value


def test_a_revision_and_its_settings_are_named_by_one_digest() -> None:
    one = Configuration(revision=2, settings={"worker.memory_mib": 512})
    assert Configuration.model_validate_json(codec.encode(one)).sha256 == one.sha256
    assert one.sha256 != Configuration(revision=3, settings=one.settings).sha256
    assert one.sha256 != Configuration(revision=2, settings={"worker.memory_mib": 513}).sha256
    assert BASE.settings == {}
