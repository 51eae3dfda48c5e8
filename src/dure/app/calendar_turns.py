"""The programme's calendar: an engine whose turns do what only time decides."""

from collections.abc import Callable

from dure.services.programme import Programme

TURN_S = 60.0


class CalendarTurns:
    """Lets offers lapse and terms end; what comes free goes to the next in line.

    Args:
        may_decide: whether this process leads; others only follow.
    """

    def __init__(self, programme: Programme, may_decide: Callable[[], bool]) -> None:
        self._programme, self._may_decide = programme, may_decide

    def turn(self) -> float:
        if self._may_decide():
            self._programme.pass_time()
        return TURN_S

    def failed(self, wrong: Exception, count: int) -> None:
        """Nothing to mend: the next turn finds what is due still due."""
