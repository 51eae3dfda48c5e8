"""Adds up what each owner used and what stood on each node, by month, while a pool runs.

The engine counts what runs now, as whose and as what; here its counts are integrated over time, so
a month's use is exact to the second and nothing has to be kept of single jobs.
"""

from dataclasses import dataclass

import msgspec
import numpy as np

from dure.core import columns as col
from dure.core.calendar import month_of, month_window_s
from dure.core.columns import IntArray
from dure.core.errors import DureError
from dure.core.kernel import kernel
from dure.core.state import CycleRecord, State

VERSION = 1
# What no placement accounts for, by node.
STOOD = ("reserved", "draining", "down")
_INT64 = np.dtype("<i8")
_Kept = tuple[str, int, int, bytes, bytes, bytes]


@dataclass
class MonthMeter:
    """Milli-GPU-seconds of one month, or of the part of it that has passed.

    Attributes:
        from_s, to_s: what is booked.
        own, borrowed: by account, shape (account,); borrowed is loans and scavenging.
        stood: by kind and node, shape (STOOD, node), nodes in the engine's order.
    """

    from_s: int
    to_s: int
    own: IntArray
    borrowed: IntArray
    stood: IntArray


@kernel
def _pass(
    use: np.ndarray,
    now: np.ndarray,
    stood: np.ndarray,
    standing: np.ndarray,
    passed_s: int,
    rights: np.ndarray,
    accounts: np.ndarray,
    nodes: np.ndarray,
    count: int,
) -> None:
    """Book what stood for ``passed_s``, then look at what stands now (``count`` accounts)."""
    for account in range(count):
        use[0, account] += now[0, account] * passed_s
        use[1, account] += now[1, account] * passed_s
        now[0, account] = 0
        for kind in range(rights.shape[2]):
            now[0, account] += rights[col.E_OWN, account, kind]
        now[1, account] = accounts[col.A_BORROWED, account]
    for row, column in enumerate((col.N_RESERVED, col.N_DRAINING, col.N_DOWN_MILLI)):
        for node in range(nodes.shape[1]):
            stood[row, node] += standing[row, node] * passed_s
            standing[row, node] = nodes[column, node]


class UseMeter:
    """Listens to a pool's cycles.

    Args:
        nodes: of the pool.
        from_s: when operation begins.
    """

    def __init__(self, nodes: int, *, from_s: int) -> None:
        self._nodes, self._from_s = nodes, from_s
        self._of: State | None = None
        self._begin()

    def _begin(self) -> None:
        self.closed: dict[str, MonthMeter] = {}
        self._since_s = self._at_s = self._from_s
        self._end_s = month_window_s(month_of(self._from_s))[1]
        self._use, self._now = np.zeros((2, 2, 16), dtype=np.int64)
        self._stood, self._standing = np.zeros((2, len(STOOD), self._nodes), dtype=np.int64)

    def listen(self, state: State, record: CycleRecord) -> None:
        """Take in one record, just applied to ``state``; another state is a ledger folded anew."""
        if state is not self._of:
            if self._of is not None:
                self._begin()
            self._of = state
        if record.at_s >= self._end_s:
            self.close_months(record.at_s)
        self._see(state, record.at_s)

    def close_months(self, now_s: int) -> None:
        """Close every month that is over by ``now_s``."""
        while now_s >= self._end_s:
            self._book(self._end_s)
            self.closed[month_of(self._since_s)] = self._running()
            self._use[:], self._stood[:], self._since_s = 0, 0, self._end_s
            self._end_s = month_window_s(month_of(self._since_s))[1]

    def month(self, month: str, to_s: int) -> MonthMeter:
        """Return what a month measured; the running one up to ``to_s``, at or after all records."""
        if month in self.closed:
            return self.closed[month]
        assert month == month_of(self._since_s), f"{month} has not begun"
        self._book(to_s)
        return self._running()

    def months(self) -> list[str]:
        """Return the months of operation so far, the running one last."""
        return [*self.closed, month_of(self._since_s)]

    def keep(self) -> bytes:
        """Return all that is measured, to be kept together with the pool's state."""
        months = [*self.closed.items(), ("", self._running())]
        body = [
            (name, one.from_s, one.to_s, _bytes(one.own), _bytes(one.borrowed), _bytes(one.stood))
            for name, one in months
        ]
        return bytes([VERSION]) + msgspec.msgpack.encode(body)

    def begin_from(self, state: State, kept: bytes) -> None:
        """Go on from what was kept when the pool stood at ``state``.

        Raises:
            DureError: if it was kept by another version, or is damaged.
        """
        if kept[:1] != bytes([VERSION]):
            raise DureError(f"a meter was kept as version {kept[:1].hex()}; not one of ours.")
        try:
            body = msgspec.msgpack.decode(kept[1:], type=list[_Kept])
            months = {
                name: MonthMeter(from_s, to_s, _numbers(own), _numbers(borrowed), _numbers(stood))
                for name, from_s, to_s, own, borrowed, stood in body
            }
        except (msgspec.MsgspecError, ValueError) as broken:
            raise DureError(f"a meter was kept and is damaged: {broken}") from broken
        for one in months.values():
            one.stood = one.stood.reshape(len(STOOD), self._nodes)
        running = months.pop("")
        self._begin()
        self.closed, self._of = months, state
        self._since_s, self._at_s = running.from_s, running.to_s
        self._end_s = month_window_s(month_of(self._since_s))[1]
        self._use = np.stack([running.own, running.borrowed])
        self._now = np.zeros_like(self._use)
        self._stood = running.stood
        self._see(state, self._at_s)

    def _book(self, now_s: int) -> None:
        """Book what stands up to a moment at which nothing changes."""
        passed_s = max(0, now_s - self._at_s)
        self._use += self._now * passed_s
        self._stood += self._standing * passed_s
        self._at_s += passed_s

    def _see(self, state: State, now_s: int) -> None:
        c, count = state.c, len(state.accounts)
        if count > self._use.shape[1]:
            more = ((0, 0), (0, 2 * count - self._use.shape[1]))
            self._use, self._now = np.pad(self._use, more), np.pad(self._now, more)
        passed_s = max(0, now_s - self._at_s)
        _pass(
            self._use, self._now, self._stood, self._standing, passed_s,
            c.rights, c.accounts, c.nodes, count,
        )  # fmt: skip
        self._at_s += passed_s

    def _running(self) -> MonthMeter:
        own, borrowed = self._use.copy()
        return MonthMeter(self._since_s, self._at_s, own, borrowed, self._stood.copy())


def _bytes(numbers: IntArray) -> bytes:
    return numbers.astype(_INT64, copy=False).tobytes()


def _numbers(content: bytes) -> IntArray:
    return np.frombuffer(content, _INT64).astype(np.int64)
