import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from benchmarks.webserver import (
    Handler,
    WebServer,
    cut,
    dripping,
    dripping_head,
    endless,
    redirect,
    silent,
    status,
)
from kmodci.errors import FetchError, Gone, IndexDamaged
from kmodci.fetch import Fetcher

CONTENT = bytes(range(256)) * 4096
SHA256 = hashlib.sha256(CONTENT).hexdigest()
LIMIT = 2 * len(CONTENT)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[WebServer]:
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / "file").write_bytes(CONTENT)
    with WebServer(folder) as server:
        yield server


@pytest.fixture
def fetcher() -> Fetcher:
    return Fetcher(timeout=5, retries=2, backoff=0.01)


def test_get(server: WebServer, fetcher: Fetcher) -> None:
    assert fetcher.get(f"{server.url}/file", limit=len(CONTENT)) == CONTENT


def test_stream_may_be_left_early(server: WebServer, fetcher: Fetcher) -> None:
    with fetcher.stream(f"{server.url}/file", limit=LIMIT) as chunks:
        assert CONTENT.startswith(next(chunks))
    assert fetcher.get(f"{server.url}/file", limit=LIMIT) == CONTENT


def test_more_than_the_limit_is_refused(server: WebServer, fetcher: Fetcher) -> None:
    with pytest.raises(FetchError, match="longer than the 1000 bytes"):
        fetcher.get(f"{server.url}/file", limit=1000)


def test_an_endless_answer_is_refused(server: WebServer, fetcher: Fetcher) -> None:
    server.misbehave("/file", endless)
    with pytest.raises(FetchError, match="longer than"):
        fetcher.get(f"{server.url}/file", limit=1_000_000)


def test_a_slow_answer_ends_at_the_deadline(server: WebServer) -> None:
    with pytest.raises(FetchError, match="not read within 0 seconds"):
        Fetcher(deadline=0).get(f"{server.url}/file", limit=LIMIT)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (silent, "Read timed out"),
        (dripping, "less than 1000 bytes per second"),
        (dripping_head, "Read timed out"),
    ],
)
def test_a_server_that_hangs_is_given_up(server: WebServer, fault: Callable[[Handler], None], said: str) -> None:
    server.misbehave("/file", *[fault] * 9)
    with pytest.raises(FetchError, match=said):
        Fetcher(timeout=0.2, retries=1, backoff=0.01).get(f"{server.url}/file", limit=LIMIT)
    assert fault is dripping or len(server.requests) == 2


@pytest.mark.parametrize("fault", [silent, dripping, dripping_head, status(503, Retry_After="7")])
def test_time_that_is_for_several_urls_ends_for_all_of_them(
    server: WebServer, fetcher: Fetcher, fault: Callable[[Handler], None]
) -> None:
    server.misbehave("/hangs", *[fault] * 9)
    bounded = fetcher.within(0.3)
    assert bounded.get(f"{server.url}/file", limit=LIMIT) == CONTENT
    with pytest.raises(FetchError):
        bounded.get(f"{server.url}/hangs", limit=LIMIT)
    if fault in (silent, dripping, dripping_head):
        with pytest.raises(FetchError, match="not read within 0 seconds"):
            bounded.get(f"{server.url}/file", limit=LIMIT)
    assert fetcher.get(f"{server.url}/file", limit=LIMIT) == CONTENT


@pytest.mark.parametrize("code", [404, 410])
def test_gone(server: WebServer, fetcher: Fetcher, code: int) -> None:
    server.misbehave("/file", status(code))
    with pytest.raises(Gone, match=str(code)):
        fetcher.get(f"{server.url}/file", limit=LIMIT)
    assert len(server.requests) == 1


def test_a_refusal_is_neither_gone_nor_tried_again(server: WebServer, fetcher: Fetcher) -> None:
    server.misbehave("/file", status(403))
    with pytest.raises(FetchError, match="403 Forbidden") as caught:
        fetcher.get(f"{server.url}/file", limit=LIMIT)
    assert not isinstance(caught.value, Gone)
    assert len(server.requests) == 1


def test_nothing_new_is_no_answer_to_who_has_nothing(server: WebServer, fetcher: Fetcher) -> None:
    server.misbehave("/file", status(304))
    with pytest.raises(FetchError, match="304 Not Modified"):
        fetcher.get(f"{server.url}/file", limit=LIMIT)
    assert len(server.requests) == 1


def test_a_passing_fault_is_tried_again(server: WebServer, fetcher: Fetcher) -> None:
    server.misbehave("/file", status(503), status(429))
    assert fetcher.get(f"{server.url}/file", limit=LIMIT) == CONTENT
    assert len(server.requests) == 3


def test_a_lasting_fault_is_given_up(server: WebServer, fetcher: Fetcher) -> None:
    server.misbehave("/file", *[status(503)] * 9)
    with pytest.raises(FetchError, match="503 Service Unavailable"):
        fetcher.get(f"{server.url}/file", limit=LIMIT)
    assert len(server.requests) == 3


