"""Text of a build's log made fit for a page: it is a module's own, and may be anything."""

import re

# CSI and OSC sequences, and other escapes of one letter (ECMA-48)
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\|$)|[@-Z\\^_]|[ -/]+[0-~])")
# what is left of the control characters, but for tabs and ends of lines; and what turns the direction of writing
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_OVERWRITTEN = re.compile(r"[^\n]*\r(?=[^\n])")


def plain_text(text: str) -> str:
    """Without colours and other control sequences, as a terminal would have left it."""
    text = _ESCAPES.sub("", text).replace("\r\n", "\n")
    return _CONTROLS.sub("", _OVERWRITTEN.sub("", text))


def last_lines(text: str, *, lines: int, characters: int) -> tuple[str, int]:
    """The end of a text, and how many of its lines are left out. lines, characters: how many may be left."""
    every = text.splitlines()
    kept, room = len(every), characters
    while kept and len(every) - kept < lines and (room := room - len(every[kept - 1]) - 1) >= 0:
        kept -= 1
    return "\n".join(every[kept:]), kept
