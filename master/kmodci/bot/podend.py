"""A pod's standard input and output, as the API of a cluster hands them out: over a WebSocket, a channel for each.

See https://kubernetes.io/docs/reference/generated/kubernetes-api/ ("attach"), and RFC 6455; every version since 1.4
speaks `v4.channel.k8s.io`: binary messages whose first byte is the channel's number.
"""

from functools import partial
from urllib.parse import urlencode

from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol
from twisted.internet import endpoints, ssl
from twisted.internet.interfaces import IReactorCore, IStreamClientEndpoint

from ..errors import EngineError, SecretUnusable
from ..kubeapi import KubeApi
from ..pods import CONTAINER, one_line
from .bridge import PATIENCE, Bridge, FarEnd, join

_PROTOCOL = "v4.channel.k8s.io"
_STDIN, _STDOUT, _STDERR, _ERROR = range(4)
# bytes of one message: that goes there, and that may come
_PIECE, _LONGEST = 32 << 10, 1 << 20
# seconds; what is between here and the cluster may forget a connection on which nothing is said
_PING = 30
# bytes of its budget (`bridge`): those that come are a few in an hour
_PING_COST = 16 << 10


class Attached(FarEnd, WebSocketClientProtocol):
    """A WebSocket's client, which ends as Kubernetes' protocol does: with its connection."""

    def onOpen(self) -> None:
        self.settle()

    def write(self, data: bytes) -> None:
        """Sends it to the pod."""
        for at in range(0, len(data), _PIECE):
            self.sendMessage(bytes([_STDIN]) + data[at : at + _PIECE], isBinary=True)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        channel, content = payload[:1], payload[1:]
        if channel == bytes([_STDOUT]):
            self.heard(content)
        elif channel == bytes([_STDERR]) or (channel == bytes([_ERROR]) and b'"Success"' not in content):
            # of a container that failed the last channel says success as well: its status is the pod's to tell
            self.overheard(content)
        else:
            self.spend(len(payload))

    def onPing(self, payload: bytes) -> None:
        # answered, and what is not read of the answers would be kept without end
        self.spend(_PING_COST)
        super().onPing(payload)

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        self.ended(one_line(reason or "the connection was closed"))


async def bridge(api: KubeApi, pod: str, socket: str, reactor: IReactorCore) -> Bridge:
    """Joins a pod that runs to the unix socket of that path. Raises EngineError."""
    far = Attached(pod)
    try:
        return await join(far, _factory(api, far, pod), _endpoint(api, reactor), socket, reactor)
    except (EngineError, SecretUnusable) as error:
        raise EngineError(f"{api.name}: attach to a worker: {error.brief}", hint=error.hint) from error
    except OSError as error:
        raise EngineError(f"{api.name}: attach to a worker: {error}") from error


def _factory(api: KubeApi, far: Attached, pod: str) -> WebSocketClientFactory:
    host, port, before = api.address
    asked = {"container": CONTAINER, "stdin": "1", "stdout": "1", "stderr": "1"}
    named = f"[{host}]" if ":" in host else host
    url = f"wss://{named}:{port}{before}{api.pods(pod, sub='attach')}?{urlencode(asked)}"
    factory = WebSocketClientFactory(url, protocols=[_PROTOCOL], headers=api.authorization(), useragent="kmodci")
    factory.noisy = False
    factory.protocol = partial(_made, far)
    factory.setProtocolOptions(
        maxFramePayloadSize=_LONGEST,
        maxMessagePayloadSize=_LONGEST,
        openHandshakeTimeout=PATIENCE,
        # a pod that has ended is not waited for, nor is its cluster
        closeHandshakeTimeout=1,
        failByDrop=True,
        autoPingInterval=_PING,
        autoPingTimeout=_PING,
    )
    return factory


def _made(far: Attached) -> Attached:
    return far


def _endpoint(api: KubeApi, reactor: IReactorCore) -> IStreamClientEndpoint:
    host, port, _ = api.address
    plain = endpoints.HostnameEndpoint(reactor, host, port, timeout=PATIENCE)
    trust = ssl.platformTrust()
    if api.at.ca is not None:
        # there may be several, while they change
        trust = ssl.trustRootFromCertificates(_certificates(api.at.ca.read_bytes()))
    mine = None
    if api.at.cert is not None and api.at.key is not None:
        mine = ssl.PrivateCertificate.loadPEM(api.at.cert.read_bytes() + b"\n" + api.at.key.read_bytes())
    return endpoints.wrapClientTLS(ssl.optionsForClientTLS(host, trustRoot=trust, clientCertificate=mine), plain)


def _certificates(pem: bytes) -> list[ssl.Certificate]:
    end = b"-----END CERTIFICATE-----"
    return [ssl.Certificate.loadPEM(part + end) for part in pem.split(end)[:-1]]
