"""The docs agree with the tree: links lead somewhere, every dependency has its reason."""

import re

from tests.architecture.source_tree import ROOT, files, pyproject, text


def test_every_direct_dependency_has_its_line_of_reason() -> None:
    project = pyproject()["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    names = {re.split(r"[^\w.-]", one)[0] for group in groups for one in group}

    explained = set(re.findall(r"^\| `([^`]+)` \| \S", text("docs/dependencies.md"), re.M))

    assert names - explained == set(), "add a line to docs/dependencies.md"
    assert explained - names == set(), "remove the line: nothing depends on it any more"


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
