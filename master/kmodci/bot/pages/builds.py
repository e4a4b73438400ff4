"""The page of one build, its log, and the question before it is built now.

`builds/<module>/<target>/<release>`, with `?version=` of one that is published and not built any more; below it `log`
and `build`.
"""

import time
from urllib.parse import quote

from buildbot.master import BuildMaster
from twisted.internet import threads
from twisted.web import http
from twisted.web.resource import IResource
from twisted.web.server import Request

from ...board import Board
from ...buildview import BuildView, index_object, question, shell_words, view
from ...errors import KmodciError, NotFound
from ...explanation import SAID_BY, Explanation, Known, explain
from ...farm import Farm
from ...keys import headers_key
from ...manifest import Manifest
from ...matrix import Planned, Why
from ...model import BuildId, Status, check_module_version
from ...publishing import read_manifest
from ...search import find_build
from ...watch import bundle_of
from ..board import keeper_of
from ..schedulers import scheduler_of
from ..searching import search
from ..services import service_of
from ..virtual import VirtualBuilders
from .base import Page, argument
from .logs import build_log, started_at

_PARTS = 3
FORCE = ("forceschedulers", "force")
"""the endpoint of Buildbot's force button, with the action `force`: who may press that may press this"""


class Builds(Page):
    """The way to each build's page."""

    def __init__(self, master: BuildMaster, farm: Farm, parts: tuple[str, ...] = ()) -> None:
        super().__init__(master)
        self._farm = farm
        self._parts = parts

    def getChild(self, path: bytes, request: Request) -> IResource:
        parts = (*self._parts, path.decode(errors="replace"))
        if not path:
            return self
        return (OneBuild if len(parts) == _PARTS else Builds)(self.master, self._farm, parts)

    async def get(self, request: Request) -> bytes:
        raise NotFound("there is no such page", hint="a build's page is builds/<module>/<target>/<release>")


class OneBuild(Builds):
    """All that is known of a build."""

    def getChild(self, path: bytes, request: Request) -> IResource:
        below = {b"log": BuildLog, b"build": BuildNow}.get(path)
        return below(self.master, self._farm, self._parts) if below else Page.getChild(self, path, request)

    @property
    def name(self) -> str:
        """The build id, as it was asked for."""
        return "/".join(self._parts)

    async def get(self, request: Request) -> bytes:
        stamp = self.stamp()
        if self.seen(request) == stamp:
            return self.unchanged(request)
        seen, now = await self.look(argument(request, "version")), time.time()
        manifest, bundle, run = await threads.deferToThread(self._read, seen)
        builders = service_of(self.master, VirtualBuilders)
        return self.live(
            request,
            "build.html.j2",
            stamp=stamp,
            seen=seen,
            now=now,
            manifest=manifest,
            bundle=bundle,
            run=run,
            said_by=SAID_BY,
            builder=(await builders.addresses([self.name])).get(self.name, ""),
            refusal=seen.refusal or await self.refusal(request),
            index=index_object(seen),
            command=f"kmodci build {self.name}",
            asked=shell_words(question(seen)),
            base=self.base_url,
            bucket=self._farm.settings.public_bucket,
        )

    async def look(self, version: str = "") -> BuildView:
        """The build as it stands. Raises NotFound and BadName."""
        board, farm = keeper_of(self.master).board, self._farm
        modules = {*farm.settings.modules, *board.modules, *(module for module, _ in board.published)}
        module, _, kernel = self.name.partition("/")
        if module in modules and kernel in board.kernels:
            build = BuildId.parse(self.name)
        else:
            build = await search(find_build, self.name, modules, board.kernels)
        url = board.running.get(str(build), "")
        began = await started_at(self.master, url) if url else 0.0
        return view(
            await threads.deferToThread(self._explain, build, board),
            board,
            check_module_version(version) if version else "",
            slots=farm.slots,
            running_for=time.time() - began if began else 0.0,
        )

    def _explain(self, build: BuildId, board: Board) -> Explanation:
        """In a thread."""
        farm, standing = self._farm, board.standings.get(str(build))
        last = standing.outcome if standing else None
        hold = farm.runs.hold(build)
        known = Known(
            kernels=board.kernels,
            modules=farm.settings.modules,
            entries=(standing.entry,) if standing else (),
            versions=board.versions,
            outcomes={str(build): last} if last else {},
            recipes=farm.recipes,
            holds={str(build): hold} if hold else {},
            now=time.time(),
        )
        return explain(build, known)

    def _read(self, seen: BuildView) -> tuple[Manifest | None, str, str]:
        """In a thread: the manifest, the key of the header bundle, and the run that it waits in."""
        sha256 = bundle_of(self._farm.store, seen.kernel)
        try:
            manifest = read_manifest(self._farm.bucket, seen.entry.manifest) if seen.entry else None
        except KmodciError:
            # the bucket is away, or has lost it: all the rest is known without it
            manifest = None
        return manifest, headers_key(sha256) if sha256 else "", self._farm.runs.waiting_for(seen.build_id)

    async def refusal(self, request: Request) -> str:
        """Why who asks may not have it built; empty if they may."""
        return await self.refusal_of(request, *FORCE, action="force", **await self._options())

    async def _options(self) -> dict[str, object]:
        """As the force button on the builder's own page sends them: a rule may be for some builders only."""
        builders = service_of(self.master, VirtualBuilders)
        number = (await builders.numbers([self.name])).get(self.name)
        return {"builderid": number} if number else {}


class BuildLog(OneBuild):
    """Its log, as text: of the bucket, or of Buildbot while it runs and where it failed."""

    def getChild(self, path: bytes, request: Request) -> IResource:
        return Page.getChild(self, path, request)

    async def get(self, request: Request) -> bytes:
        # one that grows is known by what it reads like
        stamp = "" if self.name in keeper_of(self.master).board.running else self.stamp()
        if stamp and self.seen(request) == stamp:
            return self.unchanged(request)
        seen = await self.look(argument(request, "version"))
        # of another version than the one that is built, there is only what is published
        url = seen.url if seen.is_current else ""
        log = await build_log(self.master, self._farm.bucket, seen, url)
        return self.live(request, "log.html.j2", stamp=stamp, seen=seen, log=log)


class BuildNow(OneBuild):
    """Asks whether it is meant, and puts it before all that is queued."""

    def getChild(self, path: bytes, request: Request) -> IResource:
        return Page.getChild(self, path, request)

    async def get(self, request: Request) -> bytes:
        seen = await self.look()
        return self.html(
            request, "build_now.html.j2", seen=seen, refusal=seen.refusal or await self.refusal(request), name=self.name
        )

    async def post(self, request: Request) -> bytes:
        await self.assert_allowed(request, *FORCE, action="force", **await self._options())
        seen = await self.look()
        if seen.refusal:
            self.refuse(http.CONFLICT, f"{self.name} cannot be built now: {seen.refusal}")
        if seen.state == Status.BUILT and argument(request, "rebuild") != "yes":
            self.refuse(http.CONFLICT, f"{self.name} is built by now: look at its page again")
        found = seen.explanation
        assert found.standing is not None  # else it would be refused
        planned = Planned(entry=found.standing.entry, key=found.key, why=Why.FORCED)
        forced = scheduler_of(self.master).forced
        await forced.build_now(planned, by=self.user(request), rebuild=seen.state == Status.BUILT)
        target, release = seen.build_id.target, quote(seen.build_id.release, safe="")
        return self.see_other(request, f"kmodci/builds/{seen.build_id.module}/{target}/{release}")
