"""The gates that keep a gang waiting, by number and by stable code; the rows of what is found."""

(
    NO_GATE,
    FOR_JOB,
    FOR_RETURN,
    AFTER_RECLAIM,
    NO_ALLOCATION,
    TOO_LARGE,
    RIGHTS_IN_USE,
    NO_ROOM,
    SCATTERED,
    TOO_NARROW,
    GRADE,
    CPU_OR_MEMORY,
    HELD,
    BEHIND,
    SHUT,
) = range(15)
GATES = (
    "",
    "WaitingForJob",
    "WaitingForPreemptedWorkloads",
    "WaitingAfterReclaim",
    "NoAllocationNow",
    "ExceedsMaxQuota",
    "WaitingForQuota",
    "WaitingForRoom",
    "TopologyPlacementFailed",
    "LocalityTooNarrow",
    "WaitingForGrade",
    "WaitingForCpuOrMemory",
    "HeldForClaimant",
    "WaitingForTurn",
    "ProviderShut",
)
# Rows of what is found. Need and have are milli-GPU; ``W_NODES_*`` count nodes, where those bind.
(
    W_JOB,
    W_GATE,
    W_NEED,
    W_HAVE,
    W_NODES_NEED,
    W_NODES_HAVE,
    W_UNTIL,
    W_AHEAD,
    W_TYPES,
    WHY_COUNT,
) = range(10)
NEVER_S = -1
