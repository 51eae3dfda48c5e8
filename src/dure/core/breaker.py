"""A breaker for each provider: where many nodes fail at once, gang after gang is not thrown in.

Power, network or a bad driver takes nodes of one provider within minutes of each other. Then no
gang starts there for a time; what runs there runs on. Afterwards the provider is on trial: its
nodes stand in nobody's way, and only small gangs that lose little are tried (``core.testing``). If
as many fail again, it is shut again; else it is open.
"""

from dure.core.alarms import push_alarm
from dure.core.columns import *
from dure.core.columns import Columns
from dure.core.hazard import release
from dure.core.kernel import inner
from dure.core.moves import cordon

FEWEST = 4  # fewer nodes than this are no mass failure, however small their provider


@inner
def _is_of(c: Columns, node: int, provider: int) -> bool:
    return bool(c.shelves[H_PROVIDER, c.nodes[N_SHELF, node]] == provider)


@inner
def shut_until(c: Columns, node: int) -> int:
    """Return until when a node's provider is shut or on trial, or 0."""
    provider = c.shelves[H_PROVIDER, c.nodes[N_SHELF, node]]
    return int(max(c.breakers[BREAKER_OPEN, provider], c.breakers[BREAKER_TRIAL, provider]))


@inner
def is_failing(c: Columns, provider: int) -> bool:
    """Tell whether too many of a provider's nodes failed within the window that ends now."""
    after_s = max(-1, c.scalars[S_NOW] - c.policy[P_BREAKER_WINDOW_S])
    count, failed = 0, 0
    for node in range(c.nodes.shape[1]):
        if _is_of(c, node, provider):
            count += 1
            failed += 1 if c.nodes[N_FAILED_AT, node] > after_s else 0
    return bool(failed >= FEWEST and 100 * failed > c.policy[P_BREAKER_PCT] * count)


@inner
def open_breaker(c: Columns, provider: int, until_s: int) -> None:
    """Let no gang start at a provider until then."""
    c.breakers[BREAKER_OPEN, provider], c.breakers[BREAKER_TRIAL, provider] = until_s, 0
    push_alarm(c, until_s, ALARM_BREAKER, provider)
    for node in range(c.nodes.shape[1]):
        if _is_of(c, node, provider):
            cordon(c, node, OF_BREAKER, 1)


@inner
def ease_breaker(c: Columns, provider: int) -> None:
    """Put a provider that was shut long enough on trial, and end a trial that went well."""
    now_s, breakers = c.scalars[S_NOW], c.breakers
    if 0 < breakers[BREAKER_OPEN, provider] <= now_s:
        until_s = now_s + c.policy[P_BREAKER_WINDOW_S]
        breakers[BREAKER_OPEN, provider], breakers[BREAKER_TRIAL, provider] = 0, until_s
        push_alarm(c, until_s, ALARM_BREAKER, provider)
        for node in range(c.nodes.shape[1]):
            if _is_of(c, node, provider):
                _try(c, node, until_s)
                cordon(c, node, OF_BREAKER, 0)
    elif 0 < breakers[BREAKER_TRIAL, provider] <= now_s:
        breakers[BREAKER_TRIAL, provider] = 0
        for node in range(c.nodes.shape[1]):
            if _is_of(c, node, provider):
                release(c, node)


@inner
def _try(c: Columns, node: int, until_s: int) -> None:
    """Put a node on probation that works, or was on probation already."""
    if c.nodes[N_PROBATION, node] == 0:
        if c.nodes[N_DOWN, node] > 0:
            return
        c.scalars[S_PROBATION] += 1
    c.nodes[N_PROBATION, node] = max(c.nodes[N_PROBATION, node], until_s)
