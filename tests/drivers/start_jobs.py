"""A programme that starts jobs and may be killed at any moment; the crash tests run it.

Usage: start_jobs.py ROOT COUNT SCRIPT; prints each job's id once ``start`` returned, then observes.
"""

import sys
import time
from pathlib import Path

from tests.drivers.local_bench import driver_at, order


def main(root: str, count: str, script: str) -> None:
    driver = driver_at(Path(root))
    for number in range(int(count)):
        driver.start(order(f"job-{number}", script))
        print(f"job-{number}", flush=True)
    while True:
        driver.observe()
        time.sleep(0.01)


if __name__ == "__main__":
    main(*sys.argv[1:])
