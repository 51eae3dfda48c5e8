"""Files of projects over the wire."""

import msgspec


class FileOut(msgspec.Struct, frozen=True):
    """What stands under a name; ``kind`` is file, folder, link or other."""

    name: str
    kind: str
    bytes: int
    modified_at_s: int
    etag: str


class ArrivedOut(msgspec.Struct, frozen=True):
    """An upload: ``offset`` bytes have arrived; ``is_whole`` once the file has its name."""

    path: str
    offset: int
    bytes: int
    is_whole: bool


class ChecksumOut(msgspec.Struct, frozen=True):
    """What a file holds at this moment."""

    path: str
    bytes: int
    sha256: str
    etag: str


class StorageOut(msgspec.Struct, frozen=True):
    """What a project's files take; ``is_least`` if there is more than could be counted."""

    project: str
    quota_bytes: int
    used_bytes: int
    free_bytes: int
    over_bytes: int
    files: int
    files_bytes: int
    uploads_bytes: int
    snapshots_bytes: int
    is_least: bool


class SnapshotIn(msgspec.Struct, frozen=True):
    """A snapshot's name; one made of the moment if it is left out."""

    snapshot: str = ""


class SnapshotOut(msgspec.Struct, frozen=True):
    """A snapshot; ``left_out`` are links that lead out, pipes and the like."""

    snapshot: str
    taken_at_s: int
    taken_by: str
    files: int
    bytes: int
    left_out: int
