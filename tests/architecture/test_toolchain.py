"""The checkers agree with the tree; `make check` runs them by name, everybody else here."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.source_tree import ROOT

pytestmark = pytest.mark.toolchain
BIN = Path(sys.executable).parent


def complaints(*command: str) -> str:
    """Return what a checker prints if it is not content, else ""."""
    done = subprocess.run(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600
    )
    return done.stdout if done.returncode else ""


def test_every_file_is_formatted() -> None:
    assert complaints(sys.executable, "-m", "ruff", "format", "--check", ".") == ""


def test_the_linter_has_nothing_to_say() -> None:
    assert complaints(sys.executable, "-m", "ruff", "check", "--output-format=concise", ".") == ""


def test_types_hold_under_strict_mypy() -> None:
    assert complaints(sys.executable, "-m", "mypy", "--strict") == ""


def test_arrows_between_rooms_point_down() -> None:
    assert complaints(str(BIN / "lint-imports"), "--no-logo") == ""
