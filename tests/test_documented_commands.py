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
    top: Any = get_command(cli.build_app(part))
    return top.commands[part]


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
    takes_dashes = command.context_settings.get("ignore_unknown_options", False)
    arguments, given = 0, {"help"}
    words = iter(rest)
    for word in words:
        name, _, value = word.partition("=") if word.startswith("--") else (word, "", "")
        if option := options.get(name):
            given.add(option.name)
            if not (option.is_flag or value or next(words, None) or not is_whole):
                return f"{name} wants a value"
        elif name.startswith("-") and name != "--help" and not takes_dashes:
            return f"{command.name} has no option {name}"
        elif name != "--help":
            arguments += 1
    return _lack(command, arguments, given) if is_whole else None


def _lack(command: Any, arguments: int, given: set[str]) -> str | None:
    """Say what a whole command lacks, or has too much of."""
    lacking = [one.name for one in command.params if one.required and is_option(one) and one.name not in given]
    places = [one for one in command.params if one.param_type_name == "argument"]
    least = sum(1 for place in places if place.required)
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
