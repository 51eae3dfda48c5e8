"""Codes of the engine as the words that tables, screens and reports share."""

# Position is the engine's reason (``core.refusing``); the words are stable: reports count them.
REFUSALS = (
    "",
    "NothingAsked",
    "ShapeDoesNotAddUp",
    "NeverFits",
    "UnknownAccelerator",
    "DependencyFailed",
    "ValueOutOfRange",
    "Contradiction",
)
