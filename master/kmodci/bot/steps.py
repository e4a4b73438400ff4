"""What a build does, on one screen: headers, source, build, verify, publish.

Everything but `build` runs on the master, in a thread: the container has no network and no secret.
"""

import time
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from buildbot.process.buildstep import CommandMixin
from buildbot.process.logobserver import LogLineObserver
from buildbot.process.remotetransfer import FileWriter
from buildbot.process.results import CANCELLED, EXCEPTION, FAILURE, SKIPPED, SUCCESS
from twisted.internet import threads

from ..errors import BuildImpossible, EngineError, Gone, HeadersUnusable, KmodciError, VerifyError
from ..facts import Facts, read_facts
from ..manifest import entry_of
from ..model import Status
from ..products import Job, built, judge
from ..sandbox import BUNDLE_MOUNT, Limits
from .build import KernelBuild
from .command import BoundedCommand, Upload
from .events import CHANGED
from .patience import PatientStep
from .site import run_address

HOME, OUT = "/build", "/build/out"
_FACTS_LIMIT = 1 << 20
_ARTIFACTS_LIMIT = 256 << 20
EXCLUDED, NOTHING_PRODUCED = 3, 4


class KernelStep(PatientStep):
    """A step that knows its build's job, and says in words how it went."""

    haltOnFailure = True
    build: KernelBuild

    @property
    def job(self) -> Job:
        assert self.build.job is not None  # else the build would have ended before its first step
        return self.build.job

    async def run(self) -> int:
        """Does the work. A fault of the farm (mirror, bucket, engine) is told, and tried again by the build."""
        try:
            return await self.work()
        except KmodciError as error:
            if self.stopped:
                return CANCELLED
            await self.write("fault", str(error))
            self.say(error.brief.splitlines()[0][:120])
            self.build.fault = error.brief
            return EXCEPTION

    async def work(self) -> int:
        """Returns the step's result. A KmodciError that it raises is a fault of the farm."""
        raise NotImplementedError

    def say(self, text: str) -> None:
        self.descriptionDone = [text]

    async def write(self, name: str, text: str) -> None:
        log = await self.addLog(name)
        await log.addStdout(text if text.endswith("\n") else text + "\n")

    async def end(self, status: Status, cause: str) -> int:
        """Ends the build here, with a cause for the log, the page and the store."""
        if self.stopped:
            # what was running was stopped with the build, so its failure says nothing of the module
            return CANCELLED
        await self.write("why", f"{self.build.build_id}: {status}: {cause}")
        self.say(f"{status}: {cause.splitlines()[0][:120]}")
        await self.build.conclude(status, cause)
        return FAILURE if status is Status.FAILED else SKIPPED


class Headers(KernelStep):
    """The kernel's header bundle, in the build's inputs."""

    name = "headers"

    async def work(self) -> int:
        job, farm = self.job, self.build.farm
        if run := await threads.deferToThread(farm.runs.waiting_for, job.entry.build_id):
            await self.addURL(f"run {run}", run_address(self.master, run))
        if not await self.build.is_asked_again() and await threads.deferToThread(farm.is_built, job):
            await self.build.done_before()
            self.say("already built from the same inputs")
            return SKIPPED
        try:
            supply = partial(farm.supply.bundle, job.entry.kernel, job.runs_on)
            bundle = await self.insist(supply, farm.bucket.ensure, "no headers yet")
        except Gone as error:
            return await self.end(Status.UNAVAILABLE, f"header package gone: {error.url}")
        except HeadersUnusable as error:
            return await self.end(Status.FAILED, error.brief)
        try:
            again = await threads.deferToThread(farm.job_as_learned, job)
        except BuildImpossible as error:
            return self._leave(f"skipped: {error.brief}")
        if again.image != job.image:
            return await self._another_container(again)
        self.build.job = again
        self.build.bundle = bundle
        self.say(f"headers {bundle.sha256[:12]}")
        return SUCCESS

    async def _another_container(self, again: Job) -> int:
        """The headers named another compiler than was assumed, when this container had been started or was about to."""
        says = f"the headers name {again.entry.kernel.toolchain}"
        if again.is_current:
            return self._leave(f"{says}: built with {again.entry.toolchain} instead")
        # nobody but who forced it asks for another version
        await threads.deferToThread(self.build.farm.make_image, again.entry.toolchain, self.build.host)
        raise EngineError(f"{says}, and this container has {self.job.entry.toolchain}")

    def _leave(self, says: str) -> int:
        """To the next plan, which knows what the headers have told."""
        self.build.nothing_to_do()
        self.say(says)
        self.master.mq.produce(CHANGED, {"kernel": str(self.job.entry.kernel)})
        return SKIPPED


class Source(KernelStep):
    """The module's source, in the build's inputs."""

    name = "source"

    async def work(self) -> int:
        job, farm = self.job, self.build.farm
        try:
            path = await threads.deferToThread(farm.supply.source, job.module)
        except Gone as error:
            return await self.end(Status.UNAVAILABLE, f"module source gone: {error.url}")
        await self.build.put_inputs({"headers.tar.zst": self.build.bundle.path, "source.tar.zst": path}, self)
        self.say(f"{job.module.module} {job.module.version}")
        # one log for all inputs: a log costs the master as much as half a step
        packages = "\n".join(f"{p.sha256}  {p.url}" for p in job.kernel.headers)
        bundle = f"headers/{self.build.bundle.sha256}.tar.zst, made from\n{packages}"
        await self.write("inputs", f"{job.module.origin}\ndigest {job.module.digest}\n\n{bundle}")
        return SUCCESS


