"""What Dure raises: wrong input and broken promises. A refusal is a value, never an exception."""


class DureError(Exception):
    """Anything that Dure itself raises; its text may be shown to the user."""


class PolicyError(DureError):
    """A rule of the pool has a value that it cannot have."""


class InputError(DureError):
    """A file or a form has a value that cannot be read; says where, what was found and expected.

    Args:
        where: the file (and row and column, when there is one) as a person would name it.
        found: what stands there.
        expected: what should.
        next_step: what to do about it.
    """

    def __init__(self, where: str, *, found: str, expected: str, next_step: str = "") -> None:
        tail = f" {next_step}" if next_step else ""
        super().__init__(f"{where}: found {found}; expected {expected}.{tail}")
        self.where, self.found, self.expected, self.next_step = where, found, expected, next_step


class DriverError(DureError):
    """A backend does not answer, or answers what it cannot."""


class ConflictError(DureError):
    """Somebody else wrote to the ledger since it was read; read again and start over."""

    def __init__(self, *, found: int, expected: int) -> None:
        super().__init__(f"the ledger is at record {found}, the writer had read up to {expected}.")
        self.found, self.expected = found, expected


class LedgerError(DureError):
    """A ledger cannot be read or written: damaged, in use, full, or not one of ours."""


class StaleWriterError(LedgerError):
    """Another engine leads since; what this one decided is refused, whatever it was."""

    def __init__(self, *, where: str, generation: int) -> None:
        super().__init__(
            f"{where}: another engine leads it; a writer of generation {generation} is refused."
        )
        self.generation = generation
