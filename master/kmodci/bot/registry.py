"""The farm as a registry of its toolchain images, below /v2/: nodes of a cluster take images from nowhere else.

Of the distribution API what it takes to pull, and nothing else
(https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#pull).
Nobody logs in here: there is nothing in an image that a distribution's packages and this project do not have.
"""

import io
import json
import os
import re
from collections.abc import Callable
from http import HTTPStatus
from typing import BinaryIO

from twisted.internet import defer, threads
from twisted.python import log
from twisted.web import http
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from ..errors import KmodciError, NotFound
from ..oci import is_digest
from ..ratelimit import Network
from ..registry import Blob, Registry
from .origin import header
from .streaming import PATIENCE, SLOWEST, Places, Reader

# a cluster's nodes may all have one address
_AT_ONCE, _EACH = 256, 64
# of the master's, which builds need too: to look for what is asked for, which may have to be fetched, and to read it
_LOOKING, _READING = 4, 6
_JSON = "application/json"
# others are answered with all of it, as HTTP allows
_RANGE = re.compile(r"bytes=([0-9]{1,15})-([0-9]{1,15})?")
_YEAR = 31_536_000


class _Part:
    """Of a file, from where it stands."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        """size: bytes."""
        self._file, self.size, self._left = file, size, size

    def read(self, size: int) -> bytes:
        """Raises OSError where the file has become shorter meanwhile."""
        piece = self._file.read(min(size, self._left))
        if not piece and self._left:
            raise OSError("the file has become shorter")
        self._left -= len(piece)
        return piece


class Images(Resource):
    """Answers GET and HEAD of manifests and blobs."""

    isLeaf = True

    def __init__(
        self,
        registry: Registry,
        *,
        at_once: int = _AT_ONCE,
        each: int = _EACH,
        proxies: tuple[Network, ...] = (),
    ) -> None:
        """As with `Files`."""
        super().__init__()
        self._registry, self._places = registry, Places(at_once, each, proxies)
        self._looking, self._reading = defer.DeferredSemaphore(_LOOKING), defer.DeferredSemaphore(_READING)

    def render(self, request: Request) -> int:
        request.setHeader("Docker-Distribution-Api-Version", "registry/2.0")
        if request.method not in (b"GET", b"HEAD"):
            request.setHeader("Allow", "GET, HEAD")
            _refuse(Reader(request), http.NOT_ALLOWED, "UNSUPPORTED", "this registry is for reading")
            return NOT_DONE_YET
        answered = defer.ensureDeferred(self._answer(request, Reader(request)))
        answered.addErrback(log.err, "while sending of an image")
        return NOT_DONE_YET

    async def _answer(self, request: Request, reader: Reader) -> None:
        match [part.decode("ascii", "replace") for part in request.postpath]:
            case [] | [""]:
                reader.answer(http.OK, b"{}", _JSON)
            case ["kmodci", name, "manifests", reference]:
                await self._have(request, reader, "MANIFEST_UNKNOWN", self._registry.manifest, name, reference)
            case ["kmodci", name, "blobs", digest]:
                await self._have(request, reader, "BLOB_UNKNOWN", self._registry.blob, name, digest)
            case _:
                _refuse(reader, http.NOT_FOUND, "NAME_UNKNOWN", "there is no such thing here")

    async def _have(
        self,
        request: Request,
        reader: Reader,
        unknown: str,
        look: Callable[[str, str], Blob],
        name: str,
        reference: str,
    ) -> None:
        """look: where it is, in a thread; unknown: what the specification calls it that it is not there."""
        with self._places.taken(request) as is_free:
            if not is_free:
                request.setHeader("Retry-After", "2")
                return _refuse(reader, HTTPStatus.TOO_MANY_REQUESTS, "TOOMANYREQUESTS", "too much is being read")
            try:
                found = await self._looking.run(threads.deferToThread, look, name, reference)
                file = await self._reading.run(threads.deferToThread, _opened, found)
            except NotFound as error:
                return _refuse(reader, http.NOT_FOUND, unknown, error.brief)
            except (KmodciError, OSError) as error:
                log.msg(f"{name} {reference} cannot be sent: {error}")
                return _refuse(reader, http.SERVICE_UNAVAILABLE, "UNAVAILABLE", "this cannot be had just now")
            with file:
                if not reader.is_gone:
                    await self._send(request, reader, found, file, reference)
        return None

    async def _send(self, request: Request, reader: Reader, found: Blob, file: BinaryIO, reference: str) -> None:
        request.setHeader("Content-Type", found.type)
        request.setHeader("Docker-Content-Digest", found.digest)
        request.setHeader("Accept-Ranges", "bytes")
        # what a tag names may be another tomorrow
        request.setHeader("Cache-Control", f"max-age={_YEAR}, immutable" if is_digest(reference) else "no-cache")
        if request.setETag(f'"{found.digest}"'.encode()) is http.CACHED:
            return reader.end()
        size = file.seek(0, os.SEEK_END)
        start, end = _range(header(request, "Range"), size)
        if start > end:
            request.setHeader("Content-Range", f"bytes */{size}")
            return _refuse(reader, http.REQUESTED_RANGE_NOT_SATISFIABLE, "SIZE_INVALID", f"it has {size} bytes")
        if end - start + 1 < size:
            request.setResponseCode(http.PARTIAL_CONTENT)
            request.setHeader("Content-Range", f"bytes {start}-{end}/{size}")
        part = _Part(file, end - start + 1)
        request.setHeader("Content-Length", str(part.size))
        file.seek(start)
        try:
            if request.method == b"GET":
                await reader.send(part, self._reading, PATIENCE + part.size / SLOWEST)
            reader.end()
        except (OSError, defer.TimeoutError) as error:
            log.msg(f"{found.digest}: {error or 'its reader takes nothing any more'}")
            # only that it is too short tells the reader
            reader.abort()
        return None


def _range(asked: str, size: int) -> tuple[int, int]:
    """The first and the last byte that are asked for; the first after the last if there is no such thing."""
    found = _RANGE.fullmatch(asked)
    if found is None:
        return 0, size - 1
    return int(found[1]), min(int(found[2] or size - 1), size - 1)


def _opened(found: Blob) -> BinaryIO:
    return io.BytesIO(found.content) if isinstance(found.content, bytes) else found.content.open("rb")


def _refuse(reader: Reader, status: int, code: str, why: str) -> None:
    """code: of the specification (Error Codes)."""
    body = json.dumps({"errors": [{"code": code, "message": why}]}).encode()
    reader.answer(status, body, _JSON)
