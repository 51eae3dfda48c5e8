"""What the tests of commands ask for: a filled platform that is served, an end of all processes."""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.cli.agent_process import self_signed
from tests.cli.serving import Shell, serving
from tests.portal.filled_programme import filled_services


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    services = filled_services()
    with serving(services) as url:
        yield Shell(monkeypatch, tmp_path, url, services)


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[ExitStack]:
    monkeypatch.setenv("PYTHONUNBUFFERED", "1")
    with ExitStack() as opened:
        yield opened


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make a certificate with")
    return self_signed(tmp_path)
