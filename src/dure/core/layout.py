"""What the rows of the pool's matrices mean, and every word that is a number there.

Kernels take one ``Columns`` and index it by the constants below. A matrix is (quantity, thing), so
each quantity is contiguous. Device counts that decide are in milli (1000 = one whole device); times
are whole seconds; -1 means none where 0 is a value. Constants carry the matrix's initial letter:
``S`` scalars, ``P`` policy, ``N`` nodes, ``H`` shelves, ``D`` devices, ``G`` groups, ``J`` jobs,
``R`` placement rows, ``A`` accounts, ``E`` entitlements, ``L`` allocations.
"""

WHOLE = 1000
FOREVER_S = 1 << 60
UNLIMITED = 1 << 60

# --- words as numbers ------------------------------------------------------------------------
(OWN, LOAN, SCAVENGE, IDLE, RESERVED, DRAINING, DOWN) = range(7)
KINDS = ("own", "loan", "scavenge", "idle", "reserved", "draining", "down")

(PENDING, RUNNING, STOPPING, COMPLETED, FAILED, CANCELLED, TIMEOUT, REFUSED) = range(8)
JOB_STATES = (
    "PENDING",
    "RUNNING",
    "STOPPING",
    "COMPLETED",
    "FAILED",
    "CANCELLED",
    "TIMEOUT",
    "REFUSED",
)

(BY_DONE, BY_RECLAIM, BY_PREEMPTION, BY_FAULT, BY_SWAP, BY_RESIZE, BY_CANCEL, BY_HORIZON) = range(8)
BY_MOVE = 8  # to make room for another gang; outside it is a preemption
END_CAUSES = (
    "done",
    "reclaimed",
    "preempted",
    "fault",
    "swapped",
    "resized",
    "cancelled",
    "horizon",
    "preempted",
)

(FIFO, GREEDY, EASY, SJF, SRTF, SRSF, SILOED, DURE) = range(8)
POLICIES = ("fifo", "greedy", "easy", "sjf", "srtf", "srsf", "siloed", "dure")

(AT_NODE, AT_LEAF, AT_POD, AT_CLUSTER, AT_SITE, AT_ANY) = range(6)
LEVELS = ("node", "leaf", "pod", "cluster", "site", "any")
(LOCALITY_ANY, LOCALITY_PREFERRED, LOCALITY_REQUIRED) = range(3)
GRADES = ("O", "S", "C")  # open, sensitive, classified; a site serves its grade and those before it
GRADE_MAX = len(GRADES) - 1

# Types in order of preference are packed into one number, the first in its lowest bits, each as
# type + 1.
(PREFERRED_BITS, PREFERRED_MASK, PREFERRED_MOST) = (6, 63, 10)

# Who may keep new work off a node; each lifts only what it asked for itself.
(OF_OPERATOR, OF_PROVIDER, OF_HEALTH, OF_BREAKER) = range(4)
CORDONERS = ("operator", "provider", "health", "breaker")

