"""The HTTP API on a real web server on loopback, of a board of Debian's kernels: no master, no engine, no bucket.

Twisted's reactor runs in a thread, once in a test process.
"""

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

from buildbot.www.service import BuildbotSite
from kmodci.board import Board
from kmodci.bot.api.root import Api
from kmodci.bot.guard import guard
from kmodci.bot.login.rules import Rules
from kmodci.bot.web import open_own_api
from kmodci.matrix import Planned, Why
from kmodci.model import Hold, Status
from kmodci.opening import open_farm
from kmodci.paths import checkout
from kmodci.planning import Plan
from kmodci.runs import Run, RunEntry
from kmodci.schema import KnownFailure, Scope
from kmodci.store import RepositoryState
from kmodci.tokens import May, Tokens
from kmodci.users import Users
from twisted.internet import defer, reactor
from twisted.internet.threads import blockingCallFromThread
from twisted.web.resource import Resource

from .boards import board

T = TypeVar("T")
RELEASE = "6.1.0-50-amd64"
BUILT, FAILED, RUNNING, CANCELLED, UNAVAILABLE = (
    f"loop/debian-bookworm-amd64/6.1.0-{number}-amd64" for number in (50, 47, 53, 54, 55)
)
QUEUED = "loop/debian-trixie-amd64/6.12.117+deb13-amd64"
RUN = "2026-11-23-231500"
NOW = 1_800_000_000.0
SESSION_SECRET = "0123456789abcdef" * 4


@cache
def reactor_thread() -> None:
    threading.Thread(target=reactor.run, kwargs={"installSignalHandlers": False}, daemon=True).start()


@dataclass
class Scheduler:
    """Notes what it is asked for."""

    of: Board
    plan: Plan = field(default_factory=Plan)
    planned_at: float = NOW
    asked: list[tuple[str, str, bool]] = field(default_factory=list)
    """build id, who, whether to build what is built"""
    before: dict[str, str] = field(default_factory=dict)
    fails: Exception | None = None
    gate: defer.Deferred[None] | None = None
    """what is asked for is asked for once this fires"""
    waiting: threading.Event = field(default_factory=threading.Event)
    """somebody waits for that"""

    @property
    def forced(self) -> "Scheduler":
        return self

    @property
    def requests(self) -> "Scheduler":
        return self

    async def build_now(self, planned: Planned, *, by: str, rebuild: bool = False) -> None:
        if self.fails:
            raise self.fails
        if self.gate is not None:
            self.waiting.set()
            await self.gate
        self.asked.append((str(planned.entry.build_id), by, rebuild))

    async def asked_by(self) -> dict[str, str]:
        return self.before

    def is_asked_for(self, build_id: str) -> bool:
        return build_id in self.before or build_id in [name for name, _, _ in self.asked]

    def places(self, running: Mapping[str, str]) -> dict[str, int]:
        return {name: place for place, (name, _, _) in enumerate(self.asked, 1)}


