"""The force button: for any kernel from any page, and on a kernel's own page for that kernel.

Stock Buildbot answers 200 on a virtual builder's page and makes a request that never runs
(forcesched.py does not look whether the builder is one of its own), and shows no button there.
"""

from collections.abc import Iterable, Sequence

from buildbot.process.properties import Properties
from buildbot.schedulers.forcesched import (
    BooleanParameter,
    ChoiceStringParameter,
    CodebaseParameter,
    CollectedValidationError,
    ForceScheduler,
    IntParameter,
    StringParameter,
)
from buildbot.util.twisted import async_to_deferred
from twisted.internet import defer, threads

from ..errors import KmodciError
from ..farm import Farm
from ..matrix import Entry, Planned, Why
from . import virtual
from .forced import Asked
from .requests import FORCED_PRIORITY
from .schedulers import scheduler_of

MODULE, KERNEL, REF, REBUILD = "module", "kernel", "module_ref", "rebuild"


class _LiveChoice(ChoiceStringParameter):
    """A choice whose list is asked for at each display; other values may be typed."""

    strict = False

    def __init__(self, name: str, farm: Farm, **kwargs: object) -> None:
        self._farm = farm
        super().__init__(name, **kwargs)

    @property
    def choices(self) -> list[str]:
        return self._ask()

    def _ask(self) -> list[str]:
        raise NotImplementedError


class ModuleChoice(_LiveChoice):
    """The modules of the configuration."""

    strict = True

    def _ask(self) -> list[str]:
        return sorted(self._farm.settings.modules)


class KernelChoice(_LiveChoice):
    """The kernels of the store, the newest first."""

    def _ask(self) -> list[str]:
        return list(self._farm.planner.kernel_names)


class _AnyBuilder(list[str]):
    """The real builders to iterate over; `in` knows the virtual ones too."""

    def __init__(self, real: Iterable[str], builders: virtual.VirtualBuilders | None) -> None:
        super().__init__(real)
        self._virtual = builders

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or (self._virtual is not None and name in self._virtual)


class KernelForce(ForceScheduler):
    """Forces one module for one kernel, on that build's own builder."""

    def checkConfig(self, builderNames: Sequence[str], farm: Farm) -> None:
        super().checkConfig(list(builderNames), **_form(farm))

    @async_to_deferred
    async def reconfigService(self, builderNames: Sequence[str], farm: Farm) -> None:
        self.farm = farm
        await super().reconfigService(list(builderNames), **_form(farm))
        builders = self.master.service_manager.namedServices.get(virtual.VirtualBuilders.name)
        self.builderNames = _AnyBuilder(builderNames, builders)

    @async_to_deferred
    async def force(
        self, owner: str, builderNames: object = None, builderid: int | None = None, **kwargs: object
    ) -> Asked:
        """Checks the form, finds the one builder it means, and asks for the build.

        Raises CollectedValidationError, which the form shows beside its fields.
        """
        module, kernel = _word(kwargs, MODULE), _word(kwargs, KERNEL)
        if builderid is not None:
            builder = await self.master.data.get(("builders", str(builderid)))
            if builder and builder["name"].count("/") == 2:
                module, _, kernel = builder["name"].partition("/")
        entry = await threads.deferToThread(
            self._wanted, module, kernel, _word(kwargs, REF), bool(_word(kwargs, REBUILD))
        )
        kwargs.update({MODULE: [module], KERNEL: [str(entry.kernel)]})
        return await super().force(owner, builderNames=[entry.toolchain], **kwargs)

    def _wanted(self, module: str, kernel: str, ref: str, rebuild: bool) -> Entry:
        """What is asked for. In a thread."""
        try:
            entry = self.farm.entry(module, kernel)
        except KmodciError as error:
            raise CollectedValidationError({KERNEL: str(error).replace("\n", " ")}) from error
        if entry.skipped:
            raise CollectedValidationError({KERNEL: f"{entry.build_id} is skipped: {entry.skipped}"})
        try:
            job = self.farm.job(str(entry.build_id), ref)
        except KmodciError as error:
            raise CollectedValidationError({REF if ref else MODULE: str(error).replace("\n", " ")}) from error
        if not rebuild and self.farm.is_built(job):
            raise CollectedValidationError({REBUILD: f"{entry.build_id} is built; tick this to build it again"})
        return entry

    @async_to_deferred
    async def addBuildsetForSourceStampsWithDefaults(
        self, reason: str, properties: Properties, priority: int = 0, **kwargs: object
    ) -> Asked:
        """Called once the whole form has been found to be right, and not before."""
        entry = await threads.deferToThread(self.farm.entry, properties[MODULE], properties[KERNEL])
        for name, value in virtual.properties(entry).items():
            properties.setProperty(name, value, "Force Build Form")

        def ask(request: str | None) -> defer.Deferred[Asked]:
            return super(KernelForce, self).addBuildsetForSourceStampsWithDefaults(
                reason, properties=properties, priority=priority, external_idstring=request, **kwargs
            )

        if properties.getProperty(REF):
            # one of another version than the matrix's is nothing that a run waits for
            return await ask(None)
        job = await threads.deferToThread(self.farm.job, str(entry.build_id))
        planned = Planned(entry=entry, key=job.key, why=Why.FORCED)
        return await scheduler_of(self.master).forced.force(planned, ask)


def _form(farm: Farm) -> dict[str, object]:
    modules = sorted(farm.settings.modules)
    return {
        "buttonName": "Build a kernel's module",
        "label": "Build one module for one kernel",
        "codebases": [CodebaseParameter(codebase="", hide=True)],
        "priority": IntParameter(name="priority", default=FORCED_PRIORITY, hide=True),
        "properties": [
            ModuleChoice(MODULE, farm, label="Module (on a kernel's own page: that page's)", default=modules[0]),
            KernelChoice(KERNEL, farm, label="Kernel release, or target/release (on a kernel's own page: that page's)"),
            StringParameter(
                REF, label="Module version to build instead: a tag, branch or commit (git)", default="", size=40
            ),
            BooleanParameter(REBUILD, label="Rebuild, even if it is built", default=False),
        ],
    }


def _word(form: dict[str, object], name: str) -> str:
    """A field of the form as text: forms come as lists, REST calls as they like."""
    value = form.get(name, "")
    if isinstance(value, list):
        value = value[0] if value else ""
    return "" if value in (None, False) else str(value).strip()
