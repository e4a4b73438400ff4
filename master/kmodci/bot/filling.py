"""Fills Buildbot's queue from the open runs, up to a bound: with thousands of requests it slows down."""

from collections.abc import Callable, Collection, Mapping

from twisted.python import log

from ..farm import Farm
from ..ledger import Ledger
from ..matrix import Planned, Why
from ..model import Kernel
from ..planning import Plan
from .requests import FORCED, FORCED_PRIORITY, IMAGE_PRIORITY, Requests
from .virtual import request_of


async def fill(
    farm: Farm,
    plan: Plan,
    ready: Mapping[str, Planned],
    ledger: Ledger,
    requests: Requests,
    *,
    ended: Collection[str],
    prefetch: Callable[[Kernel], None],
) -> None:
    """Asks for what a plan lacks: images, and what is left of the runs.

    ready: of the plan (`Plan.ready`); ended: builds, by id, that the ledger has not been told of yet, which grow while
    this goes on; prefetch: is told the kernels whose headers will be needed.
    """
    if shortage := farm.paths.shortage:
        log.msg(f"no more builds for now, looked at again within a minute: {shortage}")
        return
    for image in plan.missing_images:
        made = farm.images[image]
        asked = {"toolchain": made.toolchain, "arch": made.arch}
        await requests.ask(f"image/{image}", "images", asked, "image missing", priority=IMAGE_PRIORITY)
    room = farm.chunk_length - len(requests)
    for entry in ledger.left():
        if room <= 0:
            break
        name = str(entry.build_id)
        if name in ended:
            # meanwhile, and that is settled at the next look: asked for once more, what failed would be built again
            continue
        if entry.why is Why.FORCED:
            room -= await _ask_again(plan, requests, name)
        elif (
            FORCED + name not in requests
            and (planned := ready.get(name))
            and planned.key == entry.key
            and await requests.ask(name, *request_of(planned.entry), str(entry.why))
        ):
            prefetch(planned.entry.kernel)
            room -= 1


async def _ask_again(plan: Plan, requests: Requests, name: str) -> bool:
    """A forced build whose request was lost with a master that was killed. Returns whether it was asked for."""
    if FORCED + name in requests:
        return False
    entry = next((entry for entry in plan.entries if str(entry.build_id) == name), None)
    if entry is None:
        return False
    builder, wanted = request_of(entry)
    return await requests.ask(FORCED + name, builder, wanted | {"rebuild": True}, "forced", priority=FORCED_PRIORITY)
