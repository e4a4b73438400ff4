"""What a server answers that is asked for the mirrors of an rpm repository: a plain list, or a metalink.

A plain list (`mirrorlist=` of dnf.conf(5)) has one base URL per line, in which `$basearch` may stand. A metalink
(version 3.0, as MirrorManager writes it) is XML; it also says which repomd.xml is the newest.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from kmodci.errors import IndexDamaged

from .safexml import children, parsed

# MirrorManager's lists for a whole continent have some 200 mirrors and 100 KiB
LIST_LIMIT = 2 * 1024 * 1024
"""bytes"""

_REPOMD = "repodata/repomd.xml"
_BASE = re.compile(r"https?://[A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]{1,5})?(/[A-Za-z0-9._~+%,=:-]*)*")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_HINT = "look at what it answers; another list, or `rpm:` with a base URL, may be named in targets.yml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mirrors:
    """Where a repository can be read now."""

    bases: tuple[str, ...]
    """base URLs without a `/` at their end, in the order in which they are to be tried; at least one"""
    repomd_sha256: str = ""
    """of the newest repomd.xml, hex; empty where the list does not say"""


def parse_mirrors(content: bytes, basearch: str) -> Mirrors:
    """Either kind of list. basearch: what stands for `$basearch` in it (`x86_64`). Raises IndexDamaged."""
    if content.lstrip().startswith(b"<"):
        return _parse_metalink(content)
    return _parse_list(content, basearch)


def _parse_list(content: bytes, basearch: str) -> Mirrors:
    lines = [line.strip() for line in content.decode("utf-8", "replace").splitlines()]
    told = [line.replace("$basearch", basearch) for line in lines if line and not line.startswith("#")]
    bases = _usable(told)
    if not bases:
        raise IndexDamaged(f"not a list of mirrors: no base URL in it{_quoted(told)}", hint=_HINT)
    return Mirrors(bases=bases)


def _parse_metalink(content: bytes) -> Mirrors:
    files = [
        file
        for group in children(parsed(content, "what should be a list of mirrors or a metalink"), "files")
        for file in children(group, "file")
        if file.get("name") == "repomd.xml"
    ]
    # Older ones are further down (`alternates`), for mirrors that lag behind. They are not taken: what such a mirror
    # has would be news one day, gone the next, and news again.
    hashes = [text for kind, text in _texts(files, "verification", "hash") if kind.get("type") == "sha256"]
    if len(hashes) != 1 or not _SHA256.fullmatch(hashes[0].lower()):
        # the weaker ones that stand beside it can be forged, and without any this is but a list
        raise IndexDamaged("not a metalink of a repository: it has no SHA256 of a repomd.xml", hint=_HINT)
    resources = sorted(_texts(files, "resources", "url"), key=lambda found: -_preference(found[0]))
    urls = [url for _, url in resources]
    bases = _usable(url.removesuffix(_REPOMD) for url in urls if url.endswith(f"/{_REPOMD}"))
    if not bases:
        raise IndexDamaged(f"not a metalink of a repository: no mirror in it{_quoted(urls)}", hint=_HINT)
    return Mirrors(bases=bases, repomd_sha256=hashes[0].lower())


def _texts(files: Iterable[Element], group: str, name: str) -> Iterator[tuple[Element, str]]:
    for file in files:
        for parent in children(file, group):
            for element in children(parent, name):
                yield element, (element.text or "").strip()


def _preference(url: Element) -> int:
    """0 to 100, more is better."""
    text = url.get("preference", "")
    return int(text) if re.fullmatch("[0-9]{1,3}", text) else 0


def _usable(told: Iterable[str]) -> tuple[str, ...]:
    """Those of HTTP, each once; lists also have rsync and FTP."""
    fitting = (url.rstrip("/") for url in told if _BASE.fullmatch(url) and "/../" not in f"{url}/")
    return tuple(dict.fromkeys(fitting))


def _quoted(told: Iterable[str]) -> str:
    return next((f"; it begins with {line[:80]!r}" for line in told), "")
