"""What jobs at a site print, mirrored beside the jobs of the pool, so that people read it there."""

import errno
import logging
import os
import stat
from pathlib import Path

from dure.core.site_words import MIRROR_BYTES_MAX, Printed
from dure.drivers.ends import STREAMS
from dure.drivers.places import Places

log = logging.getLogger("dure.sites")

FULL = (errno.ENOSPC, errno.EDQUOT)


def keep_printed(root: Path, piece: Printed) -> int:
    """Append a piece that fits at the end of what is there; return how many bytes are there now.

    Whoever sent something else is told by the size where to go on; pieces may come twice.
    """
    if piece.stream not in STREAMS:
        return MIRROR_BYTES_MAX
    try:
        return _appended(root, piece)
    except OSError as wrong:
        log.error("output of job %s cannot be kept: %s", piece.job, wrong)
        # A full disk may be freed, and the agent sends the same again; an end must not wait for
        # what can never be kept.
        return piece.offset if wrong.errno in FULL else MIRROR_BYTES_MAX


def _appended(root: Path, piece: Printed) -> int:
    path = Places(root, piece.job, piece.attempt).of_attempt(piece.stream)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    file = os.open(path, flags, 0o600)
    try:
        about = os.fstat(file)
        if not stat.S_ISREG(about.st_mode) or about.st_size >= MIRROR_BYTES_MAX:
            return MIRROR_BYTES_MAX
        if piece.offset != about.st_size:
            return about.st_size
        content = piece.content[: MIRROR_BYTES_MAX - about.st_size]
        return about.st_size + os.write(file, content)
    finally:
        os.close(file)
