"""Programs of our own beside a job: our package, no site packages, so that they start at once."""

import sys
from pathlib import Path

# As a programme text, not a path: they need our package, and nothing that was installed.
BOOT = (
    "import sys; sys.path.append(sys.argv[1]); from importlib import import_module; "
    "import_module(sys.argv[2]).main(sys.argv[3:])"
)
PACKAGE_PARENT = str(Path(__file__).resolve().parents[2])


def own_program(module: str, *arguments: str) -> tuple[str, ...]:
    """Return the argument list that runs ``main(arguments)`` of a module of ours."""
    return (sys.executable, "-I", "-S", "-c", BOOT, PACKAGE_PARENT, module, *arguments)
