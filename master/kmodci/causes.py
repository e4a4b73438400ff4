"""Why builds failed, in words that are equal for equal causes. Decides, and does nothing.

An outcome keeps the first error as the compiler said it, with file, line and the compiler's own way to put it. Over a
hundred kernels the same error reads in a dozen ways; its group's name is what is left without them.
"""

import re

_LENGTH = 200
_QUOTED = re.compile(r"\u2018([^\u2019]*)\u2019|`([^'`]*)'|'([^']*)'|\"([^\"]*)\"")
# what is said of a place, from the most particular to the most general
_PLACES = (
    re.compile(r"^\S+?:(?:\d+:|\(\S+\):)* (?:fatal )?[Ee]rror: "),
    re.compile(r"^\S+:\(\S+\): (?=undefined reference)"),
    re.compile(r"^ERROR: "),
    re.compile(r"^make(?:\[\d+\])?: \*\*\* "),
)
# what a compiler adds in one version and not in another
_ADDITIONS = (
    re.compile(r" ?\{aka [^{}]*(?:\}|$)"),
    re.compile(r"; did you mean .*?\?"),
    re.compile(r"; expected \d+, have \d+|; have \W.*"),
    re.compile(r" \(first use in this function\)| here \(not in a function\)"),
    re.compile(r", needed by .*|\. {2}Stop\.$"),
    # of what is an error by itself, the option says nothing
    re.compile(r" \[-(?:W(?!error=)|fpermissive)[^\]]*\]"),
    # and since gcc 14 these are (https://gcc.gnu.org/gcc-14/porting_to.html)
    re.compile(
        r" \[-Werror=(?:implicit-function-declaration|implicit-int|int-conversion|incompatible-pointer-types"
        r"|return-mismatch|declaration-missing-parameter-type)\]"
    ),
)
_URL = re.compile(r"(https?://\S*/)[^\s/]+")
_NUMBERS = (
    # a path's last part says enough; in a URL a path is not on its own
    (re.compile(r"(?<![\w:/.])(?:/[\w.+~@-]+)+/(?=[\w.+~@-])"), ""),
    (re.compile(r"\b\d+\.\d+\.\d+[\w.+~-]*\w"), "..."),
    (re.compile(r"\b(?:0x[0-9a-f]{4,}|(?=[a-f]*\d)[0-9a-f]{12,})\b"), "..."),
)
_MODPOST = re.compile(r"^modpost: `(\w+)` \[.*\] undefined!$")
_MADE = re.compile(r"^\[.*?([^\s/:\]]+)\] (Error \d+)$")
# the farm's own words; a limit may be a module's own
_OWN = (
    (re.compile(r"^(killed for memory|disk full)\b.*"), r"\1"),
    (re.compile(r"^stopped after \d+ s, the limit of its time"), "stopped by the limit of its time"),
    (re.compile(r"^stopped: its log is longer.*"), "stopped by the limit of its log"),
)
_EXCLUSION = re.compile(r"^(BUILD_EXCLUSIVE_\w+) (is|has) (.*), and the (kernel|architecture) .*$")
_VERIFIED = re.compile(r"^not publishable: ")


def group_name(cause: str, release: str) -> str:
    """What builds with an equal cause have in common, in the compiler's words, identifiers in backquotes.

    cause: an outcome's; release: the kernel release it was built for. Without paths, line numbers, kernel versions,
    hashes, and what one compiler adds and another does not.
    """
    exclusion = _EXCLUSION.match(cause)
    if exclusion:
        # its own patterns and versions are the same for every kernel
        return f"dkms.conf: {exclusion[1]} {exclusion[2]} {exclusion[3]}"
    for own, name in _OWN:
        if own.match(cause):
            return own.sub(name, cause)
    text = _URL.sub(r"\1...", cause).replace(release, "...")
    text = _problems(text) if _VERIFIED.match(text) else _diagnostic(text)
    return text if len(text) <= _LENGTH else f"{text[: _LENGTH - 3]}..."


def _diagnostic(text: str) -> str:
    """A line of a compiler, linker, modpost or make."""
    for place in _PLACES:
        text, found = place.subn("", text)
        if found:
            break
    for addition in _ADDITIONS:
        text = addition.sub("", text)
    text = _header(_QUOTED.sub(_backquoted, text))
    for number, instead in _NUMBERS:
        text = number.sub(instead, text)
    text = _MODPOST.sub(r"modpost: `\1` undefined", text)
    return _MADE.sub(r"make: `\1`: \2", text).strip()


def _problems(text: str) -> str:
    """What `verify` found: the first of it, of whatever file."""
    first = _VERIFIED.sub("", text).partition("; ")[0]
    _, _, problem = first.partition(".ko: ")
    return f"not publishable: {_diagnostic(problem or first)}"


def _header(text: str) -> str:
    return re.sub(r"^([\w./+-]+): (?=No such file or directory$)", r"`\1`: ", text)


def _backquoted(found: re.Match[str]) -> str:
    return f"`{next(group for group in found.groups() if group is not None)}`"
