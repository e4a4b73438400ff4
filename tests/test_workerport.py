"""What a worker that was taken over may send, as the master takes it; from a container: integration/test_attacks."""

from typing import Any

import pytest
from buildbot.process.results import SUCCESS
from kmodci.bot.command import BoundedCommand, Upload, _Told
from kmodci.bot.workerport import MOST, BoundedBroker
from twisted.internet import defer
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransportWithDisconnection
from twisted.spread import banana, pb


class Transport(StringTransportWithDisconnection):
    is_cut = False

    def abortConnection(self) -> None:  # noqa: N802 Twisted's name
        self.is_cut = True


class Broker(BoundedBroker):
    """Takes any message."""

    taken = 0

    def expressionReceived(self, sexp: object) -> None:  # noqa: N802 Twisted's name
        self.taken += 1


@pytest.fixture
def broker() -> Broker:
    factory = pb.PBServerFactory(pb.Root())
    factory.protocol = Broker
    made = factory.buildProtocol(None)
    made.makeConnection(Transport())
    made.dataReceived(banana.encode(b"none"))
    return made


def test_a_message_without_an_end_is_cut(broker: Broker) -> None:
    broker.dataReceived(b"\x7f\x7f\x27\x80")
    sent, piece = 0, banana.encode(b"x" * 50_000)
    while not broker.transport.is_cut:
        broker.dataReceived(piece)
        sent += len(piece)
        assert sent < MOST + 100_000
    assert broker.taken == 0


def test_any_number_of_messages_that_end_is_not(broker: Broker) -> None:
    stream = banana.encode([b"message", b"x" * 262_144]) * 20
    for start in range(0, len(stream), 65_536):
        broker.dataReceived(stream[start : start + 65_536])
    assert (broker.taken, broker.transport.is_cut) == (20, False)


class Worker:
    def messageReceivedFromWorker(self) -> None:  # noqa: N802 Buildbot's name
        pass


class Connection:
    is_fake_test_connection = True
    """Buildbot's own sign that it need not wait for a status"""
    is_lost = False

    def remoteStartCommand(self, *arguments: object) -> defer.Deferred[None]:  # noqa: N802 Buildbot's name
        return defer.succeed(None)

    def remoteInterruptCommand(self, *arguments: object) -> defer.Deferred[None]:  # noqa: N802 Buildbot's name
        return defer.succeed(None)

    def loseConnection(self) -> None:  # noqa: N802 Buildbot's name
        self.is_lost = True


class Step:
    build = None

    def workerVersion(self, *arguments: object) -> str:  # noqa: N802 Buildbot's name
        return "3.1"

    def workerVersionIsOlderThan(self, *arguments: object) -> bool:  # noqa: N802 Buildbot's name
        return False


class Log:
    """What a step has written."""

    def __init__(self) -> None:
        self.text = ""

    def getName(self) -> str:  # noqa: N802 Buildbot's name
        return "stdio"

    def add(self, data: str) -> defer.Deferred[None]:
        self.text += data
        return defer.succeed(None)

    add_stdout_lines = add_stderr_lines = add_header_lines = add


def begun(command: _Told, connection: Connection) -> Clock:
    """Its clock."""
    command.clock = clock = Clock()
    command.worker = Worker()
    command.run(Step(), connection, "gcc-12")
    return clock


def told(command: _Told, **update: Any) -> None:
    command.remote_update([({key: value}, 0) for key, value in update.items()])


@pytest.fixture
def command() -> BoundedCommand:
    made = BoundedCommand(workdir="/build", command=["build-module"], output=1000, seconds=30)
    made.useLog(Log())
    return made


def test_a_log_is_bounded_whatever_its_lines_are_called(command: BoundedCommand) -> None:
    begun(command, Connection())
    for _ in range(100):
        told(command, stdout="out\n", stderr="err\n", header="head\n", log=("stdio", "log\n"), elapsed=1, rc=0)
        told(command, unknown="x" * 1000, failure_reason="any")
    assert command.is_too_long
    assert len(command.logs["stdio"].text) < 2000
    assert "log\n" not in command.logs["stdio"].text
    assert not command.updates, "what nobody asks for is not kept"


def test_how_it_ended_is_heard_of_what_was_stopped_too(command: BoundedCommand) -> None:
    begun(command, Connection())
    told(command, stdout="x" * 5000 + "\n", failure_reason="timeout", rc=-1)
    assert (command.is_too_long, command.rc, command.remote_failure_reason) == (True, -1, "timeout")


def test_a_worker_that_does_not_end_a_command_is_cut_off(command: BoundedCommand) -> None:
    connection = Connection()
    clock = begun(command, connection)
    clock.advance(30)
    assert not connection.is_lost, "the worker ends it itself, and needs a while for that"
    clock.advance(command.longest)
    assert connection.is_lost


def test_one_that_has_ended_is_not(command: BoundedCommand) -> None:
    connection = Connection()
    clock = begun(command, connection)
    command.deferred.callback(command)
    assert not clock.getDelayedCalls()


def test_the_way_of_another_protocol_is_closed(command: BoundedCommand) -> None:
    with pytest.raises(pb.Error):
        command.remote_update_msgpack([["anything", "x"]])
    assert not command.updates


def test_of_a_file_only_that_it_came_is_heard() -> None:
    command = Upload("uploadFile", {}, decodeRC={None: SUCCESS, 0: SUCCESS})
    command.useLog(log := Log())
    begun(command, Connection())
    told(command, stdout="x\n", header="x\n", files=["x"] * 1000)
    assert (log.text, dict(command.updates)) == ("", {})
    told(command, rc=1)
    assert command.rc == 1


@pytest.mark.parametrize("odd", [None, 7, [7], [({}, None)], [(["a"], 0)], [({1: 2}, 0)]])
def test_what_is_no_update_is_refused(command: BoundedCommand, odd: Any) -> None:
    begun(command, Connection())
    with pytest.raises((TypeError, ValueError, AttributeError, AssertionError)):
        command.remote_update(odd)