# --- facts: rows of [kind, at_s, job, a, b, c, d, e]; jobs by number (J_NUMBER) ----------------
FACT_WIDTH = 8
K_SUBMITTED = 1  # job
K_ENDED = 2  # job, a attempt, b state, c exit code, d e from when to when its nodes ran it, or 0
K_FAULT = 3  # a node, b class, c devices (0: the whole node)
K_REPAIRED = 4  # a node, b class, c devices
K_CANCELLED = 5  # job
K_ALLOCATED = 6  # a allocation, b account, c type, d milli; from_s, to_s travel in e and job
K_VACATED = 7  # job, a attempt, b saved, d e as K_ENDED (a receipt of a stop that was ordered)
K_CORDONED = 8  # a node, b 1 takes no new work, 0 takes it again, c who asks (OF_OPERATOR ...)
K_SEATED = 9  # a allocation, b shelf, c nodes: a cell of its shape (after its K_ALLOCATED)
K_REFUSED = 20  # job, a reason
K_STARTED = 21  # job, a attempt, b class, c 1 if on GPUs that were held for it, d devices if fewer
K_PLACED = 22  # job, a node, b device mask, c milli of each device
K_STOPPED = 23  # job, a attempt, b cause, c progress kept in s, d lost milli-GPU-s
K_STOP_ORDERED = 24  # job, a attempt, b cause
K_RECLASSED = 25  # job, a the attempt that opens, b class
K_CLAIMED = 26  # job, a due_at_s
K_HELD = 27  # job, a node, b device mask
K_NOTICED = 28  # borrower, a claimant, b stop_at_s, c 1 saves, +2 moves, d milli, e due_at_s
K_WITHDRAWN = 29  # borrower, a claimant
K_CLAIM_ENDED = 30  # job, a outcome
K_CLEANED = 31  # a node, b device mask
K_BESIDE = 32  # a idle milli beside a queue, b reserved milli beside a queue
K_BREAKER = 33  # a provider, b until_s: no gang starts there
K_SPARED = 34  # a node that was a spare, b the failed node of whose gang it takes the place
K_BOOKED = 35  # job, a the date at which it starts at latest (-1: given up), b group
K_LENT = 36  # job, a node, b mask of its devices there that are on loan, the gang being own
K_RESIZE_DUE = 37  # job, a when it has saved and goes on with more devices, if any are idle then
K_MOVED_UP = 38  # job, a its new key: a deadline nears (below 0), or cannot be met any more
(CLAIM_SERVED, CLAIM_ELSEWHERE, CLAIM_FAULT, CLAIM_CANCELLED) = range(4)

# --- scalars ---------------------------------------------------------------------------------
(
    S_NOW,
    S_JOBS,
    S_Q_HEAD,
    S_Q_TAIL,
    S_Q_DEAD,
    S_FRESH,
    S_RUNNING,
    S_HURT,
    S_ALARMS,
    S_DUE,
    S_CLAIMS,
    S_ROWS_TOP,
    S_ROWS_FREE,
    S_FREED,
    S_FACTS,
    S_STAMP,
    S_BESIDE,
    S_RESERVED_BESIDE,
    S_BESIDE_SUM,
    S_RESERVED_BESIDE_SUM,
    S_ALLOCS,
    S_ACCOUNTS,
    S_DAY,
    S_STARTED_AT,
    S_LENT,
    S_SPARE,
    S_SHAPES,
    S_FAMILIES,
    S_AFTERS,
    S_BADLY,
    S_SHARED_ROWS,
    S_STANDING,
    S_COHORTS,
    S_PROBATION,
    S_MOVED,
    S_MOVED_HOUR,
    S_STRANDED,
    S_SPARES,
    S_CELLS,
    S_AS_OWN,
    S_LISTED,
    S_BOOKED,
    S_ELASTIC,
    S_RISING,
    S_IMPATIENT,
    S_EARLIER,
) = range(46)
S_KIND = 56  # milli by kind now, 7 of them
S_SUM = 64  # milli-seconds by kind since the start, 7 of them
SCALARS = 72

# --- policy ----------------------------------------------------------------------------------
(
    P_POLICY,
    P_RETURN_S,
    P_DRAIN_S,
    P_CLEANING_S,
    P_START_S,
    P_BACKOFF_S,
    P_BACKOFF_S_MAX,
    P_DEARER_S,
    P_LEND,
    P_DECAY,
    P_INSTANT,
    P_HORIZON_S,
    P_DAY_S,
    P_RESERVE_S,
    P_SWAP,
    P_HAZARD_S,
    P_LEMON_FAULTS,
    P_PROBATION_S,
    P_LEMONS_PCT,
    P_GROUPS,
    P_GOES_ON_S,
    P_CONSOLIDATE,
    P_BREAKER_PCT,
    P_BREAKER_WINDOW_S,
    P_BREAKER_S,
    P_LARGE_PCT,
    P_GROW_S,
    P_URGENT_S,
    P_RESTART_S,
    P_ESTIMATE_WEIGHT,
    P_UNDECLARED_S,
    P_FELT_S,
    P_PASSED_S,
    P_RELOCATE,
    P_YIELD_RATIO,
) = range(35)
P_FLOOR = 48  # each group's part of what is lent, the ungrouped first
GROUPS_MOST = 16
POLICY_SIZE = P_FLOOR + GROUPS_MOST

