"""A large JSON document with lists at its top, read piece by piece: only the items that are asked for are ever held.

Python's own parser makes objects of the whole document, 70 bytes for every `[]` in it. So the document is only cut
into items here, by its brackets and texts, and that parser gets one item at a time. (Of ijson 3.6.0, which is made for
this, the parser in C crashes on a number of 5,000 digits, and the one in Python holds all that is between two texts.)
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator

from kmodci.errors import IndexDamaged

_SIGN = re.compile(rb'["{}\[\]]')
_TEXT = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_CLOSING = {b"{": b"}", b"[": b"]"}
_SPACE = b" \t\r\n"
_DEEPEST = 16
_MOST_SIGNS = 2_000_000
_LONGEST_ITEM = 16 << 20
_PIECE = 1 << 20


def items_of(chunks: Iterable[bytes], is_wanted: Callable[[str], bool]) -> Iterator[object]:
    """From `{"a": [{}, []], "b": [{"c": 1}]}`: {}, [] if `a` is wanted; {"c": 1} if `b` is.

    is_wanted: asked about each key. What else is in a list, or cannot be read, is an item too, as text. What was made
    of the items may be used only after the last one has been asked for. Raises IndexDamaged if it is not such a
    document; what is not wanted of it may be anything whose brackets are right.
    """
    reader = _Reader(is_wanted)
    for piece in _larger(chunks):
        yield from reader.read(piece)
    reader.end()


class _Reader:
    def __init__(self, is_wanted: Callable[[str], bool]) -> None:
        self._is_wanted = is_wanted
        self._held = b""
        """what is not done with: from `begin`, where an item begins, to `at`, how far it has been looked through"""
        self._begin = self._at = self._count = 0
        self._open: list[bytes] = []
        self._is_next = self._is_inside = self._is_over = False

    def read(self, piece: bytes) -> Iterator[object]:
        self._held = self._held[self._begin :] + piece
        self._begin, self._at = 0, self._at - self._begin
        if not self._open and not self._is_over and self._held.strip(_SPACE)[:1] not in (b"{", b""):
            raise IndexDamaged(f"not JSON with lists of kernels: it begins with {self._held[:40]!r}")
        while sign := _SIGN.search(self._held, self._at):
            self._count += 1
            if self._count > _MOST_SIGNS:
                raise IndexDamaged(f"not a list of kernels: more than {_MOST_SIGNS} texts and brackets")
            text = _TEXT.match(self._held, sign.start())
            if sign[0] == b'"' and text is None:
                break
            self._at = text.end() if text else sign.end()
            if text is None:
                yield from self._bracket(sign[0])
            elif len(self._open) == 1:
                self._is_next = self._is_wanted(str(_value(text[0])))
        # to be looked at again with what follows, if it is the beginning of a text
        self._at = sign.start() if sign else len(self._held)
        if not self._is_inside:
            self._begin = self._at
        if len(self._held) - self._begin > _LONGEST_ITEM:
            raise IndexDamaged(f"not a list of kernels: an item of more than {_LONGEST_ITEM} bytes")

    def end(self) -> None:
        if not self._is_over:
            raise IndexDamaged("not JSON: it breaks off")

    def _bracket(self, kind: bytes) -> Iterator[object]:
        if kind in _CLOSING:
            yield from self._opened(kind)
            self._open.append(_CLOSING[kind])
            if len(self._open) > _DEEPEST or self._is_over:
                raise IndexDamaged(f"not a list of kernels: more than one document, or {_DEEPEST} brackets deep")
        elif not self._open or self._open.pop() != kind:
            raise IndexDamaged(f"not JSON: a {kind.decode()} where none should be")
        else:
            yield from self._closed()

    def _opened(self, kind: bytes) -> Iterator[object]:
        depth = len(self._open)
        if depth == 1 and self._is_next:
            if kind != b"[":
                raise IndexDamaged("not a list of kernels: what it has of the distribution is no list")
            self._is_inside, self._begin = True, self._at
        elif depth == 2 and self._is_inside:
            yield from self._between()
            self._begin = self._at - 1

    def _closed(self) -> Iterator[object]:
        depth = len(self._open)
        if depth == 2 and self._is_inside:
            yield _value(self._held[self._begin : self._at])
            self._begin = self._at
        elif depth == 1 and self._is_inside:
            yield from self._between()
            self._is_inside = False
        self._is_over = depth == 0

    def _between(self) -> Iterator[object]:
        """What is before the bracket that was just read, and is no item's."""
        text = self._held[self._begin : self._at - 1].strip(_SPACE + b",")
        if text:
            yield text[:200].decode(errors="replace")


def _value(text: bytes) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text[:200].decode(errors="replace")


def _larger(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The same in larger pieces: with each one, the text that it began in is looked through once more."""
    held = bytearray()
    for chunk in chunks:
        held += chunk
        if len(held) >= _PIECE:
            yield bytes(held)
            held.clear()
    yield bytes(held)
