"""Single values as people write them: durations, memory, devices, moments."""

import re
from datetime import datetime

from dure.core.errors import InputError

DAY_S, HOUR_S, MINUTE_S = 86_400, 3_600, 60
UNIT_S = {"s": 1, "m": MINUTE_S, "h": HOUR_S, "d": DAY_S}
UNIT_KIB = {"K": 1, "M": 1_024, "G": 1_048_576, "T": 1_073_741_824}
DURATION_S_MAX = 10 * 366 * DAY_S
WHOLE_MAX = 1_000_000_000
SHOWN_MAX = 60
YES, NO = ("true", "yes", "on"), ("false", "no", "off")


def shown(text: str) -> str:
    """Quote what was found, cut short: a message must fit a line whatever stood there."""
    return repr(text) if len(text) <= SHOWN_MAX else f"{text[:SHOWN_MAX]!r}... (long)"


def whole(text: str, where: str, *, least: int = 0, most: int = WHOLE_MAX) -> int:
    """Read a whole number within its bounds."""
    if re.fullmatch(r"[0-9]{1,12}", text) is None or not least <= int(text) <= most:
        raise InputError(where, found=shown(text), expected=f"a whole number, {least} to {most}")
    return int(text)


def yes_no(text: str, where: str) -> bool:
    """Read ``true`` or ``false``, and the words YAML takes for them."""
    if text.lower() in (*YES, *NO):
        return text.lower() in YES
    raise InputError(where, found=shown(text), expected="true or false")


def duration_s(text: str, where: str) -> int:
    """Read ``90s``, ``30m``, ``2h``, ``1d``, ``1h30m``, ``12:00:00`` or ``1-12:00:00``.

    A bare number is refused: Slurm means minutes by it and everybody else seconds.
    """
    found_s = None
    if re.fullmatch(r"(?:[0-9]{1,9}[smhd])+", text):
        parts = re.findall(r"([0-9]+)([smhd])", text)
        found_s = sum(int(count) * UNIT_S[unit] for count, unit in parts)
    elif re.fullmatch(r"(?:[0-9]{1,5}-)?[0-9]{1,5}:[0-9]{2}:[0-9]{2}", text):
        found_s = _slurm_time(text)
    elif text == "0":
        found_s = 0
    if found_s is None or found_s > DURATION_S_MAX:
        raise InputError(
            where,
            found=shown(text),
            expected="a duration with its unit, such as 90s, 30m, 2h, 1h30m or 1-12:00:00",
        )
    return found_s


def slurm_time_s(text: str, where: str) -> int:
    """Read ``--time`` as Slurm does; -1 if it sets no limit.

    Source:
        sbatch(1): minutes, minutes:seconds, hours:minutes:seconds, days-hours,
        days-hours:minutes, days-hours:minutes:seconds; 0 and UNLIMITED set no limit.
    """
    if text.upper() in ("UNLIMITED", "INFINITE", "0"):
        return -1
    found_s = _slurm_time(text)
    if found_s is None or found_s > DURATION_S_MAX:
        raise InputError(
            where, found=shown(text), expected="a time as Slurm writes it, such as 90 (minutes), "
            "02:00:00 or 1-12:00:00"
        )  # fmt: skip
    return found_s


def _slurm_time(text: str) -> int | None:
    form = re.fullmatch(r"(?:([0-9]{1,5})-)?([0-9]{1,7})(?::([0-9]{1,4}))?(?::([0-9]{1,4}))?", text)
    if form is None:
        return None
    days, first, second, third = (int(part) if part else 0 for part in form.groups())
    if form.group(1) is not None or form.group(4) is not None:
        return days * DAY_S + first * HOUR_S + second * MINUTE_S + third
    return first * MINUTE_S + second


def memory_mib(text: str, where: str, *, unit: str) -> int:
    """Read an amount of memory, rounded up to whole MiB.

    Args:
        unit: what a bare number means: ``M`` in Slurm, ``G`` in SkyPilot.
    """
    form = re.fullmatch(r"([0-9]{1,9})(?:\.([0-9]{1,3}))?([KMGTkmgt]?)(?:i?[Bb])?\+?", text)
    if form is None:
        raise InputError(where, found=shown(text), expected="an amount such as 64G or 512M")
    kib = UNIT_KIB[(form[3] or unit).upper()]
    milli = int(form[1]) * 1000 + int((form[2] or "").ljust(3, "0"))
    return -(-milli * kib // 1_024_000)


def cpus_milli(text: str, where: str) -> int:
    """Read a number of CPUs, ``8``, ``0.5`` or SkyPilot's ``8+``, in thousandths."""
    form = re.fullmatch(r"([0-9]{1,6})(?:\.([0-9]{1,3}))?\+?", text)
    if form is None:
        raise InputError(where, found=shown(text), expected="a number of CPUs, such as 8 or 0.5")
    return int(form[1]) * 1000 + int((form[2] or "").ljust(3, "0"))


def moment_s(text: str, where: str) -> int:
    """Read a moment with its zone, ``2026-06-08T18:00+09:00``, as epoch seconds."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise InputError(
            where,
            found=shown(text),
            expected="a date and time with its zone, such as 2026-06-08T18:00+09:00",
        )
    return int(moment.timestamp())


def locality(text: str, where: str) -> str:
    """Read ``any``, ``required:LEVEL`` or ``preferred:LEVEL:PATIENCE``, patience in seconds.

    Returns:
        The form of the jobs' table, ``preferred:leaf:600``.
    """
    kind, _, rest = text.partition(":")
    level, _, patience = rest.partition(":")
    if text == "any":
        return text
    if kind == "required" and level in LEVELS and not patience:
        return text
    if kind == "preferred" and level in LEVELS and patience:
        bare = re.fullmatch(r"[0-9]{1,9}", patience) is not None
        return f"preferred:{level}:{int(patience) if bare else duration_s(patience, where)}"
    raise InputError(
        where,
        found=shown(text),
        expected=f"any, required:LEVEL or preferred:LEVEL:PATIENCE (such as preferred:leaf:10m), "
        f"LEVEL one of {', '.join(LEVELS)}",
    )


LEVELS = ("node", "leaf", "pod", "cluster", "site")