# --- the pool --------------------------------------------------------------------------------
(N_GPUS, N_SHELF, N_FIRST, N_TYPE, N_DOWN, N_CORDONED, N_FREE, N_ROWS, N_IDLE) = range(9)
(N_RESERVED, N_DRAINING, N_DOWN_MILLI, N_CPU, N_MEMORY, N_CPU_FREE, N_MEMORY_FREE) = range(9, 16)
# Faults weighed and when; on probation until then (0: it is not); when all of it last failed; when
# the last gang there ends by its own word and the node is clean again.
(N_HELD, N_HAZARD, N_HAZARD_AT, N_PROBATION, N_FAILED_AT, N_SPARE, N_ENDS, N_COUNT) = range(16, 24)
(IS_SPARE, IS_OPEN_SPARE) = (1, 2)  # of N_SPARE; an open one may be claimed
(
    H_FROM,
    H_TO,
    H_GROUP,
    H_GPUS,
    H_TYPE,
    H_GRADE,
    H_PROVIDER,
    H_LEAF,
    H_POD,
    H_CLUSTER,
    H_SITE,
    H_HOLDER,
    H_COUNT,
) = range(13)
(G_FROM, G_TO, G_GPUS, G_TYPE, G_COUNT) = range(5)
# By provider: shut until then, on trial until then (0: it is not).
(BREAKER_OPEN, BREAKER_TRIAL, BREAKER_COUNT) = range(3)
(D_FREE, D_DOWN, D_HOLD, D_CLEANING, D_CLEAN_AT, D_OWNER, D_COUNT) = range(7)

# --- jobs: first what is asked (written once), then what became of it ---------------------------
# ``J_SIZE``: devices it starts with, its minimum if it is elastic, else all.
(
    J_PROJECT,
    J_PROVIDER,
    J_OWNER,
    J_SUBMIT,
    J_GPUS,
    J_MILLI,
    J_NODES,
    J_GPN,
    J_TYPES,
    J_CLASS_ASKED,
    J_LOCALITY,
    J_LEVEL,
    J_PATIENCE,
    J_MIN_GPUS,
    J_ESTIMATE,
    J_CKPT_EVERY,
    J_CKPT_TAKES,
    J_PREEMPTIBLE,
    J_GRADE,
    J_DEADLINE,
    J_AFTER,
    J_CPU,
    J_MEMORY,
    J_WORK,
    J_PREFERRED,
    J_SEGMENT,
    J_KEY,
    J_SHAPE,
    J_FAMILY,
    J_COHORT,
    J_ODD,
    J_NUMBER,
    J_SIZE,
    J_ASKED,
) = range(34)
AFTER_DONE = -2  # ``J_AFTER`` of a job that comes after one that ended well and was forgotten
BROUGHT = J_KEY  # the columns of a job that its submission brings
(
    J_STATE,
    J_CLASS,
    J_ATTEMPT,
    J_STARTED,
    J_RUN_SINCE,
    J_FIRST_START,
    J_ENDED,
    J_SAVED,
    J_RUN_S,
    J_LOST,
    J_QUEUED_S,
    J_QUEUED_SINCE,
    J_STOP_AT,
    J_STOP_SAVES,
    J_STOP_CAUSE,
    J_LEFT,
    J_CLAIM_DUE,
    J_CLAIM_ASKED,
    J_RECLAIMS,
    J_ELIGIBLE,
    J_REASON,
    J_ROWS,
    J_USED,
    J_RUN_POS,
    J_IN_QUEUE,
    J_PLACED_TYPE,
    J_MOVABLE_AT,
    J_DATE,
    J_DATE_GROUP,
    J_PROMISED,
) = range(J_ASKED, J_ASKED + 30)
J_COUNT = J_ASKED + 30
(R_JOB, R_NODE, R_MASK, R_MILLI, R_NEXT_OF_NODE, R_NEXT_OF_JOB, R_LENT, R_COUNT) = range(8)