class Site:
    """Asks it, and knows what came of that."""

    def __init__(self, folder: Path, of: Board, **api: object) -> None:
        self.behind: set[str] = set()
        self.folder, self.config = folder, folder / "config"
        self.write_config(**api)
        self.farm = open_farm(self.config)
        self.tokens = Tokens(self.farm.settings.tokens_file)
        self.scheduler = Scheduler(of)
        self.keeper = SimpleNamespace(board=of, is_behind=lambda name: name in self.behind)
        watchdog = SimpleNamespace(late=())
        self.master = SimpleNamespace(
            config=SimpleNamespace(buildbotURL=self.farm.settings.web.address, www={}),
            service_manager=SimpleNamespace(namedServices={"board": self.keeper, "watchdog": watchdog}),
            scheduler_manager=SimpleNamespace(namedServices={"matrix": self.scheduler}),
            workers=SimpleNamespace(workers={}),
            data=SimpleNamespace(get=_nothing),
            reactor=reactor,
            www=SimpleNamespace(
                authz=Rules(self.farm.settings.login, Users(self.farm.settings.users_file)),
                getUserInfos=lambda request: request.getSession().user_info,
                auth=None,
            ),
        )
        self.api = Api(self.master, self.farm)

    def write_config(self, **api: object) -> None:
        self.config.mkdir()
        (self.config / "s3").write_text("[default]\naws_access_key_id = a\naws_secret_access_key = verysecret\n")
        (self.config / "s3").chmod(0o600)
        kmodci = {
            "state": str(self.folder / "state"),
            "web": {"url": "http://farm.example.org/ci", "proxies": api.pop("proxies", [])},
            "login": {"read": api.pop("read", "open")},
            "engine": {"docker_host": f"unix://{self.folder}/no.sock", "workers": 2},
            # port 9 of loopback: nobody listens there
            "bucket": {"endpoint": "http://127.0.0.1:9", "credentials_file": str(self.config / "s3")},
            "api": api,
        }
        (self.config / "kmodci.yml").write_text(json.dumps(kmodci))
        (self.config / "targets.yml").write_text((checkout() / "config" / "targets.yml").read_text())
        module = {"source": {"path": str(self.folder)}, "version": "1.0"}
        (self.config / "modules.yml").write_text(json.dumps({"modules": {"loop": module, "scap": module}}))
        (self.config / "known-failures.yml").write_text('{"known_failures": []}')

    def listen(self) -> None:
        reactor_thread()
        open_own_api()
        guard(self.farm.settings.web)
        root, parent = Resource(), Resource()
        parent.putChild(b"kmodci", self.api.root)
        root.putChild(b"api", parent)
        root.putChild(b"healthz", self.api.health)
        root.putChild(b"metrics", self.api.metrics)
        site = BuildbotSite(root, str(self.folder / "http.log"), 1 << 30, 1)
        site.master = self.master
        site.setSessionSecret(SESSION_SECRET)
        self._port = blockingCallFromThread(reactor, reactor.listenTCP, 0, site, 50, "127.0.0.1")
        self.port = self._port.getHost().port

    def close(self) -> None:
        blockingCallFromThread(reactor, self._port.stopListening)
        self.farm.store.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(
        self,
        path: str,
        body: object = None,
        *,
        method: str = "",
        token: str = "",
        headers: Mapping[str, str | bytes] | None = None,
    ) -> tuple[int, Mapping[str, str], str]:
        """Status, headers and body. path: below the API, or from the root; body: what is sent as JSON, or bytes."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        sent = dict(headers or {})
        if token:
            sent["Authorization"] = f"Bearer {token}"
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        if data is not None:
            sent.setdefault("Content-Type", "application/json")
        place = path if path.startswith("/") else f"/api/kmodci/v1/{path}"
        try:
            connection.request(method or ("GET" if data is None else "POST"), place, data, sent)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read().decode()
        finally:
            connection.close()

    def told(self, path: str, body: object = None, **more: Any) -> tuple[int, Any]:
        """Status, and the JSON."""
        status, _, text = self.ask(path, body, **more)
        return status, json.loads(text)

    def in_reactor(self, work: Callable[..., T], *arguments: object) -> T:
        found: T = blockingCallFromThread(reactor, work, *arguments)
        return found


async def _nothing(*path: object, **more: object) -> None:
    """Buildbot has no such build."""
    return


def a_board(**more: object) -> Board:
    """One build of every kind, and Debian's other kernels, all of them pending."""
    made = board(
        {
            BUILT: (Status.BUILT, ""),
            FAILED: (Status.FAILED, "loop.c:1: error: so it is"),
            UNAVAILABLE: (Status.UNAVAILABLE, "header package gone"),
        },
        scope=Scope(kernels=("debian-bookworm-*/*", "debian-trixie-*/*")),
        failures=[KnownFailure(builds="loop/debian-trixie-arm64/*", reason="needs an fpu")],
        running={RUNNING: "http://farm.example.org/ci/#/builders/1/builds/2"},
        queue={QUEUED: 3},
        waiting={CANCELLED: "cancelled by somebody"},
        **{"made": time.time(), **more},
    )
    for name in (BUILT, FAILED, RUNNING, CANCELLED, UNAVAILABLE, QUEUED):
        assert name in made.standings, name
    return made


@contextmanager
def api_site(folder: Path, of: Board | None = None, **api: object) -> Iterator[Site]:
    """api: as in kmodci.yml; and `proxies` of web:, `read` of login:."""
    made = Site(folder, of or a_board(), **{"rate": 100_000, "burst": 100_000, **api})
    keys = made.keeper.board.keys
    build = made.keeper.board.standings[CANCELLED].entry.build_id
    hold = Hold(build_id=build, key=keys[CANCELLED], reason="cancelled by somebody", noted=NOW)
    made.scheduler.plan = Plan(holds={CANCELLED: hold})
    _remember(made)
    made.listen()
    try:
        yield made
    finally:
        made.close()


def _remember(site: Site) -> None:
    """A run, and a source that fails."""
    store, runs = site.farm.store, site.farm.runs
    store.put_repository(RepositoryState(name="bookworm main", last_try=NOW, error="bookworm main: it is away"))
    build = site.keeper.board.standings[BUILT].entry.build_id
    entry = RunEntry(build_id=build, key="k", why=Why.NEW_KERNEL, chunk=0)
    runs.put_run(Run(id=RUN, started=NOW, slots=2), [entry])


def with_token(site: Site, may: May = May.BUILD, name: str = "node") -> str:
    """A token of that kind."""
    return site.tokens.add(name, may, NOW)
