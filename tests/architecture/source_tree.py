"""The checkout as the architecture tests see it: files, syntax trees, excused lines."""

import ast
import subprocess
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)
FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def files() -> tuple[str, ...]:
    """Return every path that is, or would be, committed; sorted, from the checkout's root."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    names = sorted(set(listed.split("\0")) - {""})
    return tuple(name for name in names if (ROOT / name).is_file())


def python_files(*folders: str) -> list[str]:
    starts = tuple(f"{folder}/" for folder in folders)
    return [name for name in files() if name.endswith(".py") and name.startswith(starts)]


def text(name: str) -> str:
    """Return a file's text, "" if it is not text (a picture, a Parquet file)."""
    content = (ROOT / name).read_bytes()
    if b"\0" in content:
        return ""
    return content.decode("utf-8", errors="replace")


@cache
def tree(name: str) -> ast.Module:
    return ast.parse(text(name), filename=name)


def functions(name: str) -> Iterator[tuple[str, FunctionNode]]:
    """Yield each function of a module with its dotted name, also those inside others."""

    def walk(node: ast.AST, prefix: str) -> Iterator[tuple[str, FunctionNode]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, FUNCTION):
                yield prefix + child.name, child
            inner = isinstance(child, (*FUNCTION, ast.ClassDef))
            yield from walk(child, f"{prefix}{child.name}." if inner else prefix)

    return walk(tree(name), "")


def pyproject() -> dict[str, Any]:
    return tomllib.loads(text("pyproject.toml"))


def excused(kind: str) -> dict[str, dict[str, Any]]:
    """Return the entries of exceptions.toml of a kind, by ``path`` or ``path::name``."""
    entries = tomllib.loads(text("tests/architecture/exceptions.toml")).get(kind, [])
    return {
        entry["path"] + (f"::{entry['name']}" if "name" in entry else ""): entry
        for entry in entries
    }
