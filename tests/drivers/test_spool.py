"""The agent's spool: what was kept is there, whatever moment the power went."""

import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from dure.core.errors import DriverError
from dure.drivers.spool import OVER_MAX, Spool


def kept(path: Path) -> dict[int, bytes]:
    with closing(Spool(path)) as spool:
        return dict(spool.lines())


def test_lines_have_numbers_that_only_grow(tmp_path: Path) -> None:
    path = tmp_path / "spool"
    with closing(Spool(path)) as spool:
        assert spool.append([b"%d" % number for number in range(3)]) == [1, 2, 3]
        spool.drop([3, 2, 9])
    with closing(Spool(path)) as spool:
        assert dict(spool.lines()) == {1: b"0"}
        assert spool.append([b"next"]) == [4]

    assert kept(path) == {1: b"0", 4: b"next"}


def test_torn_at_any_byte_all_that_was_acknowledged_before_is_there(tmp_path: Path) -> None:
    path = tmp_path / "spool"
    ends: list[tuple[int, dict[int, bytes]]] = [(0, {})]
    with closing(Spool(path)) as spool:
        for number in range(1, 9):
            spool.append([b"end %d \xff" % number])
            ends.append((path.stat().st_size, dict(spool.lines())))
        spool.drop([2, 5])
        ends.append((path.stat().st_size, dict(spool.lines())))
    whole = path.read_bytes()

    for size in range(len(whole) + 1):
        path.write_bytes(whole[:size])
        assert kept(path) == max(one for one in ends if one[0] <= size)[1]


def test_damage_before_the_end_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "spool"
    with closing(Spool(path)) as spool:
        for _ in range(3):
            spool.append([b"line"])
    content = bytearray(path.read_bytes())
    content[20] ^= 1
    path.write_bytes(content)

    with pytest.raises(DriverError, match="before its end"):
        Spool(path)


def test_what_is_over_is_thrown_out_now_and_then(tmp_path: Path) -> None:
    path = tmp_path / "spool"
    with closing(Spool(path)) as spool:
        for _ in range(OVER_MAX + 1):
            spool.append([b"x" * 50])
        (last,) = spool.append([b"stays"])
        large = path.stat().st_size
        spool.drop(range(1, last))
        assert path.stat().st_size < large / 100
        assert spool.append([b"next"]) == [last + 1]

    assert kept(path) == {last: b"stays", last + 1: b"next"}


FULL = """
import resource, signal, sys
from pathlib import Path
from dure.drivers.spool import Spool
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
spool = Spool(Path(sys.argv[1]))
for _ in range(3):
    spool.append([b"line"])
resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))
try:
    spool.append([b"x" * 500])
except OSError:
    print("full")
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print(*spool.append([b"again"]))
"""


def test_a_full_disk_keeps_what_was_kept_and_takes_more_when_there_is_room(tmp_path: Path) -> None:
    path = tmp_path / "spool"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(path)], capture_output=True, text=True, env=env, check=True
    )

    assert done.stdout.split() == ["full", "4"]
    assert kept(path) == {1: b"line", 2: b"line", 3: b"line", 4: b"again"}
