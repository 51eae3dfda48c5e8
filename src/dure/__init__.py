"""Dure (두레): runs a nation's GPU pool, and plans it with a twin that is the same engine."""

import hashlib
import os
import pathlib

__version__ = "0.1.0"


def _keep_kernels_fresh() -> None:
    """Keep compiled kernels in a folder named after the sources they were compiled from.

    Numba looks only at the file of the kernel itself, but a kernel holds the code of all kernels
    that it calls: after an edit elsewhere it would run the old rules.
    """
    core = pathlib.Path(__file__).parent / "core"
    digest = hashlib.sha256()
    for source in sorted(core.glob("*.py")):
        text = source.read_bytes()
        if b"dure.core.kernel import" in text or source.name in {"columns.py", "kernel.py"}:
            digest.update(text)
    folder = core / "__pycache__" / f"kernels-{digest.hexdigest()[:12]}"
    os.environ.setdefault("NUMBA_CACHE_DIR", str(folder))


_keep_kernels_fresh()
