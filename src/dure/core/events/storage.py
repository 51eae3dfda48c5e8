"""Named events of storage: what people did with the files of a project."""

from dure.core.events.base import Event


class FileUploaded(Event, frozen=True, kw_only=True):
    """A whole file arrived and took its name; one of that name before is replaced.

    Attributes:
        path: inside the project's folder, with slashes.
        sha256: of what arrived, as the sender had said it.
    """

    project: str
    path: str
    bytes: int
    sha256: str


class FileRemoved(Event, frozen=True, kw_only=True):
    """A file, or a folder with all that was in it, was removed."""

    project: str
    path: str
    kind: str


class FolderMade(Event, frozen=True, kw_only=True):
    """A folder was made, with those above it that were missing."""

    project: str
    path: str


class SnapshotTaken(Event, frozen=True, kw_only=True):
    """All files of a project were kept under a name.

    Attributes:
        sha256: of the manifest, which holds that of each file.
        left_out: links that lead out, pipes and the like.
    """

    project: str
    snapshot: str
    files: int
    bytes: int
    sha256: str
    left_out: int = 0


class SnapshotRemoved(Event, frozen=True, kw_only=True):
    """A snapshot is over."""

    project: str
    snapshot: str


class SnapshotRestored(Event, frozen=True, kw_only=True):
    """A project's files are again what they were in a snapshot; what stood there is gone."""

    project: str
    snapshot: str
    files: int
    bytes: int


class ProjectRecovered(Event, frozen=True, kw_only=True):
    """A project's files were brought back from a backup by whoever runs the machine.

    Attributes:
        source: the project that the backup was made of.
        sha256: of the backup's manifest.
    """

    project: str
    source: str
    files: int
    bytes: int
    sha256: str


EVENTS: tuple[type[Event], ...] = (
    FileUploaded,
    FileRemoved,
    FolderMade,
    SnapshotTaken,
    SnapshotRemoved,
    SnapshotRestored,
    ProjectRecovered,
)
