"""The bucket's files on the farm's web server: a real S3 server behind it, and whoever asks before it."""

import http.client
import socket
from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from urllib.parse import quote, urlsplit

import pytest
from kmodci.bot.streaming import Reader
from kmodci.bucket import Bucket
from kmodci.embedded import EmbeddedS3
from kmodci.keys import PUBLIC, check_public
from kmodci.publishing import publish
from kmodci.release import BadName
from support.builds import built
from support.nodes import files_server
from support.s3 import s3
from twisted.internet import defer
from twisted.internet.interfaces import IPushProducer
from twisted.internet.task import Clock

pytestmark = pytest.mark.slow

__all__ = ["s3"]

LATEST = "latest/hello/debian/amd64/6.12.117+deb13-amd64.json"


@pytest.fixture(scope="module")
def bucket(s3: EmbeddedS3) -> Bucket:
    made = s3.bucket("files")
    made.ensure()
    publish(made, built())
    return made


@pytest.fixture(scope="module")
def server(bucket: Bucket, s3: EmbeddedS3) -> Iterator[str]:
    bucket.put("state/kernels.json", b"{}")
    bucket.put("headers/x", b"x")
    with files_server(bucket.endpoint, bucket.bucket, s3.credentials_file) as url:
        yield url


def ask(
    server: str, path: str, method: str = "GET", headers: Mapping[str, str] | None = None, below: str = "files"
) -> tuple[int, Mapping[str, str], bytes]:
    parts = urlsplit(server)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=20)
    try:
        connection.request(method, f"/{below}/{path}", headers=dict(headers or {}))
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


class Taking:
    """A request whose reader takes a piece when it is told to."""

    producer: IPushProducer

    def notifyFinish(self) -> defer.Deferred[None]:  # noqa: N802 # Twisted's
        return defer.Deferred()

    def registerProducer(self, producer: IPushProducer, streaming: bool) -> None:  # noqa: N802 # Twisted's
        self.producer = producer

    def unregisterProducer(self) -> None:  # noqa: N802 # Twisted's
        pass

    def write(self, data: bytes) -> None:
        self.producer.pauseProducing()

    def take(self) -> None:
        self.producer.resumeProducing()


def test_what_is_public_is_read_as_it_is(server: str, bucket: Bucket) -> None:
    keys = [found.key for found in bucket.list() if found.key.split("/")[0] in PUBLIC]
    assert len(keys) == 6
    for key in keys:
        content = bucket.get(key)
        assert content
        # as `bucket.url` has it, and as a node may write it too
        for path in (quote(key, safe="/~"), key):
            status, headers, body = ask(server, path)
            assert (status, body) == (200, content)
            assert headers["Content-Length"] == str(len(content))
            assert headers["Content-Type"] == (
                "application/json"
                if key.endswith(".json")
                else {"zst": "application/zstd", "xz": "application/x-xz"}[key.rpartition(".")[2]]
            )
            assert headers["X-Content-Type-Options"] == "nosniff"
        looked = ask(server, key, "HEAD")
        assert (looked[0], looked[1]["Content-Length"], looked[2]) == (200, str(len(content)), b"")
        assert looked[1]["ETag"] == headers["ETag"]
        again = ask(server, key, headers={"If-None-Match": headers["ETag"]})
        assert (again[0], again[2]) == (304, b"")


