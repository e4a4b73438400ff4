"""The end of a bridge at a cluster's API: what its channels carry, and where that goes."""

from collections.abc import Callable
from pathlib import Path

import pytest
from kmodci.bot import podend
from kmodci.bot.bridge import MasterEnd
from kmodci.bot.podend import Attached
from kmodci.errors import EngineError
from kmodci.hosts import ClusterAt
from kmodci.kubeapi import KubeApi
from support.authority import Authority
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

STDIN, STDOUT, STDERR, ERROR = (bytes([number]) for number in range(4))


class Pod(Attached):
    """With a transport of a test, and what is sent to the pod kept."""

    def __init__(self) -> None:
        super().__init__("w-1")
        self.sent: list[bytes] = []
        self.makes_connection()

    def makes_connection(self) -> None:
        self.transport, self.connected = StringTransport(), 1

    def sendMessage(self, payload: bytes, isBinary: bool) -> None:  # noqa: N802, N803 autobahn's names
        assert isBinary
        self.sent.append(payload)


@pytest.fixture
def pod() -> Pod:
    return Pod()


def master(pod: Pod) -> MasterEnd:
    made = MasterEnd(pod)
    made.makeConnection(StringTransport())
    return made


def test_what_the_worker_says_goes_to_the_master(pod: Pod) -> None:
    end = master(pod)
    pod.onMessage(STDOUT + b"hello ", True)
    pod.onMessage(STDOUT, True)
    pod.onMessage(STDOUT + b"world", True)
    assert end.transport.value() == b"hello world"


def test_what_came_before_the_master_was_there_is_not_lost(pod: Pod) -> None:
    pod.onMessage(STDOUT + b"early", True)
    assert master(pod).transport.value() == b"early"


def test_a_worker_that_talks_before_it_is_spoken_to_is_none(pod: Pod) -> None:
    for _ in range(100):
        pod.onMessage(STDOUT + b"x" * 1024, True)
    assert pod.transport.disconnected
    assert len(pod._early) <= 64 << 10


def test_what_the_master_says_goes_in_pieces(pod: Pod) -> None:
    master(pod).dataReceived(b"x" * 70_000)
    assert [len(each) for each in pod.sent] == [32_769, 32_769, 4_465]
    assert b"".join(each[1:] for each in pod.sent) == b"x" * 70_000
    assert {each[:1] for each in pod.sent} == {STDIN}


def test_neither_end_is_read_faster_than_the_other_takes(pod: Pod) -> None:
    end = master(pod)
    assert end.transport.producer is pod.transport
    assert pod.transport.producer is end.transport


def test_what_a_worker_says_of_itself_is_kept_in_part(pod: Pod) -> None:
    end = master(pod)
    pod.onMessage(ERROR + b'{"metadata":{},"status":"Success"}', True)
    for _ in range(100):
        pod.onMessage(STDERR + b"x" * 1000, True)
    pod.onMessage(STDERR + b"the last", True)
    assert len(pod.words) == 2000
    assert pod.words.endswith(b"the last")
    assert end.transport.value() == b""


@pytest.mark.parametrize("flood", [STDERR + b"x" * 32_768, b"\x09", STDOUT])
def test_one_that_floods_the_master_is_cut_off(pod: Pod, flood: bytes) -> None:
    master(pod)
    sent = 0
    while not pod.transport.disconnected:
        pod.onMessage(flood, True)
        sent += 1
    assert sent * (len(flood) + 64) < 80 << 20


def test_pings_without_end_are_not_answered(pod: Pod, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(podend.WebSocketClientProtocol, "onPing", lambda *_: None)
    sent = 0
    while not pod.transport.disconnected:
        pod.onPing(b"")
        sent += 1
    assert sent < 5000


@pytest.mark.parametrize("message", [b"", bytes([9]) + b"x", STDIN + b"x"])
def test_a_channel_that_there_is_not_is_passed_over(pod: Pod, message: bytes) -> None:
    end = master(pod)
    pod.onMessage(message, True)
    assert (end.transport.value(), pod.words) == (b"", b"")


def test_it_ends_with_either_end_and_once(pod: Pod) -> None:
    end = master(pod)
    end.connectionLost(Failure(Exception()))
    assert pod.transport.disconnecting
    other = Pod()
    end = master(other)
    other.onClose(True, 1000, None)
    assert end.transport.disconnecting
    other.abort()
    assert not other.transport.disconnected


@pytest.mark.parametrize("reason", ["WebSocket connection upgrade failed [403]: Forbidden", None])
def test_a_refusal_is_told(pod: Pod, reason: str | None) -> None:
    told: list[Failure] = []
    pod.opened.addErrback(told.append)
    pod.onClose(False, 1006, reason)
    [failure] = told
    assert failure.check(EngineError)
    assert (reason or "the connection was closed") in str(failure.value)
    assert "w-1" in str(failure.value)


@pytest.fixture
def api(tmp_path: Path) -> Callable[..., KubeApi]:
    token = tmp_path / "token"
    token.write_text("secret\n")
    token.chmod(0o600)

    def made(server: str, **more: object) -> KubeApi:
        return KubeApi(ClusterAt(server=server, namespace="kmodci", images="farm.test", **({"token": token} | more)))

    return made


def test_it_asks_for_one_container_in_the_farms_name(api: Callable[..., KubeApi], pod: Pod) -> None:
    factory = podend._factory(api("https://k.test:6443/clusters/a"), pod, "w-1")
    assert factory.url == (
        "wss://k.test:6443/clusters/a/api/v1/namespaces/kmodci/pods/w-1/attach?container=worker&stdin=1&stdout=1&stderr=1"
    )
    assert factory.headers == {"Authorization": "Bearer secret"}
    assert factory.protocols == ["v4.channel.k8s.io"]
    assert factory.protocol() is pod


def test_an_address_of_ipv6_has_its_brackets(api: Callable[..., KubeApi], pod: Pod) -> None:
    assert podend._factory(api("https://[fd00::1]:6443"), pod, "w-1").url.startswith("wss://[fd00::1]:6443/api/")


def test_an_authority_may_be_several(tmp_path: Path) -> None:
    both = [Authority(tmp_path / name, name).ca.read_bytes() for name in ("one", "two")]
    found = podend._certificates(b"# old and new\n" + b"\n".join(both))
    assert [each.getSubject().commonName for each in found] == [b"one", b"two"]
