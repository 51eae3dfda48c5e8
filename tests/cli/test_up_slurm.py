"""``dure up --backend slurm`` as people meet it, killed while jobs run."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.up_process import UpProcess
from tests.drivers.polling import until
from tests.slurm_cluster import SlurmCluster

pytestmark = pytest.mark.slurm
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture
def up(
    tmp_path: Path, slurm_cluster: SlurmCluster, monkeypatch: pytest.MonkeyPatch
) -> Iterator[UpProcess]:
    monkeypatch.setenv("SLURM_CONF", str(slurm_cluster.conf))
    process = UpProcess(tmp_path / "data", "--backend", "slurm", "--allocate", "owner=32")
    yield process
    process.close()


def test_what_runs_at_slurm_outlives_a_kill_of_the_service_and_runs_once(up: UpProcess) -> None:
    up.start()
    assert "pool here: 32 B200, 4 nodes of Slurm" in up.printed
    greeted = up.run("submit", str(EXAMPLES / "hello.yaml"), "--wait")
    long = up.submit("echo start >> starts\nwhile [ ! -e go ]; do sleep 0.1; done\necho done")
    work = up.data / "here" / "jobs" / long / "work"
    until(lambda: (work / "starts").exists())

    up.kill()
    (work / "go").touch()
    up.start()
    up.wait_for(long, "COMPLETED")

    assert (greeted.returncode, greeted.stdout.split()[0]) == (0, "here-1")
    assert (work / "starts").read_text() == "start\n"
    assert up.run("output", long).stdout == "done\n"
