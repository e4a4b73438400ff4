"""Asks one question after the other over a few connections, at a rate; a process of its own, for `asking`.

usage: python -m benchmarks.asker PORT RATE < questions, each a line of JSON

Asks until it is told SIGTERM, and prints then how it went, as JSON.
"""

import asyncio
import json
import resource
import signal
import sys
import time
from itertools import cycle

_CONNECTIONS = 16


class _Connection(asyncio.Protocol):
    """One question at a time, as HTTP/1.1 has it: who comes later waits, and its wait counts."""

    def __init__(self) -> None:
        self.took: list[float] = []
        self.statuses: dict[int, int] = {}
        self._waiting: list[tuple[float, bytes]] = []
        self._began = 0.0
        self._got = b""
        self._is_asking = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def ask(self, when: float, question: bytes) -> None:
        """when: it was to be asked, by the monotonic clock."""
        if self._is_asking:
            self._waiting.append((when, question))
            return
        self._is_asking, self._began = True, when
        self.transport.write(question)

    def data_received(self, data: bytes) -> None:
        self._got += data
        head, end, body = self._got.partition(b"\r\n\r\n")
        if not end or len(body) < _length(head):
            return
        self._got, self._is_asking = b"", False
        self.took.append(time.monotonic() - self._began)
        status = int(head[9:12])
        self.statuses[status] = self.statuses.get(status, 0) + 1
        if self._waiting:
            self.ask(*self._waiting.pop(0))


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


async def _ask(port: int, rate: float, questions: list[bytes]) -> None:
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    made = [(await loop.create_connection(_Connection, "127.0.0.1", port))[1] for _ in range(_CONNECTIONS)]
    began, asked = time.monotonic(), 0
    turns = zip(cycle(made), cycle(questions), strict=False)
    while not ended.is_set():
        # those that are due by now, whatever kept this process: a late one's wait counts from when it was due
        while began + asked / rate <= time.monotonic():
            connection, question = next(turns)
            connection.ask(began + asked / rate, question)
            asked += 1
        await asyncio.sleep(0.002)
    seconds = time.monotonic() - began
    took = sorted(each for connection in made for each in connection.took)
    used = resource.getrusage(resource.RUSAGE_SELF)
    statuses: dict[int, int] = {}
    for connection in made:
        for status, count in connection.statuses.items():
            statuses[status] = statuses.get(status, 0) + count
    print(
        json.dumps(
            {
                "seconds": seconds,
                "asked": asked,
                "answered": len(took),
                "statuses": statuses,
                "cpu": used.ru_utime + used.ru_stime,
                "milliseconds": {
                    name: 1000 * took[min(len(took) - 1, int(part * len(took)))]
                    for name, part in {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999, "worst": 1.0}.items()
                },
            }
        )
    )


def _request(question: str) -> bytes:
    body = question.strip().encode()
    return (
        b"POST /api/kmodci/v1/builds HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
    )


if __name__ == "__main__":
    asyncio.run(_ask(int(sys.argv[1]), float(sys.argv[2]), [_request(line) for line in sys.stdin]))
