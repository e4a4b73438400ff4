"""A Docker engine's socket for a farm, at which only what `enginepolicy` allows is passed on.

It runs where the farm's master cannot reach: whoever takes over the master has this socket, and not the engine's. One
thread and one call for each connection; nothing that was read is passed on as it came.
"""

import contextlib
import json
import os
import resource
import select
import signal
import socket
import stat
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path

import h11

from .enginebodies import BODY_LIMIT, shown
from .enginehttp import Caller, EngineCall, Left, Malformed, join, passed_back
from .enginepolicy import Body, Passed, Policy
from .errors import Denied, EngineError, KmodciError

_CONNECTIONS = 2048
_SPARE_FILES = 64
# bytes of an answer that is read whole
_ANSWER_LIMIT = 4 << 20
_KNOWN_LIMIT = 10_000
_ID_DIGITS = 64
_JSON = {"Content-Type": "application/json"}
_TAR = {"Content-Type": "application/x-tar"}


class _Answered(Exception):
    """The engine has said no already."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(status)
        self.status, self.body = status, body


@dataclass(slots=True, kw_only=True)
class Proxy:
    """engine: the path of the engine's socket; say: called with a line for whoever reads the log."""

    policy: Policy
    engine: str
    say: Callable[[str], None]
    _known: set[str] = field(default_factory=set)
    """the full ids of containers that are the farm's: neither they nor their labels are ever another's"""

    def serve(self, connection: socket.socket) -> None:
        """One connection to its end, which is that of its one call."""
        caller, asked = Caller(connection), "a call"
        try:
            try:
                request = caller.request()
                asked = shown(f"{request.method} {request.target}")
                self._serve(caller, request.method, request.target, upgrades=request.upgrades)
            except _Answered as answered:
                caller.answer_json(answered.status, answered.body)
            except Denied as denied:
                self.say(f"refused: {asked}: {denied.brief}")
                is_malformed = isinstance(denied, Malformed)
                caller.refuse(HTTPStatus.BAD_REQUEST if is_malformed else HTTPStatus.FORBIDDEN, denied.brief)
            except EngineError as error:
                self.say(f"failed: {asked}: {error.brief}")
                caller.refuse(HTTPStatus.BAD_GATEWAY, error.brief)
        except (OSError, Left, h11.LocalProtocolError):
            pass  # who asked is gone
        finally:
            connection.close()

    def _serve(self, caller: Caller, method: str, target: str, *, upgrades: bool) -> None:
        asked = self.policy.find(method, target)
        route = asked.route
        if upgrades != route.hijacks:
            raise Malformed("a stream is asked for where there is none, or none where there is one")
        body = b""
        if route.body is not Body.STREAM:
            body = caller.whole_body(BODY_LIMIT if route.body is Body.JSON else 0)
        passed = self.policy.judge(asked, body)
        container = self._own_container(passed.container) if passed.container else ""
        for name in passed.volumes:
            self._check_volume(name)
        with contextlib.closing(EngineCall(self.engine)) as call:
            if route.hijacks:
                self._hijack(caller, call, passed, container)
                return
            stream = route.body is Body.STREAM
            call.ask(
                method,
                passed.target(container),
                {"Connection": "close", **(_TAR if stream else _JSON if passed.body else {})},
                caller.body() if stream else [passed.body],
                size=None if stream else len(passed.body),
            )
            answer = call.answer(caller.socket)
            if not isinstance(answer, h11.Response):
                raise EngineError("the engine hands over a connection that nobody asked for")
            parts = call.body(caller.socket)
            if route.keeps and answer.status_code == HTTPStatus.OK:
                caller.answer_json(answer.status_code, _kept(parts, route.keeps))
            else:
                caller.answer(answer.status_code, passed_back(answer.headers), parts)

    def _hijack(self, caller: Caller, call: EngineCall, passed: Passed, container: str) -> None:
        call.ask(passed.route.method, passed.target(container), {"Connection": "Upgrade", "Upgrade": "tcp"}, [], size=0)
        answer = call.answer(caller.socket)
        if isinstance(answer, h11.Response):
            caller.answer(answer.status_code, passed_back(answer.headers), call.body(caller.socket))
            return
        early = caller.switch(passed_back(answer.headers))
        call.socket.sendall(early)
        caller.socket.sendall(call.read_already)
        join(caller.socket, call.socket)

    def _own_container(self, name: str) -> str:
        """The full id of what is called so. Raises Denied if it is not the farm's, _Answered if it is not there."""
        if name in self._known:
            return name
        found = self._look(f"/containers/{name}/json")
        identity, config = found.get("Id"), found.get("Config")
        self.policy.check_owned(f"container {shown(name)}", config.get("Labels") if isinstance(config, dict) else None)
        if not isinstance(identity, str) or len(identity) != _ID_DIGITS or not identity.isalnum():
            raise EngineError("the engine names a container by no id")
        if len(self._known) >= _KNOWN_LIMIT:
            self._known.clear()
        self._known.add(identity)
        return identity

    def _check_volume(self, name: str) -> None:
        """Raises Denied if it is not the farm's, or leads elsewhere than to the engine's own disk."""
        found = self._look(f"/volumes/{name}")
        self.policy.check_owned(f"volume {shown(name)}", found.get("Labels"))
        if found.get("Driver") != "local" or found.get("Options"):
            raise Denied(f"volume {shown(name)} is none that a farm has made")

    def _look(self, target: str) -> Mapping[str, object]:
        with contextlib.closing(EngineCall(self.engine)) as call:
            call.ask("GET", target, {}, [], size=0)
            answer = call.answer()
            said = _whole(call.body())
        if answer.status_code != HTTPStatus.OK:
            raise _Answered(answer.status_code, said)
        return _object(said)


