"""What `fieldfare agent enroll --set` makes of its words."""

from __future__ import annotations

import pytest

from agent.config_file import UNKNOWN, check_settings, config_of, to_toml
from contracts.enrolment import Enrolled
from contracts.errors import InvalidDocumentError

CERTIFICATE = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
ENROLLED = Enrolled(
    device="pi-1", hardware="rpi5", labels={}, certificate=CERTIFICATE, root="{}", broker_host="broker.example", broker_port=8883
)


def test_a_list_is_given_by_commas() -> None:
    settings = {"delivery.sources": "folder, https", "delivery.urls": "https://cdn.example/a", "delivery.hours": "22:00-06:00"}

    config = config_of(ENROLLED, "https://fleet.example:8481", settings)

    assert config.delivery.sources == ("folder", "https")
    assert config.delivery.urls == ("https://cdn.example/a",)
    assert config.delivery.hours == "22:00-06:00"
    assert 'sources = ["folder", "https"]' in to_toml(config)


@pytest.mark.parametrize("value", ["mqtt,smoke", "", "mqtt,,folder", "mqtt,https,folder,mqtt"])
def test_a_list_of_something_else_is_refused_by_its_name(value: str) -> None:
    with pytest.raises(InvalidDocumentError, match=r"--set: delivery\.sources"):
        check_settings({"delivery.sources": value})


def test_the_stand_in_for_what_the_fleet_has_not_said_is_a_whole_configuration() -> None:
    check_settings({})
    assert set(UNKNOWN) == {"device", "broker"}
