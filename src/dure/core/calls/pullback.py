"""How a call has use checked: its pullback as the policy that the monthly check keeps."""

from dure.core.calendar import DAY_S, civil
from dure.core.calls.model import Call
from dure.core.recall import PullbackRow, RecallPolicy


def recall_policy_of(call: Call, usual: RecallPolicy, *, at_s: int) -> RecallPolicy:
    """Return the policy for a check made at ``at_s``; the usual one where the call says nothing.

    A table of ``by_date`` holds from its day to the end of that month, instead of ``take_percent``:
    one monthly check falls into it. Where a call has dates only, other checks take nothing.
    """
    pullback = call.pullback
    if pullback is None:
        return usual
    today = civil(at_s).strftime("%m-%d")
    dates = [day for day in pullback.by_date if day <= today and day[:2] == today[:2]]
    table = pullback.by_date[max(dates)] if dates else pullback.take_percent
    rows = tuple(PullbackRow(int(below), take) for below, take in table.items())
    return RecallPolicy(
        warn_below_percent=pullback.warn_below_percent,
        checks_before_recall=pullback.checks_before_recall,
        rows=tuple(sorted(rows, key=lambda row: row.below_percent)),
        early_s=usual.early_s,
        notice_s=pullback.notice_days * DAY_S,
        keep_gpus=call.node_gpus,
        node_gpus=call.node_gpus,
    )
