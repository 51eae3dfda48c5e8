"""Do every fault of the plan and print a table: ``make fault ARGS="-k WORD --seed N"``.

Exit 1 if anything did not hold; the line under the table names the seed that repeats it.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from tests.faults.plan import do, every_fault


def main() -> int:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("-k", default="", help="only faults whose name has this word")
    words.add_argument("--seed", type=int, default=1)
    words.add_argument("--times", type=int, help="so often each, instead of what the plan says")
    asked = words.parse_args()
    chosen = [fault for fault in every_fault() if asked.k in fault.name]
    width = max((len(fault.name) for fault in chosen), default=5)
    print(f"{'fault':<{width}}  {'times':>6}  {'held':>6}  {'seconds':>7}")
    broken: list[str] = []
    with tempfile.TemporaryDirectory(prefix="dure-faults-") as place:
        for number, fault in enumerate(chosen):
            times = asked.times or fault.often
            row = do(fault, times, Path(place) / str(number), seed=asked.seed)
            held = row.times - len(row.broken)
            tail = f"  not done: {row.needs}" if row.needs else ""
            line = f"{row.name:<{width}}  {row.times:>6,}  {held:>6,}  {row.wall_s:>7.1f}{tail}"
            print(line, flush=True)
            broken += [f"{row.name}: {one}" for one in row.broken]
    for one in broken:
        print(one)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
