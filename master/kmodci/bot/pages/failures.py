"""The page of what is not built: each cause with its kernels, the most frequent first."""

import time

from twisted.internet import threads
from twisted.web.server import Request

from ...failureview import ORDER, failures
from ...search import find_module
from ..board import keeper_of
from .base import Page, argument


class Failures(Page):
    """`?module=` chooses one."""

    async def get(self, request: Request) -> bytes:
        stamp = self.stamp()
        if self.seen(request) == stamp:
            return self.unchanged(request)
        board, module = keeper_of(self.master).board, argument(request, "module")
        if module:
            find_module(module, board.modules)
        return self.live(
            request,
            "failures.html.j2",
            stamp=stamp,
            board=board,
            module=module,
            # of thousands of builds this takes a while
            found=await threads.deferToThread(failures, board, module),
            order=ORDER,
            now=time.time(),
        )