# --- who -------------------------------------------------------------------------------------
(A_KIND, A_WEIGHT, A_GROUP, A_BORROWED, A_DECAYED, A_TODAY, A_CREDIT, A_OWES, A_COUNT) = range(9)
(ACCOUNT_POOL, ACCOUNT_PROJECT, ACCOUNT_PROVIDER) = range(3)
# E_CELLS: entitled in shapes; who holds a leaf (H_HOLDER) is an account + 1, or 0. E_SOON: entitled
# at most until a claim made now is due.
(E_ENTITLED, E_OWN, E_CLAIMED, E_CELLS, E_SOON, E_COUNT) = range(6)
(Z_ALLOCATION, Z_SHELF, Z_NODES, Z_COUNT) = range(4)  # columns of a cell
(T_CAPACITY, T_ENTITLED, T_SCAVENGED, T_LENT, T_SPEED, T_EXCHANGE, T_COUNT) = range(7)
(L_ACCOUNT, L_TYPE, L_MILLI, L_FROM, L_TO, L_LENDABLE, L_COUNT) = range(7)

# Gangs with a date, by date, then by number (``core.bookings``), with what a look along them needs.
(B_JOB, B_DATE, B_GROUP, B_NODES, B_LASTS, B_COUNT) = range(6)
DATES_MAX = 1000  # so many at once

# --- alarms: (at_s, what, who), a binary heap ------------------------------------------------
(ALARM_CLEAN, ALARM_STOP, ALARM_RIGHTS, ALARM_RETRY, ALARM_PROBATION, ALARM_BREAKER) = range(6)
ALARM_LAXITY = 6

# --- workspace: memo of one pass (by shape, by family), rows of scratch --------------------------
# What came free since the last pass: room that anyone sees, or only rights and devices to clean;
# and whether leaves changed holders.
(FREED_ROOM, FREED_RIGHTS, FREED_CELLS) = (1, 2, 4)
# Columns of the stamp row: of this pass, of marks, the last given, of claims, of marks when the
# plan began.
(STAMP_PASS, STAMP_MARKS, STAMP_LAST, STAMP_CLAIMS, STAMP_PLAN) = range(5)
(
    M_EVER,
    M_FAILED,
    M_LEAST,
    M_LEAST_LONG,
    M_UNCLAIMED,
    M_UNCLAIMED_TYPES,
    M_UNMOVED,
    M_UNMOVED_TYPES,
    M_NOWHERE,
    M_PRICED,
    M_BESIDE,
    M_STAMP,
    M_COUNT,
) = range(13)
(
    X_FIT,
    X_DOMAIN,
    X_FIT_REST,
    X_DOMAIN_REST,
    X_RESERVED,
    X_SHADOW,
    X_HEAD,
    X_VICTIM,
    X_LEAVES,
    X_NODE,
    X_PATH,
    X_SHED,
    X_COST,
    X_COSTED,
    X_TOUCHED,
    X_LATE,
    X_PRICED,
) = range(17)
# What 1, 2, 4 and any other number of a node's devices cost: under which stamp it was asked, and
# the answer.
PRICES = 4
X_PRICE = X_PRICED + PRICES
X_COUNT = X_PRICE + PRICES
# The line by cohorts (``core.line``): trees hold job + 1, so that 0 is none.
# One cohort is one row, so that a look at it is a look at one place in memory: what a pass asks of
# every cohort comes first.
(
    C_SHAPE,
    C_FAMILY,
    C_GPUS,
    C_MILLI,
    C_TYPES,
    C_OWNER,
    C_FLAGS,
    C_ROOT,
    C_EXAMPLE,
    C_PLACE,
    C_STAMP,
    C_TURN,
    C_NEXT,
) = range(13)
C_COUNT = 16
(IS_ODD, MAY_OWN, MAY_BORROW) = (1, 2, 4)
(W_LEFT, W_RIGHT, W_LEAST, W_COUNT) = range(4)
FAMILIES = 64
MARKS_FROM = 16  # stamps of marks start above the small flags
UNKNOWN_S = 1_000_000_000
