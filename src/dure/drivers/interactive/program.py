"""The program of an interactive session: what the job's last step runs, until its time is up.

It runs without site packages: the standard library and this package's own small modules.
"""

import contextlib
import sys
import time

from dure.drivers.interactive import jupyter, shell

NO_GATE = "dure: nobody can be let into this session from another machine: {}\n"


def main(arguments: list[str]) -> None:
    """Run a session: kind, seconds until it ends, folder to listen in, folder of its gate (or ""),
    words of its image.
    """
    kind, seconds, folder, gate, *inside = arguments
    ends_at_s = time.time() + int(seconds)
    run = jupyter.run if kind == "jupyter" else shell.run
    with contextlib.ExitStack() as stack:
        if gate:
            # A gate needs TLS, which a session on the service's own machine starts without.
            from dure.drivers.interactive.gate import beside

            try:
                stack.enter_context(beside(folder, gate))
            except (OSError, LookupError, ValueError) as wrong:
                sys.exit(NO_GATE.format(wrong))
        code = run(folder, tuple(inside), ends_at_s=ends_at_s)
    sys.exit(code)