def test_a_broken_answer_is_continued(server: WebServer, fetcher: Fetcher) -> None:
    part = cut(CONTENT[:300_000], announced=len(CONTENT))
    server.misbehave("/file", part, cut(CONTENT[:7], announced=len(CONTENT)))
    assert fetcher.get(f"{server.url}/file", limit=len(CONTENT)) == CONTENT


def test_an_answer_that_always_breaks_is_given_up(server: WebServer, fetcher: Fetcher) -> None:
    server.misbehave("/file", *[cut(CONTENT[:1000], announced=len(CONTENT))] * 9)
    with pytest.raises(FetchError, match="broke off at 1000 bytes"):
        fetcher.get(f"{server.url}/file", limit=LIMIT)


def test_nobody_answers(server: WebServer, fetcher: Fetcher) -> None:
    url = server.url
    server.shutdown()
    server.server_close()
    with pytest.raises(FetchError, match="refused"):
        fetcher.get(url, limit=LIMIT)


def test_redirects_are_followed_but_not_for_ever(server: WebServer, fetcher: Fetcher) -> None:
    server.misbehave("/old", redirect("/file"))
    assert fetcher.get(f"{server.url}/old", limit=LIMIT) == CONTENT
    server.misbehave("/loop", *[redirect("/loop")] * 20)
    with pytest.raises(FetchError, match="redirects"):
        fetcher.get(f"{server.url}/loop", limit=LIMIT)
    assert server.requests.count("/loop") == 6


@pytest.mark.parametrize(
    "goal",
    ["file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://127.0.0.1/x", "data:,x", "http://["],
)
@pytest.mark.parametrize("proxy", [False, True])
def test_a_redirect_leads_to_http_or_nowhere(
    server: WebServer, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch, goal: str, proxy: bool
) -> None:
    url = f"{server.url}/old"
    if proxy:
        for scheme in ("http", "ftp"):
            monkeypatch.setenv(f"{scheme}_proxy", server.url)
        monkeypatch.setenv("no_proxy", "")
        url = "http://archive.example.org/old"
    server.misbehave(url if proxy else "/old", redirect(goal))
    with pytest.raises(FetchError):
        fetcher.get(url, limit=LIMIT)
    assert len(server.requests) == 1


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/x", "http://", "http://[", "no url"])
def test_only_http(fetcher: Fetcher, url: str) -> None:
    with pytest.raises(FetchError):
        fetcher.get(url, limit=LIMIT)


