"""The stream between an engine and the master's socket, cut into pieces wherever that can happen."""

import pytest
from kmodci.bot.bridge import MasterEnd
from kmodci.bot.engineend import Attached
from kmodci.errors import EngineError
from twisted.internet import defer
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

UPGRADED = b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
OUT, ERR = 1, 2


class Transport(StringTransport):
    """As `StringTransport`, but that a TLS transport cannot be ended twice."""

    ended = 0

    def abortConnection(self) -> None:  # noqa: N802 Twisted's name
        self.ended += 1
        super().abortConnection()


def frame(stream: int, content: bytes) -> bytes:
    return bytes([stream, 0, 0, 0]) + len(content).to_bytes(4, "big") + content


@pytest.fixture
def attached() -> Attached:
    made = Attached("c0ffee" * 10)
    made.makeConnection(Transport())
    return made


def master(attached: Attached) -> MasterEnd:
    made = MasterEnd(attached)
    made.makeConnection(StringTransport())
    return made


def outcome(waiting: defer.Deferred[None]) -> list[object]:
    found: list[object] = []
    waiting.addBoth(found.append)
    return found


def test_it_asks_for_both_directions(attached: Attached) -> None:
    asked = attached.transport.value()
    assert asked.startswith(b"POST /containers/c0ffee")
    assert b"stream=1&stdin=1&stdout=1&stderr=1 HTTP/1.1\r\n" in asked
    assert b"Upgrade: tcp\r\n" in asked


@pytest.mark.parametrize("size", [1, 3, 8, 9, 1000])
def test_what_comes_in_pieces_is_passed_on_whole(attached: Attached, size: int) -> None:
    opened = outcome(attached.opened)
    sent = UPGRADED + frame(OUT, b"hello ") + frame(ERR, b"log\n") + frame(OUT, b"") + frame(OUT, b"world" * 50)
    for at in range(0, len(UPGRADED), size):
        attached.dataReceived(sent[at : min(at + size, len(UPGRADED))])
    assert opened == [None]
    end = master(attached)
    for at in range(len(UPGRADED), len(sent), size):
        attached.dataReceived(sent[at : at + size])
    assert end.transport.value() == b"hello " + b"world" * 50
    assert attached.words == b"log\n"


def test_what_came_before_the_master_was_there_is_not_lost(attached: Attached) -> None:
    attached.dataReceived(UPGRADED + frame(OUT, b"early"))
    assert master(attached).transport.value() == b"early"


def test_the_other_way_is_not_framed(attached: Attached) -> None:
    attached.dataReceived(UPGRADED)
    attached.transport.clear()
    master(attached).dataReceived(b"to the worker")
    assert attached.transport.value() == b"to the worker"


def test_neither_end_is_read_faster_than_the_other_takes(attached: Attached) -> None:
    attached.dataReceived(UPGRADED)
    end = master(attached)
    assert end.transport.producer is attached.transport
    assert attached.transport.producer is end.transport


@pytest.mark.parametrize(
    "answer", [b'HTTP/1.1 404 Not Found\r\n\r\n{"message":"No such container"}', b"HTTP/1.1 409 Conflict\r\n\r\n"]
)
def test_a_refusal_is_told(attached: Attached, answer: bytes) -> None:
    opened = outcome(attached.opened)
    attached.dataReceived(answer)
    [failure] = opened
    assert isinstance(failure, Failure)
    assert failure.check(EngineError)
    assert answer.split(b"\r\n")[0].decode() in str(failure.value)


def test_an_answer_without_an_end_is_not_waited_for(attached: Attached) -> None:
    opened = outcome(attached.opened)
    attached.dataReceived(b"x" * 20_000)
    [failure] = opened
    assert isinstance(failure, Failure)


def test_it_ends_with_either_end_and_once(attached: Attached) -> None:
    attached.dataReceived(UPGRADED)
    end = master(attached)
    attached.connectionLost(Failure(ConnectionDone()))
    assert end.transport.disconnecting
    attached.abort()
    assert attached.transport.ended == 0
    other = Attached("beef" * 16)
    other.makeConnection(Transport())
    other.dataReceived(UPGRADED)
    master(other).connectionLost(Failure(ConnectionDone()))
    assert other.transport.disconnecting


def test_what_a_worker_says_of_itself_is_kept_in_part(attached: Attached) -> None:
    attached.dataReceived(UPGRADED)
    master(attached)
    for _ in range(100):
        attached.dataReceived(frame(ERR, b"x" * 1000))
    attached.dataReceived(frame(ERR, b"the last"))
    assert len(attached.words) == 2000
    assert attached.words.endswith(b"the last")


def test_a_frame_that_no_engine_sends_is_not_waited_for(attached: Attached) -> None:
    attached.dataReceived(UPGRADED)
    at_master = master(attached)
    attached.dataReceived(bytes([OUT, 0, 0, 0]) + (1 << 31).to_bytes(4, "big") + b"x" * 1000)
    assert attached.transport.ended == 1
    assert at_master.transport.value() == b""


def test_one_that_floods_the_master_is_cut_off_once(attached: Attached) -> None:
    attached.dataReceived(UPGRADED)
    end = master(attached)
    flood = frame(ERR, b"x" * 32_768) * 64
    while not attached.transport.ended:
        attached.dataReceived(flood + frame(OUT, b"after"))
    assert attached.transport.ended == 1
    attached.dataReceived(flood + frame(OUT, b"long after"))
    assert attached.transport.ended == 1
    assert b"long after" not in end.transport.value()
