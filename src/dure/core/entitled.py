"""What an owner's entitlement covers, and starting a gang as own or as a loan where it fits."""

from dure.core.columns import *
from dure.core.columns import Columns
from dure.core.elastic import extend, idle_beyond_need, is_elastic, picked, place_larger
from dure.core.kernel import inner
from dure.core.placement import find_place, seek_own
from dure.core.profile import keep_dates, may_keep_dates
from dure.core.starting import failed_already, remember_failure, start
from dure.core.stopping import loan_class


@inner
def has_room(c: Columns, owner: int, kind: int, milli: int) -> bool:
    """Tell whether own running + claimed + ``milli`` stays within the entitlement of a type."""
    rights = c.rights
    if c.accounts[A_KIND, owner] == ACCOUNT_POOL:
        return True
    taken = rights[E_OWN, owner, kind] + rights[E_CLAIMED, owner, kind]
    return bool(taken + milli <= rights[E_ENTITLED, owner, kind])


@inner
def has_begun(c: Columns, job: int, kind: int) -> bool:
    """Tell whether a claimant's right is in force: it may claim some time before."""
    milli = c.jobs[J_SIZE, job] * c.jobs[J_MILLI, job]
    owner = c.jobs[J_OWNER, job]
    if c.accounts[A_KIND, owner] == ACCOUNT_POOL:
        return True
    return bool(c.rights[E_OWN, owner, kind] + milli <= c.rights[E_ENTITLED, owner, kind])


@inner
def claimable_types(c: Columns, job: int) -> int:
    """Return the mask of accepted types that a gang may claim: its owner is entitled to enough, or
    will be before the claim is due.
    """
    jobs, rights, mask = c.jobs, c.rights, 0
    owner, milli = jobs[J_OWNER, job], jobs[J_SIZE, job] * jobs[J_MILLI, job]
    if jobs[J_CLASS_ASKED, job] == 1 + LOAN or jobs[J_CLASS_ASKED, job] == 1 + SCAVENGE:
        return 0
    for kind in range(rights.shape[2]):
        taken = rights[E_OWN, owner, kind] + rights[E_CLAIMED, owner, kind]
        is_open = owner == 0 or taken + milli <= rights[E_SOON, owner, kind]
        if is_open and jobs[J_TYPES, job] >> kind & 1:
            mask |= 1 << kind
    return mask


@inner
def entitled_types(c: Columns, job: int) -> int:
    """Return the mask of accepted types of which the job's owner may still use enough as its
    own.
    """
    jobs, mask = c.jobs, 0
    if jobs[J_CLASS_ASKED, job] == 1 + LOAN or jobs[J_CLASS_ASKED, job] == 1 + SCAVENGE:
        return 0
    milli = jobs[J_SIZE, job] * jobs[J_MILLI, job]
    for kind in range(c.rights.shape[2]):
        if jobs[J_TYPES, job] >> kind & 1 and has_room(c, jobs[J_OWNER, job], kind, milli):
            mask |= 1 << kind
    return mask


@inner
def may_borrow(jobs: IntArray, job: int) -> bool:
    """Tell whether a gang may run as a loan; else an owner's return cannot call it back."""
    return bool(jobs[J_PREEMPTIBLE, job] == 1 and jobs[J_CLASS_ASKED, job] != 1 + OWN)


@inner
def could_be_own(jobs: IntArray, rights: IntArray, job: int) -> bool:
    """Tell cheaply whether any type's entitlement has room for the job; most waiting jobs fail
    this.
    """
    owner, milli = jobs[J_OWNER, job], jobs[J_SIZE, job] * jobs[J_MILLI, job]
    for kind in range(rights.shape[2]):
        taken = rights[E_OWN, owner, kind] + rights[E_CLAIMED, owner, kind]
        if owner == 0 or taken + milli <= rights[E_ENTITLED, owner, kind]:
            return True
    return False


@inner
def is_covered(cohort: IntArray, rights: IntArray) -> bool:
    """Tell the same of a whole cohort, by the types it accepts, now or soon: most fail this."""
    if not cohort[C_FLAGS] & MAY_OWN:
        return False
    owner, milli = cohort[C_OWNER], cohort[C_MILLI]
    for kind in range(rights.shape[2]):
        taken = rights[E_OWN, owner, kind] + rights[E_CLAIMED, owner, kind]
        is_open = owner == 0 or taken + milli <= rights[E_SOON, owner, kind]
        if is_open and cohort[C_TYPES] >> kind & 1:
            return True
    return False


@inner
def _might_fit(c: Columns, job: int, types: int) -> bool:
    """Tell cheaply whether it is worth looking for a place that delays nobody's date."""
    if c.scalars[S_KIND + IDLE] < c.jobs[J_SIZE, job] * c.jobs[J_MILLI, job]:
        return False
    return not failed_already(c.jobs, c.memo, job) and may_keep_dates(c, job, types)


@inner
def _place_for(c: Columns, job: int, types: int, kind: int) -> int:
    """Find a place; an elastic gang takes at once what nobody else who waits needs, unless somebody
    has a date.
    """
    count, more = 0, 0
    if is_elastic(c.jobs, job) and c.scalars[S_BOOKED] == 0:
        more = idle_beyond_need(c, job)
    seek_own(c, kind == OWN)
    if more > 0:
        # All of it where it fits: in the tightest gap for its minimum it could hardly grow.
        count = place_larger(c, job, types, more)
    if count == 0:
        count = find_place(c, job, types)
        if count > 0 and more > 0:
            count = extend(c, job, count, more)
    seek_own(c, False)
    return int(count)


@inner
def start_own(c: Columns, job: int, types: int) -> bool:
    """Start a gang as own on devices of these types, if it fits anywhere; tell whether it did."""
    if not _might_fit(c, job, types):
        return False
    count = _place_for(c, job, types, OWN)
    if count > 0:
        if keep_dates(c, job, count):
            start(c, job, OWN, count, 0)
            return True
        return False
    # Where there are cells, one owner's failure says nothing of another's.
    if types == c.jobs[J_TYPES, job] and c.scalars[S_CELLS] == 0:
        remember_failure(c, job)
    return False


@inner
def start_as(c: Columns, job: int, kind: int) -> bool:
    """Start a gang where it fits, as own if it is entitled, or as a loan."""
    if kind == OWN:
        types = entitled_types(c, job)
        return bool(types != 0 and start_own(c, job, types))
    if not _might_fit(c, job, c.jobs[J_TYPES, job]):
        return False
    count = _place_for(c, job, c.jobs[J_TYPES, job], LOAN)
    if count == 0:
        remember_failure(c, job)
        return False
    if not keep_dates(c, job, count):
        return False
    milli = picked(c, count) * c.jobs[J_MILLI, job]
    start(c, job, loan_class(c, milli, c.nodes[N_TYPE, c.picks[0, 0]]), count, 0)
    return True
