"""`fieldfare device configure`: sets agents from afar, and says before what would change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from contracts.enrolment import parse_pairs
from contracts.errors import InvalidDocumentError
from contracts.settings import Settings, SettingValue
from fleet.cli.client import connected, request
from fleet.cli.options import AsJson, Folder
from fleet.cli.output import ago, print_json, print_table, styled
from fleet.cli.pages import every
from fleet.requests.settings import ConfigurationChange
from fleet.views.settings import ConfigurationView, ConfiguredDevice, ConfiguringView, DeviceSettings, SettingsState

if TYPE_CHECKING:
    from rich.text import Text


def configure(
    device: Annotated[str | None, typer.Argument(metavar="[ID]", help="The device's id.")] = None,
    query: Annotated[str | None, typer.Option("--to", metavar="QUERY", help="All devices that a query means.")] = None,
    setting: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="PATH=VALUE", help="Such as telemetry.window_s=30; lists as A,B; repeatable."),
    ] = None,
    unset: Annotated[
        list[str] | None, typer.Option("--unset", metavar="PATH", help="Leave it to the device's agent.toml; repeatable.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would change, and change nothing.")] = False,
    folder: Folder = None,
    as_json: AsJson = False,
) -> None:
    """Set how agents work. Each device tries it on probation, and goes back by itself to what it had if its link or its models suffer."""
    from contracts.configuration import PATHS, parse_setting  # the whole of agent.toml

    if (device is None) is (query is None):
        raise InvalidDocumentError("command line", "device", "either a device's id or --to QUERY", "both" if device else "neither")
    if not setting and not unset:
        raise InvalidDocumentError("command line", "--set", f"--set or --unset with one of {', '.join(sorted(PATHS))}", "neither")
    pairs = parse_pairs("--set", tuple(setting or ()), may_be_empty=True)
    values = {path: parse_setting(path, text) for path, text in pairs.items()}
    where = f'id = "{device}"' if query is None else query
    change = request(ConfigurationChange, query=where, set=values, unset=tuple(unset or ()), dry_run=dry_run)
    with connected(folder) as api:
        if dry_run:
            foreseen = every(api, "configurations/trial", ConfiguredDevice, question=change)
            print_json(foreseen) if as_json else _show(foreseen, dry_run=True)
            return
        done = api.post("configurations", change, ConfiguringView)
    if as_json:
        print_json(done)
        return
    _show(done.such_as, dry_run=False)
    if done.changed:
        typer.echo(f"{done.changed} of {done.devices} devices change; how they take it: fieldfare device settings --to '{where}'")


def settings(
    query: Annotated[str, typer.Option("--to", metavar="QUERY", help="Only devices that a query means.")] = "",
    state: Annotated[SettingsState | None, typer.Option(help="Only devices of which this is so.")] = None,
    folder: Folder = None,
    as_json: AsJson = False,
) -> None:
    """List what devices are set to and which of them follow; those of which nothing was ever set are not named."""
    wanted = {name: value for name, value in (("query", query), ("state", state)) if value}
    with connected(folder) as api:
        found = every(api, "configurations", DeviceSettings, wanted)
    if as_json:
        print_json(found)
        return
    rows = [(one.device, str(one.revision), styled(one.state, one.reason), _settings(one.settings)) for one in found]
    print_table(("DEVICE", "REVISION", "STATE", "SETTINGS"), rows, empty="no device is set to anything that was asked for")


def _show(done: Sequence[ConfiguredDevice], *, dry_run: bool) -> None:
    rows = [(each.device, _what(each, dry_run=dry_run), "; ".join(_differences(each))) for each in done]
    print_table(("DEVICE", "REVISION", "CHANGE"), rows, empty="the query matches no device")


def configuration_facts(view: ConfigurationView | None) -> list[tuple[str, str | Text]]:
    """Return what `device show` says of a device's settings."""
    if view is None:
        return []
    who = f"by {view.author or 'somebody'} {ago(view.at)}"
    facts: list[tuple[str, str | Text]] = [("settings", f"revision {view.revision} {who}: {_settings(view.settings)}")]
    report = view.reported
    if report is not None and report.current is not None:
        in_force = f"revision {report.current.release} ({report.current.manifest_sha256[:12]})"
        how = report.phase.value.replace("_", " ")
        facts.append(("in force", f"{in_force}, newest {how}" + (f": {report.reason}" if report.reason else "")))
    return facts


def _settings(found: Settings) -> str:
    return " ".join(f"{path}={_written(value)}" for path, value in found.items()) or "as agent.toml says"


def _what(each: ConfiguredDevice, *, dry_run: bool) -> str:
    if not each.is_change:
        return f"{each.revision}, unchanged"
    return f"{each.revision}, if it were made" if dry_run else str(each.revision)


def _differences(each: ConfiguredDevice) -> list[str]:
    """Say of each setting that changes what it was and becomes; agent.toml decides where nothing is set."""
    paths = sorted(path for path in {*each.before, *each.after} if each.before.get(path) != each.after.get(path))
    return [f"{path}: {_written(each.before.get(path))} -> {_written(each.after.get(path))}" for path in paths]


def _written(value: SettingValue | None) -> str:
    if value is None:
        return "agent.toml"
    return ",".join(value) if isinstance(value, tuple) else str(value)