def _whole(parts: Iterable[bytes]) -> bytes:
    said = bytearray()
    for part in parts:
        said += part
        if len(said) > _ANSWER_LIMIT:
            raise EngineError("the engine says more than it should")
    return bytes(said)


def _object(said: bytes) -> dict[str, object]:
    try:
        found = json.loads(said)
    except ValueError as error:
        raise EngineError("the engine's answer is no JSON") from error
    if not isinstance(found, dict):
        raise EngineError("the engine's answer is no object")
    return found


def _kept(parts: Iterable[bytes], names: frozenset[str]) -> bytes:
    return json.dumps({name: value for name, value in _object(_whole(parts)).items() if name in names}).encode()


def ping(path: str) -> None:
    """Raises EngineError unless a proxy listens at that path, and its engine answers it."""
    with contextlib.closing(EngineCall(path)) as call:
        call.ask("GET", "/_ping", {"Connection": "close"}, [], size=0)
        status, said = call.answer().status_code, _whole(call.body())
    if status != HTTPStatus.OK:
        raise EngineError(f"{path}: {shown(said.decode(errors='replace'))}")


def listen(path: Path, *, mode: int, owner: int | None = None, group: int | None = None) -> socket.socket:
    """A socket at that path, in place of one that nobody listens at any more. Raises KmodciError.

    owner, group: if not this process's own.
    """
    made = socket.socket(socket.AF_UNIX)
    # it gets its name when it can be asked
    early = path.with_name(f".{path.name}-{os.getpid()}")
    try:
        _check_free(path)
        early.unlink(missing_ok=True)
        # as it should be from the first, without a chmod, which would follow a link that somebody puts there
        before = os.umask(0o777 & ~mode)
        try:
            made.bind(str(early))
        finally:
            os.umask(before)
        ids = (-1 if owner is None else owner, -1 if group is None else group)
        os.chown(early, *ids, follow_symlinks=False)
        made.listen(128)
        early.rename(path)
    except OSError as error:
        early.unlink(missing_ok=True)
        made.close()
        raise KmodciError(
            f"cannot listen at {path}: {error.strerror or error}",
            hint="the folder has to be there and to be writable, and the path shorter than 90 characters",
        ) from error
    return made


def _check_free(path: Path) -> None:
    try:
        kind = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(kind):
        raise KmodciError(f"{path} is there, and is no socket", hint="it is left as it is: name another path")
    with socket.socket(socket.AF_UNIX) as asked, contextlib.suppress(ConnectionRefusedError):
        asked.connect(str(path))
        raise KmodciError(f"somebody listens at {path} already", hint="one proxy is enough for a socket")


def serve(proxy: Proxy, listening: socket.socket) -> None:
    """Answers at that socket until SIGTERM or SIGINT. In the main thread."""
    places = threading.BoundedSemaphore(_room())
    woken, wakes = socket.socketpair()
    wakes.setblocking(False)
    ended = threading.Event()
    signal.set_wakeup_fd(wakes.fileno())
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    waiting = select.poll()
    waiting.register(listening, select.POLLIN)
    waiting.register(woken, select.POLLIN)
    while not ended.is_set():
        # by this, and not by a broken-off accept: a signal may be taken in another thread
        if any(number == woken.fileno() for number, _ in waiting.poll()):
            woken.recv(64)
            continue
        connection, _ = listening.accept()
        if not places.acquire(blocking=False):
            proxy.say("refused: more connections than there is room for")
            connection.close()
            continue
        try:
            threading.Thread(target=_serve_one, args=(proxy, connection, places), daemon=True).start()
        except RuntimeError as error:
            proxy.say(f"refused: {error}")
            connection.close()
            places.release()


def _serve_one(proxy: Proxy, connection: socket.socket, places: threading.BoundedSemaphore) -> None:
    try:
        proxy.serve(connection)
    finally:
        places.release()


def _room() -> int:
    """How many connections there may be at once: each needs two files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * _CONNECTIONS + _SPARE_FILES
    files = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, files), hard))
    return max(1, (files - _SPARE_FILES) // 2)
