"""Amounts as people write them: `30m` is seconds, `2GiB` is bytes."""

import re
from typing import Annotated

from pydantic import BeforeValidator

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_BYTES = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_DURATION = re.compile(r"(?:[0-9]{1,6}[smhd])+")
_SIZE = re.compile(r"([0-9]{1,9}) ?(B|KiB|MiB|GiB)")


def seconds(text: object) -> object:
    """`1h30m` -> 5400; numbers, and what is no text, unchanged. Raises ValueError."""
    if not isinstance(text, str):
        return text
    if not _DURATION.fullmatch(text):
        raise ValueError(f"not a duration: {text[:40]!r} (write it as 90s, 30m, 1h30m or 2d)")
    return sum(int(amount) * _SECONDS[unit] for amount, unit in re.findall(r"([0-9]+)([smhd])", text))


def size(text: object) -> object:
    """`2GiB` -> 2147483648; numbers, and what is no text, unchanged. Raises ValueError."""
    if not isinstance(text, str):
        return text
    found = _SIZE.fullmatch(text)
    if not found:
        raise ValueError(f"not a size: {text[:40]!r} (write it as 512MiB or 2GiB)")
    return int(found[1]) * _BYTES[found[2]]


def growing(first: float, times: int, longest: float) -> float:
    """Seconds to wait after so many failures in a row, from 1: the first time, twice that each time, at most so long.

    What has failed for weeks has done so more often than a float has powers of two.
    """
    return min(first * 2.0 ** min(times - 1, 60), longest)


def duration_text(amount: float) -> str:
    """5400 -> `1h30m`."""
    left, text = round(amount), ""
    for unit in "dhms":
        count, left = divmod(left, _SECONDS[unit])
        text += f"{count}{unit}" if count else ""
    return text or "0s"


def age_text(amount: float) -> str:
    """How long something is ago, in the largest unit that there are two of: 7300 -> `2h`."""
    unit = next((unit for unit in "dhm" if amount >= 2 * _SECONDS[unit]), "s")
    return f"{int(amount // _SECONDS[unit])}{unit}"


def size_text(amount: int) -> str:
    """2147483648 -> `2GiB`; rounded down to a whole unit."""
    unit = next((unit for unit in ("GiB", "MiB", "KiB") if amount >= _BYTES[unit]), "B")
    return f"{amount // _BYTES[unit]}{unit}"


Seconds = Annotated[int, BeforeValidator(seconds)]
Bytes = Annotated[int, BeforeValidator(size)]
