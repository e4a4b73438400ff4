"""Looks at all repositories of a configuration, as a farm's pollers do when it starts, and what that costs."""

import resource
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO
from unittest import mock
from urllib.parse import urlsplit

import urllib3
from kmodci.fetch import Fetcher
from kmodci.settings import load
from kmodci.store import Store
from kmodci.watch import Watch
from kmodci.where import repositories


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """One look at everything."""

    wall: float
    """seconds"""
    user: float
    """CPU seconds, those of `programs` included"""
    system: float
    programs: float = 0.0
    """user and system: of gpgv, which checks signatures"""
    memory: int
    """bytes that the process had at most while it looked"""
    requests: int
    received: int
    """bytes"""
    kernels: int
    """that are known then"""

    @property
    def cpu(self) -> float:
        return self.user + self.system


@dataclass(slots=True)
class _Traffic:
    """What goes over HTTP, counted where urllib3 sends and receives."""

    requests: int = 0
    received: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def counted(self) -> Iterator[None]:
        pool, response = urllib3.HTTPConnectionPool, urllib3.HTTPResponse
        send, read1 = pool._make_request, response.read1

        def counting_send(*args: object, **kwargs: object) -> object:
            with self._lock:
                self.requests += 1
            return send(*args, **kwargs)  # type: ignore[arg-type]

        def counting_read1(*args: object, **kwargs: object) -> bytes:
            data = read1(*args, **kwargs)  # type: ignore[arg-type]
            with self._lock:
                self.received += len(data)
            return data

        with (
            mock.patch.object(pool, "_make_request", counting_send),
            mock.patch.object(response, "read1", counting_read1),
        ):
            yield


def look(config: Path, scope: str, state: Path, times: int) -> list[Figures]:
    """Looks so many times, with what an earlier process remembered in the folder. To be called in a new process.

    Raises KmodciError for the first repository that cannot be read.
    """
    settings = load(config)
    store = Store(f"sqlite:///{state / 'kmodci.sqlite'}")
    store.create()
    watch = Watch(
        settings=settings,
        store=store,
        fetcher=Fetcher(),
        repositories=repositories(settings, settings.find_scope(scope)),
        packages={},
    )
    return [_counted(watch) for _ in range(times)]


def _counted(watch: Watch) -> Figures:
    def poll(name: str) -> None:
        found = watch.look(name)
        if found.changed:
            watch.remember(found)

    traffic = _Traffic()
    # proc(5): "Reset the peak resident set size"
    Path("/proc/self/clear_refs").write_text("5")
    began, before = time.monotonic(), [*_cpu()]
    with traffic.counted(), ThreadPoolExecutor(len(watch.repositories)) as pool:
        list(pool.map(poll, watch.repositories))
    user, system, programs_user, programs_system = (after - at for after, at in zip(_cpu(), before, strict=True))
    return Figures(
        wall=time.monotonic() - began,
        user=user + programs_user,
        system=system + programs_system,
        programs=programs_user + programs_system,
        memory=_peak(),
        requests=traffic.requests,
        received=traffic.received,
        kernels=len(watch.store.kernels()),
    )


def _cpu() -> Iterator[float]:
    """User and system seconds of this process, then those of its children that have ended."""
    for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
        used = resource.getrusage(who)
        yield used.ru_utime
        yield used.ru_stime


def _peak() -> int:
    """Bytes: the most that this process had at once (proc(5), VmHWM)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM:"))


def recorded(config: Path, scope: str, folder: Path) -> None:
    """Reads everything once, and keeps each file below the folder, under its URL's path."""
    settings = load(config)
    store = Store("sqlite://")
    store.create()
    found = repositories(settings, settings.find_scope(scope))
    watch = Watch(settings=settings, store=store, fetcher=_Recorder(folder), repositories=found, packages={})
    for name in found:
        watch.look(name)


class _Recorder(Fetcher):
    """Keeps what it reads."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    @contextmanager
    def stream(self, url: str, *, limit: int) -> Iterator[Iterator[bytes]]:
        path = self._folder / urlsplit(url).path.lstrip("/")
        part = path.with_name(f"{path.name}.part")
        path.parent.mkdir(parents=True, exist_ok=True)
        with super().stream(url, limit=limit) as chunks, part.open("wb") as file:
            yield _kept(chunks, file)
        part.rename(path)


def _kept(chunks: Iterator[bytes], file: BinaryIO) -> Iterator[bytes]:
    for chunk in chunks:
        file.write(chunk)
        yield chunk