def test_a_content_encoding_does_not_change_the_bytes(server: WebServer, fetcher: Fetcher) -> None:
    def encoded(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Encoding", "gzip")
        handler.send_header("Content-Length", "5")
        handler.end_headers()
        handler.wfile.write(b"bytes")

    server.misbehave("/file", encoded)
    assert fetcher.get(f"{server.url}/file", limit=LIMIT) == b"bytes"


def test_the_environments_proxy_is_used(server: WebServer, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", server.url)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with pytest.raises(Gone):
        fetcher.get("http://archive.example.org/none", limit=LIMIT)
    assert fetcher.get(f"{server.url}/file", limit=LIMIT) == CONTENT
    assert server.requests == ["http://archive.example.org/none", "/file"]


def test_download(server: WebServer, fetcher: Fetcher, tmp_path: Path) -> None:
    path = tmp_path / "new" / "package.deb"
    fetcher.download(f"{server.url}/file", path, size=len(CONTENT), sha256=SHA256)
    assert path.read_bytes() == CONTENT
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    ("size", "sha256", "said"),
    [
        (len(CONTENT), "0" * 64, "SHA256"),
        (len(CONTENT) - 1, SHA256, "more than that"),
        (len(CONTENT) + 1, SHA256, f"there are {len(CONTENT)}"),
    ],
)
def test_a_wrong_download_leaves_nothing_behind(
    server: WebServer, fetcher: Fetcher, tmp_path: Path, size: int, sha256: str, said: str
) -> None:
    path = tmp_path / "out" / "package.deb"
    with pytest.raises(IndexDamaged, match=said):
        fetcher.download(f"{server.url}/file", path, size=size, sha256=sha256)
    assert list(path.parent.iterdir()) == []


def test_a_failed_download_keeps_what_was_there(server: WebServer, fetcher: Fetcher, tmp_path: Path) -> None:
    path = tmp_path / "out" / "package.deb"
    path.parent.mkdir()
    path.write_text("older")
    with pytest.raises(Gone):
        fetcher.download(f"{server.url}/none", path, size=len(CONTENT), sha256=SHA256)
    assert [file.read_text() for file in path.parent.iterdir()] == ["older"]


def versioned(etag: str, content: bytes = CONTENT) -> Callable[[Handler], None]:
    """A server that knows versions."""

    def answer(handler: Handler) -> None:
        same = handler.headers["If-None-Match"] == etag
        handler.send_response(304 if same else 200)
        handler.send_header("ETag", etag)
        handler.send_header("Content-Length", "0" if same else str(len(content)))
        handler.end_headers()
        handler.wfile.write(b"" if same else content)

    return answer


def test_what_is_known_is_not_sent_again(server: WebServer, fetcher: Fetcher) -> None:
    url, other = f"{server.url}/file", b"other"
    server.misbehave("/file", *[versioned('"1"')] * 3, *[versioned('"2"', other)] * 2)
    assert fetcher.get_unless(url, sha256="", limit=LIMIT) == CONTENT
    assert fetcher.get_unless(url, sha256=SHA256, limit=LIMIT) is None
    # whoever knows something else gets it
    assert fetcher.get_unless(url, sha256="0" * 64, limit=LIMIT) == CONTENT
    assert fetcher.get_unless(url, sha256=SHA256, limit=LIMIT) == other
    assert fetcher.get_unless(url, sha256=hashlib.sha256(other).hexdigest(), limit=LIMIT) is None


def test_a_date_says_it_too_once_it_is_past(server: WebServer, fetcher: Fetcher) -> None:
    url, file = f"{server.url}/file", server.folder / "file"
    os.utime(file, (1700000000, 1700000000))
    assert fetcher.get_unless(url, sha256="", limit=LIMIT) == CONTENT
    assert fetcher.get_unless(url, sha256=SHA256, limit=LIMIT) is None
    os.utime(file)
    assert fetcher.get_unless(url, sha256=SHA256, limit=LIMIT) == CONTENT
    # a change within this second would have the same date
    assert fetcher.get_unless(url, sha256=SHA256, limit=LIMIT) == CONTENT


@pytest.mark.parametrize("date", ["", "yesterday", "Thu, 32 Nov 2026 00:00:00 GMT", "Thu, 01 Jan 1970 00:00:00 -0000"])
def test_dates_that_are_none(server: WebServer, fetcher: Fetcher, date: str) -> None:
    def dated(handler: Handler) -> None:
        assert handler.headers["If-Modified-Since"] is None
        handler.send_response(200)
        handler.send_header("Last-Modified", date)
        handler.send_header("Content-Length", "2")
        handler.end_headers()
        handler.wfile.write(b"it")

    server.misbehave("/file", dated, dated)
    known = ""
    for _ in range(2):
        content = fetcher.get_unless(f"{server.url}/file", sha256=known, limit=LIMIT)
        assert content == b"it"
        known = hashlib.sha256(content).hexdigest()


def test_a_304_that_was_not_asked_for(server: WebServer, fetcher: Fetcher) -> None:
    server.misbehave("/file", status(304), status(304))
    with pytest.raises(FetchError, match="304 Not Modified"):
        fetcher.get(f"{server.url}/file", limit=LIMIT)
    with pytest.raises(FetchError, match="304 Not Modified"):
        fetcher.get_unless(f"{server.url}/file", sha256=SHA256, limit=LIMIT)


class TestPost:
    @pytest.fixture
    def calls(self, server: WebServer) -> list[tuple[str, bytes]]:
        """What is posted is answered with itself, backwards."""
        calls: list[tuple[str, bytes]] = []

        def answer(handler: Handler) -> None:
            calls.append((handler.headers["Content-Type"], handler.body))
            handler.send_response(200)
            handler.send_header("Content-Length", str(len(handler.body)))
            handler.end_headers()
            handler.wfile.write(handler.body[::-1])

        server.post = answer
        return calls

    def test_an_answer(self, server: WebServer, fetcher: Fetcher, calls: list[tuple[str, bytes]]) -> None:
        assert fetcher.post(f"{server.url}/hub", b"abc", kind="text/xml", limit=10) == b"cba"
        assert calls == [("text/xml", b"abc")]

    def test_a_passing_fault_is_tried_again(
        self, server: WebServer, fetcher: Fetcher, calls: list[tuple[str, bytes]]
    ) -> None:
        server.misbehave("/hub", status(503))
        assert fetcher.post(f"{server.url}/hub", b"abc", kind="text/xml", limit=10) == b"cba"
        assert server.requests == ["/hub", "/hub"]

    def test_more_than_the_limit(self, server: WebServer, fetcher: Fetcher, calls: list[tuple[str, bytes]]) -> None:
        with pytest.raises(FetchError, match="longer than the 2 bytes"):
            fetcher.post(f"{server.url}/hub", b"abc", kind="text/xml", limit=2)

    def test_there_is_no_304_for_a_call(self, server: WebServer, fetcher: Fetcher) -> None:
        server.misbehave("/hub", status(304))
        with pytest.raises(FetchError, match="304 Not Modified"):
            fetcher.post(f"{server.url}/hub", b"abc", kind="text/xml", limit=10)

    def test_it_is_not_sent_elsewhere(self, server: WebServer, fetcher: Fetcher) -> None:
        server.misbehave("/hub", redirect("/file"))
        with pytest.raises(FetchError, match="302 Found"):
            fetcher.post(f"{server.url}/hub", b"abc", kind="text/xml", limit=10)

    def test_a_server_that_takes_none(self, server: WebServer, fetcher: Fetcher) -> None:
        with pytest.raises(FetchError, match="501"):
            fetcher.post(f"{server.url}/file", b"abc", kind="text/xml", limit=10)
