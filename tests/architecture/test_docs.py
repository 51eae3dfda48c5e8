"""The docs agree with the tree: links lead somewhere, and whatever has a name is named in them.

Pages and API paths are compared in tests/portal/test_docs.py.
"""

import re
from collections.abc import Iterator
from dataclasses import asdict, fields
from typing import Any

import pytest
import typer.main

from dure.app.settings import Settings
from dure.cli.main import app
from dure.core.awards import Reason
from dure.core.columns import END_CAUSES, JOB_STATES, POLICIES
from dure.core.events import EVENTS
from dure.core.policy import Policy
from dure.core.programme import Refusal
from dure.core.recall import RecallPolicy
from dure.reports.messages import catalogue
from dure.services.desks import CancelAnswer
from dure.services.words import REFUSALS
from tests.architecture.source_tree import ROOT, files, pyproject, python_files, text

PAGES = [name for name in files() if re.match(r"docs/[\w-]+\.md", name)]
ALL_PAGES = "\n".join(text(name) for name in PAGES)


def test_every_direct_dependency_has_its_line_of_reason() -> None:
    project = pyproject()["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    names = {re.split(r"[^\w.-]", one)[0] for group in groups for one in group}

    explained = set(re.findall(r"^\| `([^`]+)` \| \S", text("docs/dependencies.md"), re.M))

    assert names - explained == set(), "add a line to docs/dependencies.md"
    assert explained - names == set(), "remove the line: nothing depends on it any more"


def anchors(name: str) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", text(name), re.M)
    plain = [re.sub(r"[^\w\s-]", "", heading.lower()) for heading in headings]
    return {re.sub(r"\s", "-", heading.strip()) for heading in plain}


def test_links_between_documents_lead_somewhere() -> None:
    broken = [
        f"{name}: {target}"
        for name in files()
        if name.endswith(".md")
        for target in re.findall(r"\]\(([^)#\s]+)", text(name))
        if "://" not in target and not target.startswith("mailto:")
        if not ((ROOT / name).parent / target).exists()
    ]

    assert broken == []


def test_links_to_headings_lead_to_one() -> None:
    broken = []
    for name in (one for one in files() if one.endswith(".md")):
        for target, anchor in re.findall(r"\]\(([^)#\s]*)#([^)\s]+)\)", text(name)):
            page = ((ROOT / name).parent / target).resolve() if target else ROOT / name
            if "://" in target or page.suffix != ".md":
                continue
            if anchor not in anchors(str(page.relative_to(ROOT))):
                broken.append(f"{name}: {target}#{anchor}")

    assert broken == []


def test_the_index_leads_to_every_page() -> None:
    linked = set(re.findall(r"\]\(([\w-]+\.md)\)", text("docs/index.md")))

    assert {name.removeprefix("docs/") for name in PAGES} - linked - {"index.md"} == set()


def commands() -> Iterator[tuple[str, Any]]:
    """Yield every command that does something, by its whole name."""

    def below(group: Any, path: str) -> Iterator[tuple[str, Any]]:
        for name, command in getattr(group, "commands", {}).items():
            if hasattr(command, "commands"):
                yield from below(command, f"{path} {name}")
            else:
                yield f"{path} {name}", command

    return below(typer.main.get_command(app), "dure")


def synopses() -> dict[str, str]:
    """Return the synopsis of each command of docs/cli.md: its line and those indented below it."""
    blocks = re.findall(r"^```\n(.*?)^```", text("docs/cli.md"), re.M | re.S)
    lines = [line for block in blocks for line in re.split(r"\n(?=dure )", block)]
    names = sorted((name for name, _ in commands()), key=len, reverse=True)
    found = {}
    for line in lines:
        name = next((one for one in names if re.match(rf"{one}(\s|$)", line)), line.split("\n")[0])
        found[name] = line
    return found


def test_every_command_stands_in_the_page_of_the_command_line_and_none_besides() -> None:
    known = {name for name, _ in commands()}

    assert known - set(synopses()) == set(), "add its synopsis to docs/cli.md"
    assert set(synopses()) - known == set(), "there is no such command"


@pytest.mark.parametrize("name", [name for name, _ in commands()])
def test_a_commands_synopsis_has_its_arguments_and_options(name: str) -> None:
    command = dict(commands())[name]
    line = synopses()[name]
    options = {
        one
        for parameter in command.params
        if parameter.param_type_name == "option"
        for one in parameter.opts
        if one != "--help"
    }
    arguments = {
        (parameter.metavar or parameter.name).strip("[]")
        for parameter in command.params
        if parameter.param_type_name == "argument"
    }

    assert set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", line)) == options
    assert {one for one in arguments if one not in line} == set()


def test_every_setting_is_told() -> None:
    code = "\n".join(text(name) for name in python_files("src/dure"))
    # Those that a job finds in its own environment are a table of docs/jobs.md as well.
    variables = set(re.findall(r"\bDURE_[A-Z_]*[A-Z]\b", code))
    settings = {one.name for one in fields(Settings)}

    assert {one for one in variables if f"`{one}`" not in ALL_PAGES} == set()
    untold = {
        one for one in settings if f"`{one}`" not in ALL_PAGES and f"`--{one}`" not in ALL_PAGES
    }
    assert untold == set()


def test_every_event_has_its_line() -> None:
    told = set(re.findall(r"`([A-Z]\w+)`", text("docs/events.md")))
    known = {event.__name__ for event in EVENTS}

    assert known - told == set()
    assert told - known == set(), "there is no such event"


def test_every_refusal_reason_and_state_is_told() -> None:
    codes = {one.value for one in Refusal} | {one.value for one in Reason}
    codes |= {one for one in REFUSALS if one} | set(JOB_STATES) | set(END_CAUSES)
    codes |= {one.value for one in CancelAnswer} - {"not_found"}
    for family in ("whyshort", "why", "help", "problem", "award_reason"):
        codes |= {
            key.removeprefix(f"{family}.")
            for key in catalogue("en")
            if key.startswith(f"{family}.")
        }

    assert {code for code in codes if f"`{code}`" not in ALL_PAGES} == set()


def test_every_parameter_of_a_policy_is_told_with_its_default() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|", text("docs/policies.md"), re.M))
    told = {name: str(value).lower() for name, value in asdict(Policy()).items() if name != "name"}

    assert {name for name in told if name not in rows} == set()
    assert {
        name: default for name, default in told.items() if default not in rows[name].split()
    } == {}
    assert {one for one in POLICIES if f"`{one}`" not in text("docs/policies.md")} == set()
    recall = {one.name for one in fields(RecallPolicy)}
    assert {one for one in recall if f"`{one}`" not in text("docs/programme.md")} == set()


def test_decisions_are_numbered_without_gaps() -> None:
    records = [
        name.removeprefix("docs/decisions/")
        for name in files()
        if re.match(r"docs/decisions/\d{4}-", name)
    ]

    assert [int(name[:4]) for name in records] == list(range(1, len(records) + 1))


def test_every_decision_says_what_was_open_chosen_and_given_up() -> None:
    parts = ("## What was open", "## What we chose", "## What we gave up")
    incomplete = [
        f"{name}: {part}"
        for name in files()
        if re.match(r"docs/decisions/\d{4}-", name)
        for part in parts
        if part not in text(name)
    ]

    assert incomplete == []
