"""What a server answers that is asked for the mirrors of an rpm repository: a plain list, or a metalink.

A plain list (`mirrorlist=` of dnf.conf(5)) has one base URL per line, in which `$basearch` may stand. A metalink
(version 3.0, as MirrorManager writes it) is XML; it also says which repomd.xml is the newest.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from xml.parsers.expat import ExpatError, ParserCreate

from kmodci.errors import IndexDamaged

# MirrorManager's lists for a whole continent have some 200 mirrors and 100 KiB
LIST_LIMIT = 2 * 1024 * 1024
"""bytes"""

_NAMESPACE = "http://www.metalinker.org/"
_REPOMD = "repodata/repomd.xml"
# what is nested deeper than this is not what it is read for
_DEPTH = 16
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
    reader = _Reader()
    try:
        reader.parse(content)
    except ExpatError as fault:
        raise IndexDamaged(f"neither a list of mirrors nor a metalink: {fault}", hint=_HINT) from fault
    if not _SHA256.fullmatch(reader.sha256):
        # the weaker ones that stand beside it can be forged, and without any this is but a list
        raise IndexDamaged("not a metalink of a repository: it has no SHA256 of a repomd.xml", hint=_HINT)
    urls = [url for _, url in sorted(reader.urls, key=lambda found: -found[0])]
    bases = _usable(url.removesuffix(_REPOMD) for url in urls if url.endswith(f"/{_REPOMD}"))
    if not bases:
        raise IndexDamaged(f"not a metalink of a repository: no mirror in it{_quoted(urls)}", hint=_HINT)
    return Mirrors(bases=bases, repomd_sha256=reader.sha256)


def _usable(told: Iterable[str]) -> tuple[str, ...]:
    """Those of HTTP, each once; lists also have rsync and FTP."""
    fitting = (url.rstrip("/") for url in told if _BASE.fullmatch(url) and "/../" not in f"{url}/")
    return tuple(dict.fromkeys(fitting))


def _quoted(told: Iterable[str]) -> str:
    return next((f"; it begins with {line[:80]!r}" for line in told), "")


class _Reader:
    """Takes the hash and the URLs of repomd.xml out of a metalink.

    Older repomd.xml, which MirrorManager lists further down (`alternates`), are not taken: what a mirror that lags
    behind has would be news one day, gone the next, and news again.
    """

    def __init__(self) -> None:
        self.sha256 = ""
        self.urls: list[tuple[int, str]] = []
        """preference (0 to 100, more is better), URL"""
        self._path: list[str] = []
        self._text = ""
        self._attributes: Mapping[str, str] = {}
        self._is_repomd = False

    def parse(self, content: bytes) -> None:
        parser = ParserCreate(namespace_separator=" ")
        parser.StartDoctypeDeclHandler = _refuse_doctype
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._character_data
        parser.Parse(content, True)

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if len(self._path) >= _DEPTH:
            raise IndexDamaged("not a metalink: it is nested without an end", hint=_HINT)
        self._path.append(name.removeprefix(f"{_NAMESPACE} "))
        self._attributes, self._text = attributes, ""
        if self._path == ["metalink", "files", "file"]:
            self._is_repomd = attributes.get("name") == "repomd.xml"

    def _end(self, name: str) -> None:
        place = "/".join(self._path)
        if self._is_repomd and place == "metalink/files/file/verification/hash":
            if self._attributes.get("type") == "sha256":
                self.sha256 = self._text.strip().lower()
        elif self._is_repomd and place == "metalink/files/file/resources/url":
            preference = self._attributes.get("preference", "")
            self.urls.append((int(preference) if re.fullmatch("[0-9]{1,3}", preference) else 0, self._text.strip()))
        self._path.pop()

    def _character_data(self, data: str) -> None:
        self._text += data


def _refuse_doctype(*_: object) -> None:
    # an entity can be made to expand to gigabytes, or to a file of this machine; no metalink needs any
    raise IndexDamaged("a metalink with a document type, which none has", hint=_HINT)
