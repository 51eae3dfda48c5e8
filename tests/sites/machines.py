"""A backend that a test plays by hand."""

from dure.core.errors import DriverError
from dure.core.orders import NodeReport, Receipt, StartOrder


class Machines:
    """A backend that does at once what it is told and ends what the test ends."""

    def __init__(self) -> None:
        self.started: list[tuple[str, int]] = []
        self.stopped: list[tuple[str, int]] = []
        self.over: dict[tuple[str, int], Receipt] = {}
        self.wrong = ""
        self.reports: list[NodeReport] = []

    def start(self, order: StartOrder) -> None:
        if self.wrong:
            raise DriverError(self.wrong)
        self.started.append((order.job, order.attempt))

    def notify(self, job: str, attempt: int, *, stop_by_s: int) -> None:
        """Nobody listens."""

    def stop(self, job: str, attempt: int) -> None:
        self.stopped.append((job, attempt))

    def end(self, job: str, *, at_s: int = 5, exit_code: int = 0) -> None:
        self.over[job, 1] = Receipt("ended", job, 1, at_s, exit_code)

    def observe(self) -> list[Receipt]:
        return [self.over[key] for key in sorted(self.over)]

    def acknowledge(self, receipts: list[Receipt]) -> None:
        for one in receipts:
            self.over.pop((one.job, one.attempt), None)

    def clean(self, job: str, attempt: int) -> dict[str, object]:
        return {"is_clean": True}

    def nodes(self) -> list[NodeReport]:
        return self.reports
