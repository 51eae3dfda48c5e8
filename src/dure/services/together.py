"""Many threads' wishes done in one go: who comes while a group is being done rides in the next.

Waiting for a disk costs the same for one wish and for hundreds. No thread of its own: whoever finds
nobody at work leads; a leader that is done lets the first in line lead the next group.
"""

from collections.abc import Callable, Sequence
from threading import Lock
from typing import Generic, TypeVar

Wish = TypeVar("Wish")

GROUP_MAX = 256


class Together(Generic[Wish]):
    """A line at which threads wait while one of them does what all of them wish.

    Args:
        act: does a group in the order in which it came; what it raises, each of the group raises.
        group_max: the largest group.
    """

    def __init__(
        self, act: Callable[[Sequence[Wish]], None], *, group_max: int = GROUP_MAX
    ) -> None:
        self._act, self._group_max = act, group_max
        self._gate = Lock()
        self._line: list[_Place[Wish]] = []
        self._is_busy = False

    def do(self, wish: Wish) -> None:
        """Return once ``act`` has done this wish with others; raise what it raised."""
        mine = _Place(wish)
        with self._gate:
            self._line.append(mine)
            leads, self._is_busy = not self._is_busy, True
        if not leads:
            mine.turn.acquire()
        if not mine.is_done:
            self._lead()
        if mine.wrong is not None:
            raise mine.wrong

    def _lead(self) -> None:
        with self._gate:
            group = self._line[: self._group_max]
            del self._line[: self._group_max]
        wrong: BaseException | None = None
        try:
            self._act([place.wish for place in group])
        except BaseException as found:
            wrong = found
        with self._gate:
            next_one = self._line[0] if self._line else None
            self._is_busy = next_one is not None
        # The next group goes first: it can be on its way to the disk while ours is answered.
        if next_one is not None:
            next_one.turn.release()
        for place in group:
            place.is_done, place.wrong = True, wrong
            place.turn.release()


class _Place(Generic[Wish]):
    """One wish in the line; its turn comes when it is done, or when it leads."""

    __slots__ = ("is_done", "turn", "wish", "wrong")

    def __init__(self, wish: Wish) -> None:
        self.wish = wish
        self.is_done = False
        self.wrong: BaseException | None = None
        self.turn = Lock()
        self.turn.acquire()
