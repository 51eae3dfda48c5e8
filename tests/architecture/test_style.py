"""The countable part of the house style (STYLE sections 2, 3, 9), with its excused exceptions."""

import ast
import re
from collections.abc import Iterator

import pytest

from tests.architecture.source_tree import (
    FUNCTION,
    FunctionNode,
    excused,
    functions,
    python_files,
    text,
    tree,
)

MODULE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60
OWN_CODE = python_files("src/dure", "tests")
SOURCE = python_files("src/dure")
CORE = python_files("src/dure/core")

# Words that say we have not yet found out what the thing is.
EMPTY_WORDS = {"mgr", "cfg", "tmp", "manager", "helper", "helpers", "util", "utils", "info"}
# As verbs empty; as nouns the operating system's own words, so only a leading one counts.
EMPTY_VERBS = {"process", "handle"}
# What a module of the core may not call: the world outside its arguments.
OUTSIDE_CALLS = {"open", "print", "input", "exec", "eval", "breakpoint"}
OUTSIDE_METHODS = {"now", "today", "utcnow", "default_rng", "seed"}


def body_lines(node: FunctionNode) -> int:
    """Count from ``def`` to the end without the docstring: explaining is not penalised."""
    lines = (node.end_lineno or node.lineno) - node.lineno + 1
    first = node.body[0]
    if ast.get_docstring(node, clean=False) is not None:
        lines -= (first.end_lineno or first.lineno) - first.lineno + 1
    return lines


def long_modules() -> dict[str, int]:
    lines = {name: len(text(name).splitlines()) for name in OWN_CODE}
    return {name: count for name, count in lines.items() if count > MODULE_LINES_MAX}


def long_functions() -> dict[str, int]:
    return {
        f"{name}::{dotted}": body_lines(node)
        for name in OWN_CODE
        for dotted, node in functions(name)
        if body_lines(node) > FUNCTION_LINES_MAX
    }


def words(name: str) -> list[str]:
    """Split ``planAll_HTTPCalls`` into plan, all, http, calls."""
    return re.findall(r"[a-z0-9]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower())


def named_things(path: str) -> Iterator[tuple[str, list[str]]]:
    stem = path.rsplit("/", 1)[-1].removesuffix(".py")
    yield "", words(stem)
    for node in ast.walk(tree(path)):
        if isinstance(node, (*FUNCTION, ast.ClassDef)):
            yield node.name, words(node.name)


def empty_names() -> set[str]:
    return {
        f"{path}::{name}" if name else path
        for path in OWN_CODE
        for name, parts in named_things(path)
        if EMPTY_WORDS & set(parts) or (parts and parts[0] in EMPTY_VERBS)
    }


def beyond(found: dict[str, int], kind: str) -> dict[str, int]:
    """Return what is longer than its excuse grants, or has none."""
    granted = {place: int(entry["lines"]) for place, entry in excused(kind).items()}
    return {place: lines for place, lines in found.items() if lines > granted.get(place, 0)}


def test_a_module_is_a_sitting() -> None:
    assert beyond(long_modules(), "module") == {}


def test_a_function_fits_a_screen() -> None:
    assert beyond(long_functions(), "function") == {}


def test_names_say_what_the_thing_is() -> None:
    assert empty_names() - set(excused("name")) == set()


def test_public_names_of_the_core_say_what_they_are_for() -> None:
    silent = [
        f"{path}::{node.name}"
        for path in CORE
        for node in ast.walk(tree(path))
        if isinstance(node, (*FUNCTION, ast.ClassDef))
        and not node.name.startswith("_")
        and ast.get_docstring(node) is None
    ]

    assert silent == []


def test_each_module_says_what_it_is_for() -> None:
    assert [path for path in SOURCE if ast.get_docstring(tree(path)) is None] == []


def test_the_core_does_not_reach_outside_its_arguments() -> None:
    reaching = [
        f"{path}:{node.lineno}"
        for path in CORE
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call)
        and (
            (isinstance(node.func, ast.Name) and node.func.id in OUTSIDE_CALLS)
            or (isinstance(node.func, ast.Attribute) and node.func.attr in OUTSIDE_METHODS)
        )
    ]

    assert reaching == []


def test_what_is_left_to_do_has_an_issue() -> None:
    open_ended = re.compile(r"\b(TODO|FIXME|XXX)\b(?!\s*\(?#\d+)")
    comments = {
        f"{path}:{number}"
        for path in SOURCE
        for number, line in enumerate(text(path).splitlines(), start=1)
        if open_ended.search(line)
    }

    assert comments == set()


@pytest.mark.parametrize("kind", ["module", "function", "name"])
def test_an_exception_has_a_reason_and_is_still_needed(kind: str) -> None:
    needed: dict[str, set[str]] = {
        "module": set(long_modules()),
        "function": set(long_functions()),
        "name": empty_names(),
    }
    entries = excused(kind)

    assert [place for place, entry in entries.items() if len(entry["reason"].split()) < 3] == []
    assert set(entries) - needed[kind] == set()
