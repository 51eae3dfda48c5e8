"""The program of an interactive session: what the job's last step runs, until its time is up.

It runs without site packages: the standard library and this package's own small modules.
"""

import sys
import time

from dure.drivers.interactive import jupyter, shell


def main(arguments: list[str]) -> None:
    """Run a session: kind, seconds until it ends, folder to listen in, words of its image."""
    kind, seconds, folder, *inside = arguments
    ends_at_s = time.time() + int(seconds)
    run = jupyter.run if kind == "jupyter" else shell.run
    sys.exit(run(folder, tuple(inside), ends_at_s=ends_at_s))
