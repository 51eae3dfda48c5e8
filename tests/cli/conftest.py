"""The shell of the tests of commands: one filled platform a test, really served."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.serving import Shell, serving
from tests.portal.filled_programme import filled_services


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    services = filled_services()
    with serving(services) as url:
        yield Shell(monkeypatch, tmp_path, url, services)
