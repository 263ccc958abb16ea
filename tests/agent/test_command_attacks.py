"""What a stolen broker cannot do: no command that the director did not sign for this device, in time and once, is obeyed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from securesystemslib.signer import CryptoSigner

from contracts.commands import COMMAND_PAYLOAD_TYPE, MAX_COMMAND_BYTES, Command, CommandResult, Picture, RestartOrder, SnapshotOrder
from contracts.messages import DeviceEvent, Health, Reported
from contracts.topics import of_command
from tests.agent.conftest import DEVICE, AgentProcess, listening_fleet, provisioned_device, running_broker
from tests.agent.test_update_journeys import committed
from tests.sim.fleet import SimFleet
from tests.sim.signed import command_for, sealed


def forge(fleet: SimFleet) -> None:
    """Sign with another key that pretends to be the director's."""
    command = command_for(DEVICE, SnapshotOrder())
    fleet.tell(of_command(DEVICE, command.id), sealed(command, COMMAND_PAYLOAD_TYPE, CryptoSigner.generate_ed25519()))


def outlive(fleet: SimFleet) -> None:
    """Send a genuine command that has ended."""
    fleet.command(command_for(DEVICE, RestartOrder(), expires_in=timedelta(seconds=-1)))


def misdirect(fleet: SimFleet) -> None:
    """Send here what another device was asked."""
    command = command_for("pi-2", SnapshotOrder())
    fleet.tell(of_command(DEVICE, command.id), sealed(command, COMMAND_PAYLOAD_TYPE, fleet.repository.director))


def swell(fleet: SimFleet) -> None:
    """Send more than any command is."""
    fleet.tell(of_command(DEVICE, "0" * 32), b" " * (MAX_COMMAND_BYTES + 1))


def scramble(fleet: SimFleet) -> None:
    """Send as many bytes of no envelope as a command may have."""
    fleet.tell(of_command(DEVICE, "2" * 32), bytes(MAX_COMMAND_BYTES))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[SimFleet, AgentProcess]]:
    """A device that serves release 1 and shows pictures."""
    folder: Path = tmp_path_factory.mktemp("attacks")
    with running_broker(folder) as broker, listening_fleet(broker) as fleet, provisioned_device(folder, fleet) as device:
        with device.config.open("a") as file:
            file.write("[commands]\nsnapshot = true\n")
        device.start()
        committed(fleet, device, 1)
        yield fleet, device


def ended(fleet: SimFleet, command: Command, *, since: int = 0) -> CommandResult:
    """Wait for a command's end."""
    return fleet.wait_for(CommandResult, DEVICE, lambda said: said.command == command.id and said.state != "running", since=since)


def count_refusals(fleet: SimFleet, refusal: str, *, since: int = 0, at_least: int = 1) -> int:
    """Return how many of a class the device counted."""
    said = fleet.wait_for(Reported, DEVICE, lambda report: report.refused.get(refusal, 0) >= at_least, since=since)
    return said.refused[refusal]


@pytest.mark.parametrize(
    ("attack", "refusal"),
    [
        (forge, "forged"),
        (scramble, "forged"),
        (outlive, "expired"),
        (misdirect, "wrong_device"),
        (swell, "endless_data"),
    ],
)
def test_a_command_that_must_not_be_obeyed_is_refused_by_its_class_and_counted(
    served: tuple[SimFleet, AgentProcess], attack: Callable[[SimFleet], None], refusal: str
) -> None:
    fleet, device = served
    mark = fleet.mark
    attack(fleet)
    fleet.wait_for_refusal(DEVICE, refusal, since=mark)
    assert count_refusals(fleet, refusal, since=mark) >= 1
    assert fleet.all(CommandResult, since=mark) == []
    assert list((device.state / "pictures").iterdir()) == []
    assert fleet.wait_for(Health, DEVICE, lambda _: True, since=mark).workers["digits"].restarts == 0


def test_a_genuine_command_is_obeyed_once_and_never_again_not_even_by_the_next_agent(served: tuple[SimFleet, AgentProcess]) -> None:
    # Given a picture that was asked for, and came
    fleet, device = served
    command = command_for(DEVICE, SnapshotOrder())
    raw = fleet.command(command)
    found = ended(fleet, command).findings
    assert isinstance(found, Picture)
    assert list((device.state / "pictures").iterdir()) == []
    audit = fleet.wait_for(DeviceEvent, DEVICE, lambda event: event.kind == "command" and event.facts["command"] == command.id)
    assert (audit.facts["asker"], audit.facts["outcome"]) == ("anna", "ok")
    # When the broker says it again, then it is refused
    mark = fleet.mark
    fleet.tell(of_command(DEVICE, command.id), raw)
    fleet.wait_for_refusal(DEVICE, "replayed", since=mark)
    before = count_refusals(fleet, "replayed", since=mark)
    # And so it is under another name, or by an agent that has started since
    fleet.tell(of_command(DEVICE, "1" * 32), raw)
    fleet.wait_for_refusal(DEVICE, "forged", since=mark)
    device.stop()
    device.start()
    fleet.wait_for_model(DEVICE, lambda model: model.current is not None, since=fleet.mark)
    fleet.tell(of_command(DEVICE, command.id), raw)
    count_refusals(fleet, "replayed", since=mark, at_least=before + 1)
    assert fleet.all(CommandResult, since=mark) == []
