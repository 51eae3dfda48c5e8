"""Dure (두레): runs a nation's GPU pool, and plans it with a twin that is the same engine."""

import hashlib
import os

__version__ = "0.1.0"


def _keep_kernels_fresh() -> None:
    """Keep compiled kernels in a folder named after the sources they were compiled from.

    Numba looks only at the file of the kernel itself, but a kernel holds the code of all kernels
    that it calls: after an edit elsewhere it would run the old rules.
    """
    core = os.path.join(os.path.dirname(__file__), "core")
    digest = hashlib.sha256()
    for name in sorted(name for name in os.listdir(core) if name.endswith(".py")):
        with open(os.path.join(core, name), "rb") as source:
            text = source.read()
        if b"dure.core.kernel import" in text or name in {
            "columns.py",
            "columns_type.py",
            "kernel.py",
        }:
            digest.update(text)
    folder = os.path.join(core, "__pycache__", f"kernels-{digest.hexdigest()[:12]}")
    os.environ.setdefault("NUMBA_CACHE_DIR", folder)


_keep_kernels_fresh()
