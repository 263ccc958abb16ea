"""What pages and help tell a reader to type: every command and option that they print is one that `fieldfare` has."""

from __future__ import annotations

import itertools
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

import cli

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")])
# What there was before is told there too.
HISTORY = ROOT / "CHANGELOG.md"
# A block of code is indented by four spaces after an empty line, or fenced; what is inside a sentence stands between backticks.
INLINE = re.compile(r"(?<!`)`([^`]+)`(?!`)")
LINK = re.compile(r"\]\((?!https?:)([^)#\s]+)")
CALL = re.compile(r"(?:^|(?<=[\s(])|(?<=bin/))fieldfare\)?\s+(.*)")
# Words of the shell that end a command.
ENDS = {"|", ">", ">>", "&", "&&", ";", "#"}


def printed_in_blocks(text: str) -> Iterator[str]:
    """Each line of code of a page that calls `fieldfare`, continued lines joined, without what comes before the call."""
    is_fenced = False
    for line in re.sub(r"\\\n\s*", " ", text).splitlines():
        if line.strip().startswith("```"):
            is_fenced = not is_fenced
        elif (is_fenced or line.startswith("    ")) and (called := CALL.search(line.partition(" # ")[0])):
            yield called[1]


def printed_in_sentences(text: str) -> Iterator[str]:
    """Each piece of code within a sentence that is `fieldfare ...`, or `PART COMMAND ...` without that word; alternatives one by one."""
    without_blocks = re.sub(r"(?ms)^```.*?^```", "", text)
    for found in INLINE.finditer(without_blocks):
        words = " ".join(found[1].split())
        is_whole = words.startswith("fieldfare ")
        words = words.removeprefix("fieldfare ").replace("[", "").replace("]", "")
        first, _, rest = words.partition(" ")
        is_command = first in cli.PARTS and re.split(r"[ |]", rest)[0] in getattr(command_of(first), "commands", {})
        if is_command or (is_whole and re.match(r"[a-z][a-z-]*$", first)):
            yield words


def alternatives(words: list[str]) -> Iterator[list[str]]:
    """Yield `rollout pause|resume` as two commands."""
    yield from (list(one) for one in itertools.product(*(word.split("|") if re.match(r"[a-z|-]+$", word) else [word] for word in words)))


@cache
def command_of(part: str) -> Any:
    return get_command(cli.build_app(part)).commands[part]  # type: ignore[attr-defined]  # the tree's top is a group


def fault(words: list[str], is_whole: bool) -> str | None:
    """Return what is wrong with one command, None for nothing; of a whole one also what it lacks."""
    if words[0].startswith("-") or words[0] == "COMMAND":
        return None
    if words[0] not in cli.PARTS:
        return f"no command {words[0]}"
    command, rest = command_of(words[0]), words[1:]
    while hasattr(command, "commands") and rest and not rest[0].startswith("-"):
        if rest[0] not in command.commands:
            return f"{words[0]} has no command {rest[0]}"
        command, rest = command.commands[rest[0]], rest[1:]
    return None if hasattr(command, "commands") else _refusal(command, rest, is_whole)


def _refusal(command: Any, rest: list[str], is_whole: bool) -> str | None:
    """Parse as the command itself would, without running it or looking for the files that it names."""
    options = {name: option for option in command.params for name in (*option.opts, *option.secondary_opts) if name.startswith("-")}
    arguments = 0
    given: set[str] = set()
    while rest:
        name, _, value = rest.pop(0).partition("=") if rest[0].startswith("--") else (rest.pop(0), "", "")
        if not name.startswith("-"):
            arguments += 1
        elif name != "--help" and name not in options and command.context_settings.get("ignore_unknown_options"):
            arguments += 1
        elif name != "--help" and name not in options:
            return f"{command.name} has no option {name}"
        elif name != "--help":
            given.add(options[name].name)
            if not options[name].is_flag and not value:
                if is_whole and not rest:
                    return f"{name} wants a value"
                rest = rest[1:]
    if not is_whole:
        return None
    wanted = [parameter for parameter in command.params if parameter.required]
    lacking = [parameter.name for parameter in wanted if parameter.name not in given and is_option(parameter)]
    least = sum(1 for parameter in wanted if parameter.param_type_name == "argument")
    places = [parameter for parameter in command.params if parameter.param_type_name == "argument"]
    if lacking or arguments < least:
        return f"{command.name} wants {', '.join(lacking) or 'more arguments'}"
    if arguments > len(places) and not any(place.nargs == -1 for place in places):
        return f"{command.name} takes {len(places)} arguments, found {arguments}"
    return None


def is_option(parameter: Any) -> bool:
    """Say whether it must be given by name: not where a variable of the environment may hold it."""
    return parameter.param_type_name == "option" and not parameter.envvar


def typed(line: str) -> list[str]:
    words = shlex.split(line, comments=True)
    return list(itertools.takewhile(lambda word: word not in ENDS, words))


def helps(command: Any, name: str) -> Iterator[tuple[str, str]]:
    """Every command below one, with what its help ends with."""
    if not hasattr(command, "commands"):
        yield name, command.epilog or ""
    for inner, child in getattr(command, "commands", {}).items():
        if not child.hidden:
            yield from helps(child, f"{name} {inner}")


@pytest.mark.parametrize("part", cli.PARTS)
def test_every_help_ends_with_examples_that_are_whole_commands(part: str) -> None:
    for name, ending in helps(command_of(part), part):
        lines = [" ".join(paragraph.split()) for paragraph in ending.split("\n\n")]
        calls = [called[1] for line in lines if (called := CALL.search(line))]
        assert any(call.startswith(name) for call in calls), f"{name} shows no example"
        assert [(call, found) for call in calls if (found := fault(typed(call), is_whole=True))] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_to_a_file_leads_to_one(page: Path) -> None:
    assert [link for link in LINK.findall(page.read_text()) if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", [page for page in PAGES if page != HISTORY], ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_on_a_page_is_one_that_there_is(page: Path) -> None:
    text = page.read_text()
    wrong = []
    for line in printed_in_blocks(text):
        words = [word.strip("[]") for word in typed(line)]
        wrong += [(line, found) for one in alternatives(words) if (found := fault(one, is_whole=True))]
    for line in printed_in_sentences(text):
        words = [word for word in typed(line) if word not in {"...", "…"}]
        wrong += [(line, found) for one in alternatives(words) if (found := fault(one, is_whole=False))]
    assert wrong == []