@pytest.mark.parametrize(
    "path",
    [
        "",
        "latest",
        "latest/",
        "latest/hello/",
        "latest//hello",
        "latest/none.json",
        "state/kernels.json",
        "headers/x",
        "images/x",
        "latest/../state/kernels.json",
        "latest/%2e%2e/state/kernels.json",
        "latest/..%2fstate/kernels.json",
        "latest%2fhello",
        "modules/x%00",
        "modules/%ff",
        "modules/%0d%0aX-Y:%20z",
        "modules/" + "x" * 2000,
        "modules" + "/x" * 600,
        "index/<script>",
    ],
)
def test_all_else_is_not_there(server: str, path: str) -> None:
    for method in ("GET", "HEAD"):
        status, headers, body = ask(server, path.replace("<", "%3C").replace(">", "%3E"), method)
        assert (status, headers["Content-Type"]) == (404, "text/plain; charset=utf-8")
        assert body == (b"there is no such file\n" if method == "GET" else b"")


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE", "PATCH"])
def test_nothing_can_be_written(server: str, bucket: Bucket, method: str) -> None:
    before = bucket.get(LATEST)
    assert ask(server, LATEST, method)[0] in (405, 501)
    assert bucket.get(LATEST) == before


def test_a_large_file_goes_through_whole_and_a_slow_reader_holds_up_nobody(server: str, bucket: Bucket) -> None:
    """Two at once are allowed here: one who takes nothing, and others. A third is told to come again."""
    content = bytes(range(256)) * 4 * (20 << 10)
    bucket.put("modules/large/1/x.ko", content)
    parts = urlsplit(server)
    slow = []
    try:
        for count in (1, 2):
            slow.append(socket.create_connection((parts.hostname or "", parts.port or 0)))
            slow[-1].setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            slow[-1].sendall(b"GET /files/modules/large/1/x.ko HTTP/1.1\r\nHost: x\r\n\r\n")
            assert slow[-1].recv(12) == b"HTTP/1.1 200"
            status, headers, body = ask(server, "modules/large/1/x.ko")
            assert (status, body == content) == ((200, True) if count == 1 else (503, False))
        assert headers["Retry-After"] == "2"
    finally:
        for each in slow:
            each.close()
    # who has left makes room
    for _ in range(1000):
        if ask(server, LATEST)[0] == 200:
            break
    assert ask(server, "modules/large/1/x.ko")[2] == content


def test_who_takes_nothing_keeps_a_place_from_nobody_else(server: str, bucket: Bucket) -> None:
    bucket.put("modules/large/2/x.ko", bytes(20 << 20))
    parts = urlsplit(server)
    with socket.create_connection((parts.hostname or "", parts.port or 0)) as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.sendall(b"GET /each/modules/large/2/x.ko HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n")
        assert slow.recv(12) == b"HTTP/1.1 200"
        statuses = [
            ask(server, LATEST, headers={"X-Forwarded-For": who}, below="each")[0] for who in ("192.0.2.1", "192.0.2.2")
        ]
    assert statuses == [503, 200]


def test_who_takes_it_too_slowly_is_not_waited_for(
    server: str, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a pause of a minute, in which nothing is taken at all."""
    clock, request = Clock(), Taking()
    monkeypatch.setattr("kmodci.bot.streaming.reactor", clock)
    at_once = SimpleNamespace(deferToThread=lambda work, *arguments: defer.succeed(work(*arguments)))
    monkeypatch.setattr("kmodci.bot.streaming.threads", at_once)
    sending = defer.ensureDeferred(
        Reader(request).send(SimpleNamespace(read=bytes, size=1 << 30), defer.DeferredSemaphore(1), 150.0)
    )
    told: list[BaseException] = []
    sending.addErrback(lambda failure: told.append(failure.value))
    for _ in range(4):
        assert not told
        clock.advance(40.0)
        if not told:
            request.take()
    assert isinstance(told[0], defer.TimeoutError)


def test_a_bucket_that_is_away(s3: EmbeddedS3) -> None:
    with files_server("http://127.0.0.1:1", "x", s3.credentials_file) as url:
        status, _, body = ask(url, LATEST)
    assert (status, body) == (503, b"the bucket does not answer just now\n")


@pytest.mark.parametrize(
    "key", ["state/x", "latest", "", "latest/../x", "latest/x y", "latest/x\n", "latest//x", "/latest/x"]
)
def test_a_key_that_is_not_public(key: str) -> None:
    with pytest.raises(BadName):
        check_public(key)
