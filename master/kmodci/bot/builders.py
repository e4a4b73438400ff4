"""The steps of each kind of build, in order."""

from buildbot.interfaces import IRenderable
from buildbot.process.buildstep import BuildStep
from buildbot.process.results import FAILURE, SUCCESS
from twisted.internet import reactor, threads

from ..errors import KmodciError
from ..farm import Farm
from ..images import short_name
from ..model import BUILD_ARCH
from .steps import Compile, Headers, Publish, Source, Verify


def build_steps(compiling: IRenderable) -> list[BuildStep]:
    """One module for one kernel. compiling: the locks that a build holds while it compiles."""
    return [Headers(), Source(), Compile(locks=compiling), Verify(), Publish()]


def image_steps(farm: Farm) -> list[BuildStep]:
    """One toolchain image."""
    return [MakeImage(farm=farm)]


class MakeImage(BuildStep):
    """Has the image of the property `toolchain` on a host of the architecture `arch` and in the bucket, whatever that
    takes; and the worker that runs there."""

    name = "image"
    haltOnFailure = True

    def __init__(self, farm: Farm, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.farm = farm

    async def run(self) -> int:
        log = await self.addLog("stdio")

        def line(text: str) -> None:
            reactor.callFromThread(log.addStdout, text + "\n")

        toolchain, arch = self.getProperty("toolchain"), self.getProperty("arch", BUILD_ARCH)
        image = short_name(toolchain, arch)
        try:
            await threads.deferToThread(self.farm.bundles.made, arch)
            tag = await threads.deferToThread(self.farm.supply.images.make, toolchain, line, arch=arch)
        except KmodciError as error:
            await log.addStderr(f"{error}\n")
            await threads.deferToThread(self.farm.planner.note_image_fault, image, error.brief)
            return FAILURE
        await threads.deferToThread(self.farm.planner.note_image_fault, image, "")
        self.descriptionDone = [tag]
        return SUCCESS
