"""From what `uname` prints to a kernel: `kernel?uname=` finds it, `kernels/<target>/<release>` is its page."""

import time
from urllib.parse import quote

from buildbot.master import BuildMaster
from twisted.web import http
from twisted.web.resource import IResource
from twisted.web.server import Request

from ...errors import NotFound
from ...kernelview import find, followed, meant, modules_of
from ...model import Target
from ...release import BadName, check_release
from ..board import keeper_of
from ..searching import search
from .base import Page, argument


class FindKernel(Page):
    """Leads to the one kernel that is meant, or asks which."""

    async def get(self, request: Request) -> bytes:
        board, text = keeper_of(self.master).board, argument(request, "uname").strip()
        if not text:
            return self.html(request, "kernel_choice.html.j2", text="", found=None, wrong="", followed=followed(board))
        try:
            found, wrong = await search(meant, text, board), ""
        except BadName as error:
            found, wrong = None, error.brief
        if found and len(found.kernels) == 1:
            [kernel] = found.kernels
            return self.see_other(request, f"kmodci/kernels/{kernel.target}/{quote(kernel.release, safe='')}")
        if found is None or not found.kernels:
            request.setResponseCode(http.NOT_FOUND)
        return self.html(
            request, "kernel_choice.html.j2", text=text[:200], found=found, wrong=wrong, followed=followed(board)
        )


class Kernels(Page):
    """The way to each kernel's page."""

    def __init__(self, master: BuildMaster, target: str = "") -> None:
        super().__init__(master)
        self._target = target

    def getChild(self, path: bytes, request: Request) -> IResource:
        if not path:
            return self
        part = path.decode(errors="replace")
        return OneKernel(self.master, self._target, part) if self._target else Kernels(self.master, part)

    async def get(self, request: Request) -> bytes:
        if self._target:
            raise NotFound("there is no such page", hint="a kernel's page is kernels/<target>/<release>")
        return self.see_other(request, "kmodci/kernel")


class OneKernel(Page):
    """A kernel, and every module for it."""

    def __init__(self, master: BuildMaster, target: str, release: str) -> None:
        super().__init__(master)
        self._target, self._release = target, release

    async def get(self, request: Request) -> bytes:
        board = keeper_of(self.master).board
        target, release = str(Target.parse(self._target)), check_release(self._release)
        kernel = board.kernels.get(f"{target}/{release}")
        if kernel is None:
            kernel = await search(find, target, release, board)
        return self.live(
            request,
            "kernel.html.j2",
            board=board,
            kernel=kernel,
            modules=modules_of(kernel, board),
            appeared=board.appearances.get((str(kernel), kernel.version), 0.0),
            now=time.time(),
        )
