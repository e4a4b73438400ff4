"""How builds of a module stand, for tests of what is decided from that."""

from kmodci.coverage import Standing
from kmodci.matrix import Entry
from kmodci.model import BuildId, Outcome, Status
from support.kernels import kernels

KERNELS = [kernel for kernel in kernels() if kernel.flavour == "amd64"][:6]


def standing(number: int, status: Status, cause: str = "", *, module: str = "loop", finished: float = 50.0) -> Standing:
    kernel = KERNELS[number]
    build_id = BuildId(module=module, target=kernel.target, release=kernel.release)
    outcome = Outcome(
        build_id=build_id,
        key="k",
        status=status,
        cause=cause,
        module_version="1",
        kernel_version="1",
        finished=finished,
        build_url=f"http://b/{number}",
    )
    return Standing(
        entry=Entry(build_id=build_id, kernel=kernel),
        status=status,
        cause=cause,
        outcome=None if status is Status.PENDING else outcome,
    )