class _LastError(LogLineObserver):
    """Keeps what `build-module` says at its end: its last line that begins with `error: ` or `excluded: `."""

    text = ""

    def outLineReceived(self, line: str) -> None:
        word, colon, rest = line.partition(": ")
        if colon and word in ("error", "excluded"):
            self.text = rest.strip()

    errLineReceived = outLineReceived


class Compile(KernelStep):
    """Runs the container's `build-module`: unpack, compile, strip, note facts."""

    name = "build"

    def __init__(self, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.observer = _LastError()
        self.addLogObserver("stdio", self.observer)

    async def work(self) -> int:
        job, limits = self.job, self.build.farm.limits(self.job.entry.build_id.module)
        command = BoundedCommand(
            workdir=HOME,
            command=[f"{BUNDLE_MOUNT}/build-module"],
            env=dict(job.environment),
            logEnviron=False,
            timeout=None,
            seconds=limits.seconds,
            output=limits.output,
        )
        log = await self.addLog("stdio")
        command.useLog(log, False)
        await self.runCommand(command)
        await log.addHeader(f"\nto build this by hand: kmodci build {self.build.build_id}\n")
        if command.rc == EXCLUDED:
            return await self.end(Status.SKIPPED, self.observer.text or "excluded by its dkms.conf")
        if command.results() != SUCCESS:
            return await self.end(Status.FAILED, self._cause(command, limits))
        return SUCCESS

    def _cause(self, command: BoundedCommand, limits: Limits) -> str:
        if command.is_too_long:
            return f"stopped: its log is longer than the limit of {limits.output >> 10} KiB"
        if command.remote_failure_reason == "timeout":
            return f"stopped after {limits.seconds} s, the limit of its time"
        if self.observer.text:
            return self.observer.text
        if command.rc == NOTHING_PRODUCED:
            return "the build produced no module"
        if command.rc == -1:
            # by a signal that nobody here has sent; a build can also do this to itself
            return f"killed for memory, most likely: the limit is {limits.memory >> 20} MiB"
        return f"the build ended with status {command.rc} and no error line"


class Verify(CommandMixin, KernelStep):
    """Fetches what was built, and judges it by itself: the container is not trusted."""

    name = "verify"

    async def work(self) -> int:
        with TemporaryDirectory(prefix="verify-", dir=self.build.farm.paths.scratch) as name:
            folder = Path(name)
            try:
                self.build.facts = facts = await self._collect(folder)
                files = {each: await threads.deferToThread((folder / each).read_bytes) for each in facts.artifacts}
                artifacts = await threads.deferToThread(judge, self.job, self.build.bundle, files)
            except VerifyError as error:
                await self.write("problems", "\n".join(error.problems))
                return await self.end(Status.FAILED, f"not publishable: {error.brief}")
        self.build.artifacts = artifacts
        symbols, crcs = (sum(getattr(a.facts, name) for a in artifacts) for name in ("undefined", "checked"))
        checked = f"{symbols} symbols, {crcs} CRCs" if self.job.entry.kernel.has_symvers else "symbols not checked"
        self.say(f"verified {', '.join(a.name for a in artifacts)}: {checked}")
        return SUCCESS

    async def _collect(self, folder: Path) -> Facts:
        await self._upload("facts.json", folder, _FACTS_LIMIT)
        facts = read_facts((folder / "facts.json").read_bytes())
        left = _ARTIFACTS_LIMIT
        for name in facts.artifacts:
            # all of them together: a file without anything in it takes no room in a container, and takes it here
            left -= await self._upload(name, folder, left)
        return facts

    async def _upload(self, name: str, folder: Path, limit: int) -> int:
        """Returns how many bytes it has."""
        writer = FileWriter(str(folder / name), limit, None)
        arguments = {
            "workdir": OUT,
            "workersrc": f"{OUT}/{name}",
            "writer": writer,
            "maxsize": limit,
            "blocksize": 256 * 1024,
            "keepstamp": False,
        }
        command = Upload("uploadFile", arguments, decodeRC={None: SUCCESS, 0: SUCCESS})
        await self.runCommand(command)
        if command.didFail():
            writer.cancel()
            why = f"is no plain file, or with the others larger than {_ARTIFACTS_LIMIT >> 20} MiB"
            raise VerifyError([f"{name} was promised but {why}"])
        return (folder / name).stat().st_size


class Publish(KernelStep):
    """Puts module, log and manifest into the bucket, then the index; then the build is built."""

    name = "publish"

    async def work(self) -> int:
        build = self.build
        assert build.facts is not None  # `verify` came before
        made = built(
            self.job,
            build.bundle,
            build.artifacts,
            build.facts,
            log=await self._log_text(),
            url=await build.getUrl(),
            started=build.began,
            finished=time.time(),
        )
        publish = partial(build.farm.publisher.publish, made)
        manifest = await self.insist(publish, build.farm.bucket.ensure, "built, not uploaded")
        key = entry_of(manifest).manifest
        await build.conclude(Status.BUILT, manifest=key)
        self.say("published")
        await self.write("manifest", key + "\n" + manifest.model_dump_json(indent=1))
        return SUCCESS

    async def _log_text(self) -> str:
        compile_step = next(step for step in self.build.executedSteps if step.name == "build")
        stdio = compile_step.getLog("stdio")
        # every line is stored with its stream as the first character (h, o, e)
        chunk = await self.master.data.get(("logs", stdio.logid, "contents"))
        return "\n".join(line[1:] for line in chunk["content"].splitlines())
