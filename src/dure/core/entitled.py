"""What an owner's entitlement covers, and starting a gang as own or as a loan where it fits."""

from dure.core.columns import *
from dure.core.columns import Columns
from dure.core.kernel import inner
from dure.core.placement import find_own_place, find_place
from dure.core.profile import keep_dates, may_keep_dates
from dure.core.starting import failed_already, remember_failure, start


@inner
def has_room(c: Columns, owner: int, kind: int, milli: int) -> bool:
    """Tell whether own running + claimed + ``milli`` stays within the entitlement of a type."""
    rights = c.rights
    if c.accounts[A_KIND, owner] == ACCOUNT_POOL:
        return True
    taken = rights[E_OWN, owner, kind] + rights[E_CLAIMED, owner, kind]
    return bool(taken + milli <= rights[E_ENTITLED, owner, kind])


@inner
def entitled_types(c: Columns, job: int) -> int:
    """Return the mask of accepted types of which the job's owner may still use enough as its
    own.
    """
    jobs, mask = c.jobs, 0
    if jobs[J_CLASS_ASKED, job] == 1 + LOAN or jobs[J_CLASS_ASKED, job] == 1 + SCAVENGE:
        return 0
    milli = jobs[J_GPUS, job] * jobs[J_MILLI, job]
    for kind in range(c.rights.shape[2]):
        if jobs[J_TYPES, job] >> kind & 1 and has_room(c, jobs[J_OWNER, job], kind, milli):
            mask |= 1 << kind
    return mask


@inner
def could_be_own(jobs: IntArray, rights: IntArray, job: int) -> bool:
    """Tell cheaply whether any type's entitlement has room for the job; most waiting jobs fail
    this.
    """
    owner, milli = jobs[J_OWNER, job], jobs[J_GPUS, job] * jobs[J_MILLI, job]
    for kind in range(rights.shape[2]):
        taken = rights[E_OWN, owner, kind] + rights[E_CLAIMED, owner, kind]
        if owner == 0 or taken + milli <= rights[E_ENTITLED, owner, kind]:
            return True
    return False


@inner
def is_covered(cohort: IntArray, rights: IntArray) -> bool:
    """Tell the same of a whole cohort, by the types it accepts: most fail this."""
    if not cohort[C_FLAGS] & MAY_OWN:
        return False
    owner, milli = cohort[C_OWNER], cohort[C_MILLI]
    for kind in range(rights.shape[2]):
        taken = rights[E_OWN, owner, kind] + rights[E_CLAIMED, owner, kind]
        is_open = owner == 0 or taken + milli <= rights[E_ENTITLED, owner, kind]
        if is_open and cohort[C_TYPES] >> kind & 1:
            return True
    return False


@inner
def _might_fit(c: Columns, job: int, types: int) -> bool:
    """Tell cheaply whether it is worth looking for a place that delays nobody's date."""
    if c.scalars[S_KIND + IDLE] < c.jobs[J_GPUS, job] * c.jobs[J_MILLI, job]:
        return False
    return not failed_already(c.jobs, c.memo, job) and may_keep_dates(c, job, types)


@inner
def start_own(c: Columns, job: int, types: int) -> bool:
    """Start a gang as own on devices of these types, if it fits anywhere; tell whether it did."""
    if not _might_fit(c, job, types):
        return False
    count = find_own_place(c, job, types)
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
def loan_class(c: Columns, job: int, kind: int) -> int:
    """A gang that fits into what nobody is entitled to disturbs no lender: it scavenges."""
    types, milli = c.types, c.jobs[J_GPUS, job] * c.jobs[J_MILLI, job]
    left = types[T_CAPACITY, kind] - types[T_ENTITLED, kind] - types[T_SCAVENGED, kind]
    left -= c.rights[E_OWN, 0, kind]
    return SCAVENGE if milli <= left else LOAN


@inner
def start_as(c: Columns, job: int, kind: int) -> bool:
    """Start a gang where it fits, as own if it is entitled, or as a loan."""
    if kind == OWN:
        types = entitled_types(c, job)
        return bool(types != 0 and start_own(c, job, types))
    if not _might_fit(c, job, c.jobs[J_TYPES, job]):
        return False
    count = find_place(c, job, c.jobs[J_TYPES, job])
    if count == 0:
        remember_failure(c, job)
        return False
    if not keep_dates(c, job, count):
        return False
    start(c, job, loan_class(c, job, c.nodes[N_TYPE, c.picks[0, 0]]), count, 0)
    return True
