"""HTTP connections that a server cannot hold for ever by sending the head of its answer a byte at a time.

A socket's timeout is for each piece of data, so that whoever sends one now and then never runs into it. Bodies are
watched by who reads them (`fetch`); the head is read in one go by Python's http.client.
"""

import contextlib
import socket
import threading

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
