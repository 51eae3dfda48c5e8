"""What every test may ask for: the shared folder, a browser, golden files, the strength of chance.

Environment: ``DURE_SHARED`` (the folder beside the checkout), ``DURE_CHROMIUM`` (a browser),
``DURE_GOLDEN=1`` (rewrite golden files), ``DURE_HYPOTHESIS`` (dev, ci or nightly).
"""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.slurm_cluster import SlurmCluster, can_start

ROOT = Path(__file__).resolve().parent.parent
GOLDEN = ROOT / "tests" / "golden"
SHARED = Path(os.environ.get("DURE_SHARED", ROOT.parent / "shared"))
CHROMIUM = (
    os.environ.get("DURE_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
)

# Compiling takes seconds the first time, so no example has a deadline.
settings.register_profile(
    "dev", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
# The same examples on every machine: a submission fails for what it changed, not by chance.
settings.register_profile("ci", settings.get_profile("dev"), derandomize=True, database=None)
settings.register_profile("nightly", settings.get_profile("dev"), max_examples=2_000)
settings.load_profile(os.environ.get("DURE_HYPOTHESIS", "ci" if os.environ.get("CI") else "dev"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "golden" in getattr(item, "fixturenames", ()):
            item.add_marker("golden")
        if item.get_closest_marker("shared") and not SHARED.is_dir():
            item.add_marker(pytest.mark.skip(reason=f"needs {SHARED.name}/ beside the checkout"))
        if item.get_closest_marker("browser") and CHROMIUM is None:
            item.add_marker(pytest.mark.skip(reason="no chromium here; try `make setup-browser`"))
        if item.get_closest_marker("slurm") and not can_start():
            reason = "no Slurm here that we could start; as root, try `make setup-slurm`"
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def slurm_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlurmCluster]:
    """Return a real Slurm of four nodes with eight fake GPUs each; the mark is ``slurm``."""
    cluster = SlurmCluster(tmp_path_factory.mktemp("slurm"), nodes=4)
    cluster.start()
    yield cluster
    cluster.stop()


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """Return the folder of facts and traces; the test carries the mark ``shared``."""
    return SHARED


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """Return the browser for playwright's ``executable_path``; the mark is ``browser``."""
    assert CHROMIUM is not None, "mark this test with pytest.mark.browser"
    return CHROMIUM


@pytest.fixture
def golden() -> Callable[[str, str], None]:
    """Compare a text with ``tests/golden/NAME``, or write it there under ``make golden``."""

    def compare(name: str, text: str) -> None:
        path = GOLDEN / name
        if os.environ.get("DURE_GOLDEN"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        assert path.is_file(), f"tests/golden/{name} is missing; write it with `make golden`"
        assert text == path.read_text(encoding="utf-8"), f"{name} changed; see `make golden`"

    return compare
