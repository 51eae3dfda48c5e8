"""The committee: a share-out is proposed, moved, compared and signed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from dure.core.events import Event
from dure.core.events.judging import LotsDrawn, MinutesSigned, ShareOutProposed
from dure.core.lottery import in_band, lot_of
from dure.core.minutes import Difference, difference, digest_of
from dure.core.offers import offers_of
from dure.core.programme import Refusal
from dure.core.review import MARK_MAX
from dure.core.share_out import Moves, ShareOut, share_out, unplaced
from dure.services.access import Actor, require
from dure.services.office import Office
from dure.services.scoring import Judged, judged

NAMES_MAX, TEXT_MAX = 50, 200


@dataclass(frozen=True, slots=True)
class Move:
    """What the committee changes of its last proposal.

    Attributes:
        line_milli: the new line; None leaves it, 0 is the call's own.
        pin, release: applications selected whatever their score, and such no longer.
        exclude, readmit: application -> reason; and those no longer excluded.
    """

    line_milli: int | None = None
    pin: tuple[str, ...] = ()
    release: tuple[str, ...] = ()
    exclude: Mapping[str, str] = field(default_factory=dict)
    readmit: tuple[str, ...] = ()


class Committee(Office):
    """The use cases between the last review and the decision."""

    def draw_lots(
        self, actor: Actor, call: str, *, number: str, source: str
    ) -> LotsDrawn | Refusal:
        """Order those near the line by a published number; once, and before the first proposal.

        Args:
            number: as somebody else published it, for instance a draw of the national lottery.
            source: where and when it was published.
        """
        require(actor, "award.propose")
        number, source = number.strip(), source.strip()
        if not (0 < len(number) <= TEXT_MAX and 0 < len(source) <= TEXT_MAX):
            return Refusal.DRAW_NEEDS_SOURCE
        with self._reading() as tables:
            now_s = self.clock.now_s()
            found = judged(tables, call, now_s=now_s, sizing=self.sizing, draws=False)
            if isinstance(found, Refusal):
                return found
            if found.call.lottery is None or found.call.rule != "rank":
                return Refusal.CALL_HAS_NO_LOTTERY
            if call in tables.lots or tables.last_proposal(call) is not None:
                return Refusal.LOTS_ARE_DRAWN
            band = in_band(found.candidates, found.call)
            lots = sorted((-edge, lot_of(number, name), name) for name, edge in band.items())
            event = LotsDrawn(
                call,
                number,
                source,
                tuple((name, -edge, lot) for edge, lot, name in lots),
                at_s=now_s,
                by=actor.user,
            )
            self._write([event])
            return event

    def propose(self, actor: Actor, call: str) -> ShareOutProposed | Refusal:
        """Put the share-out of the call's rule before the committee, nothing moved."""
        require(actor, "award.propose")
        return self._propose(actor, call, Moves())

    def move(self, actor: Actor, call: str, move: Move) -> ShareOutProposed | Refusal:
        """Propose anew with the committee's wishes added to those of its last proposal."""
        require(actor, "award.propose")
        with self._reading() as tables:
            last = tables.last_proposal(call)
            known = set(tables.of_call[call])
        if last is None:
            return Refusal.PROPOSAL_IS_UNKNOWN
        if not {*move.pin, *move.release, *move.exclude, *move.readmit} <= known:
            return Refusal.APPLICATION_IS_UNKNOWN
        if any(not 0 < len(why.strip()) <= TEXT_MAX for why in move.exclude.values()):
            return Refusal.EXCLUSION_NEEDS_REASON
        line_milli = last.line_milli if move.line_milli is None else move.line_milli
        if not 0 <= line_milli <= 1000 * MARK_MAX:
            return Refusal.LINE_IS_OUT_OF_RANGE
        excluded = {**last.excluded, **move.exclude}
        pinned = {*last.pinned, *move.pin} - {*move.release, *move.exclude}
        for name in (*move.readmit, *move.pin):
            excluded.pop(name, None)
        return self._propose(actor, call, Moves(line_milli, frozenset(pinned), excluded))

    def compare(self, call: str, before: int, after: int) -> Difference | Refusal:
        """Tell who comes in, who goes out and what is lost between two proposals of a call."""
        proposals = {one.number: one for one in self.tables.proposals.get(call, [])}
        if before not in proposals or after not in proposals:
            return Refusal.PROPOSAL_IS_UNKNOWN
        return difference(proposals[before], proposals[after])

    def sign_minutes(
        self, actor: Actor, call: str, *, number: int, digest: str, names: Sequence[str]
    ) -> tuple[Event, ...] | Refusal:
        """Adopt the last proposal: minutes, decisions and offers in one transaction.

        Args:
            digest: of the proposal that was read; another one is refused.
            names: the members who sign.
        """
        require(actor, "award.sign_minutes")
        signed = tuple(name.strip() for name in names)
        if not 0 < len(signed) <= NAMES_MAX or any(not 0 < len(one) <= TEXT_MAX for one in signed):
            return Refusal.MINUTES_NEED_NAMES
        proposals = self.tables.proposals.get(call, [])
        if number not in {one.number for one in proposals}:
            return Refusal.PROPOSAL_IS_UNKNOWN
        last = proposals[-1]
        if number != last.number:
            return Refusal.PROPOSAL_IS_NOT_THE_LAST
        if digest != last.digest:
            return Refusal.DIGEST_DIFFERS
        moves = Moves(last.line_milli, frozenset(last.pinned), last.excluded)
        found = self._judged(call)
        if isinstance(found, Refusal):
            return found
        shared = share_out(found.candidates, found.call, moves)
        if digest_of(_proposal(actor, call, number, moves, found, shared, 0)) != digest:
            return Refusal.PROPOSAL_IS_STALE
        with self._reading() as tables:
            if self._judged(call) != found or tables.last_proposal(call) != last:
                return Refusal.PROPOSAL_IS_STALE
            now_s = self.clock.now_s()
            minutes = MinutesSigned(call, number, digest, signed, at_s=now_s, by=actor.user)
            decided = found.decided(shared.awards, at_s=now_s, by=actor.user)
            events = (minutes, *decided, *offers_of(found.call, decided))
            self._write(events)
            return events

    def _propose(self, actor: Actor, call: str, moves: Moves) -> ShareOutProposed | Refusal:
        found = self._judged(call)
        if isinstance(found, Refusal):
            return found
        # Seconds of arithmetic, so the book is not held meanwhile; whether it moved is asked after.
        shared = share_out(found.candidates, found.call, moves)
        if unplaced(shared, moves):
            return Refusal.PIN_HAS_NO_ROOM
        with self._reading() as tables:
            if self._judged(call) != found:
                return Refusal.PROPOSAL_IS_STALE
            number = len(tables.proposals.get(call, [])) + 1
            event = _proposal(actor, call, number, moves, found, shared, self.clock.now_s())
            self._write([event])
            return event

    def _judged(self, call: str) -> Judged | Refusal:
        with self._reading() as tables:
            if call in tables.calls and tables.calls[call].kind == "supply":
                return Refusal.CALL_IS_FOR_SUPPLY
            return judged(tables, call, now_s=self.clock.now_s(), sizing=self.sizing)


def _proposal(
    actor: Actor,
    call: str,
    number: int,
    moves: Moves,
    found: Judged,
    shared: ShareOut,
    now_s: int,
) -> ShareOutProposed:
    bare = ShareOutProposed(
        call,
        number,
        found.call.rule,
        moves.line_milli,
        tuple(sorted(moves.pinned)),
        dict(sorted(moves.excluded.items())),
        tuple(
            (one.application, one.decision, one.accelerator, one.gpus, one.from_month)
            for one in shared.awards
        ),
        shared.value,
        shared.bound,
        shared.rank_value,
        "",
        at_s=now_s,
        by=actor.user,
    )
    return msgspec.structs.replace(bare, digest=digest_of(bare))
