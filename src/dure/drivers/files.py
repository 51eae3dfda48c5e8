"""Files that are there in full or not at all, whatever moment the power goes.

The launcher imports this module and must start within milliseconds: os alone.
"""

import os


def write_durably(path: str, text: str, *, mode: int = 0o600) -> None:
    """Put ``text`` at ``path`` in one step, replacing what stood there; durable on return.

    Raises:
        OSError: if the disk is full or the folder is missing; ``path`` is then as it was.
    """
    beside = _written_beside(path, text, mode)
    try:
        os.rename(beside, path)
    except OSError:
        os.unlink(beside)
        raise
    sync_folder(os.path.dirname(path))


def create_exclusively(path: str, text: str, *, durable: bool = True) -> bool:
    """Put ``text`` at ``path`` unless something stands there; durable on return unless told not to.

    Returns:
        True for the one caller that created it, in full; False for every other one.
    """
    beside = _written_beside(path, text, 0o600, durable=durable)
    try:
        # A link, not O_EXCL: that would show the others a file that is not written yet.
        os.link(beside, path)
    except FileExistsError:
        return False
    finally:
        os.unlink(beside)
    if durable:
        sync_folder(os.path.dirname(path))
    return True


def write(path: str, text: str, *, mode: int = 0o600) -> None:
    """Put ``text`` at ``path`` in one step; a kill cannot halve it, a power cut may lose it."""
    os.rename(_written_beside(path, text, mode, durable=False), path)


def sync(path: str) -> bool:
    """Make what stands at ``path`` durable, not its name; False if nothing does."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        os.fsync(file)
    finally:
        os.close(file)
    return True


def text_at(path: str, *, bytes_max: int = 4_194_304) -> str | None:
    """Return what stands at ``path``; None if nothing does."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    with open(file, "rb") as stream:
        return stream.read(bytes_max).decode(errors="replace")


def sync_folder(path: str) -> None:
    """Make the names in a folder durable; the files' contents are their own affair."""
    folder = os.open(path or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def remove(path: str) -> bool:
    """Remove a file; False if there was none."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return False
    return True


def _written_beside(path: str, text: str, mode: int, *, durable: bool = True) -> str:
    beside = f"{path}.{os.getpid()}-{os.urandom(6).hex()}.new"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    file = os.open(beside, flags, mode)
    try:
        with open(file, "wb") as stream:
            stream.write(text.encode(errors="surrogateescape"))
            stream.flush()
            if durable:
                os.fsync(stream.fileno())
    except OSError:
        os.unlink(beside)
        raise
    return beside
