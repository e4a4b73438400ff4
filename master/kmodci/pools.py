"""HTTP connections that a server cannot hold for ever by sending the head of its answer a byte at a time.

A socket's timeout is for each piece of data, so that whoever sends one now and then never runs into it. Bodies are
watched by who reads them (`fetch`); the head is read in one go by Python's http.client.
"""

import contextlib
import socket
import threading
from ipaddress import ip_address
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from urllib3 import HTTPConnectionPool, HTTPResponse, HTTPSConnectionPool, PoolManager, ProxyManager
from urllib3.connection import HTTPConnection, HTTPSConnection

_IDLE = 8


class _Patient(HTTPConnection):
    def getresponse(self) -> HTTPResponse:  # type: ignore[override]  # as urllib3 has it
        """Raises TimeoutError if the head has not come, whole, within the timeout for one piece of it."""
        cut, connection = threading.Event(), self.sock

        def give_up() -> None:
            cut.set()
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

        watch = threading.Timer(self.timeout or 0, give_up)
        watch.daemon = True
        watch.start()
        try:
            response = super().getresponse()
        finally:
            watch.cancel()
        if cut.is_set():
            # http.client takes the end of the connection for the end of the head
            raise TimeoutError("the head of the answer did not come in time")
        return response


class _PatientTls(_Patient, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Patient


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _PatientTls


def pool_manager(proxy: str = "") -> PoolManager:
    """proxy: its URL; none for a direct connection."""
    manager = ProxyManager(proxy, maxsize=_IDLE) if proxy else PoolManager(maxsize=_IDLE)
    manager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}
    return manager


class Pools:
    """Connections that stay open between requests; may be used from several threads."""

    def __init__(self) -> None:
        self._pools: dict[str, PoolManager] = {}

    def of(self, url: str, *, direct: bool = False) -> PoolManager:
        """Direct, or through the proxy that the environment names for this URL."""
        parts = urlsplit(url)
        proxy = "" if direct else getproxies().get(parts.scheme, "")
        if proxy and proxy_bypass(parts.hostname or ""):
            proxy = ""
        if proxy not in self._pools:
            self._pools[proxy] = pool_manager(proxy)
        return self._pools[proxy]


def is_loopback(host: str) -> bool:
    """Whether a host of a URL is this machine itself, whatever is resolved (RFC 6761, section 6.3)."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
