"""Packages as no tool would make them: put together by hand, to attack with."""

import base64
import gzip
import hashlib
import stat
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from benchmarks.aptrepo import Key

REG, DIR, LINK, DEVICE = stat.S_IFREG | 0o644, stat.S_IFDIR | 0o755, stat.S_IFLNK | 0o777, stat.S_IFCHR | 0o600
_STRING, _BIN, _STRINGS, _INT32 = 6, 7, 8, 4
Value = str | bytes | int | list[str]


@dataclass(frozen=True)
class Put:
    """A member of a cpio archive."""

    name: str
    mode: int = REG
    data: bytes = b""
    inode: int = 1
    links: int = 1


def cpio_of(*members: Put, end: bool = True) -> bytes:
    """As cpio(5) has the new ASCII format."""
    last = [Put("TRAILER!!!", 0)] if end else []
    return b"".join(_member(each) for each in (*members, *last))


def _member(put: Put) -> bytes:
    name = put.name.encode("utf-8", "surrogateescape") + b"\0"
    fields = (put.inode, put.mode, 0, 0, put.links, 0, len(put.data), 8, 1, 0, 0, len(name), 0)
    head = b"070701" + b"".join(b"%08x" % field for field in fields) + name
    return head + bytes(-len(head) % 4) + put.data + bytes(-len(put.data) % 4)


def header_of(tags: Mapping[int, Value] | Iterable[tuple[int, Value]]) -> bytes:
    """As rpm's headers are: an index of tags, and their values."""
    index, data = b"", b""
    items = list(tags.items() if isinstance(tags, Mapping) else tags)
    for tag, value in items:
        match value:
            case str():
                kind, count, raw = _STRING, 1, value.encode() + b"\0"
            case bytes():
                kind, count, raw = _BIN, len(value), value
            case int():
                kind, count, raw = _INT32, 1, struct.pack(">I", value)
                data += bytes(-len(data) % 4)
            case list():
                kind, count, raw = _STRINGS, len(value), b"".join(each.encode() + b"\0" for each in value)
        index += struct.pack(">IIII", tag, kind, len(data), count)
        data += raw
    return b"\x8e\xad\xe8\x01" + bytes(4) + struct.pack(">II", len(items), len(data)) + index + data


def rpm_of(
    payload: bytes,
    *,
    name: str = "p",
    tags: Mapping[int, Value] | None = None,
    key: Key | None = None,
    signature: str = "",
    digest: bool = True,
) -> bytes:
    """A package 1-1 of x86_64.

    signature: as the header with signatures has it, made with the key: dsa, gpg (of header and payload), openpgp
    (rpm 6); digest: whether the header has one of the payload, as since rpm 4.14.
    """
    known: dict[int, Value] = {1000: name, 1001: "1", 1002: "1", 1022: "x86_64", 1124: "cpio", **(tags or {})}
    if digest:
        known |= {5092: [hashlib.sha256(payload).hexdigest()], 5093: 8}
    header = header_of(known)
    signatures: dict[int, Value] = {1000: len(header) + len(payload)}
    if key is not None:
        plain = key.sign_detached(header + payload if signature == "gpg" else header, "--no-armor")
        signatures |= {"dsa": {267: plain}, "gpg": {1005: plain}, "openpgp": {278: _in_base64(plain)}}[signature]
    first = header_of(signatures)
    lead = b"\xed\xab\xee\xdb\x03\0\0\0\0\x01" + name.encode()[:65].ljust(66, b"\0") + b"\0\x01\0\x05" + bytes(16)
    return lead + first + bytes(-len(first) % 8) + header + payload


def _in_base64(content: bytes) -> list[str]:
    return [base64.b64encode(b"no signature").decode(), base64.b64encode(content).decode()]


def packed(*members: Put) -> bytes:
    """A compressed payload."""
    return gzip.compress(cpio_of(*members), mtime=0)
