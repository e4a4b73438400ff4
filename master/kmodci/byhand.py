"""One build without a master: the same image, inputs, sandbox and judgement, on this terminal."""

import io
import os
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .engine import Engine
from .errors import BuildImpossible, VerifyError
from .facts import Facts, read_facts
from .lastwords import LastWords
from .manifest import Artifact
from .paths import Paths
from .products import Job, judge
from .sandbox import BUNDLE_MOUNT, Inputs, Limits, host_config
from .supply import Bundle, Supply

_OUTPUT_LIMIT = 512 << 20
# 128 + SIGKILL
_KILLED = 137
# what the build says goes to one stream, what it made comes back on the other: its tmpfs ends with it
_SCRIPT = f"{BUNDLE_MOUNT}/build-module >&2 || exit $?; tar -C /build/out -cf - ."


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a build by hand made."""

    artifacts: tuple[Artifact, ...]
    facts: Facts
    headers: Bundle


def build_by_hand(
    job: Job,
    *,
    as_learned: Callable[[Job], Job],
    supply: Supply,
    engine: Engine,
    host: str,
    paths: Paths,
    bundle: Path,
    limits: Limits,
    say: Callable[[str], None],
    output: Callable[[bytes], None],
) -> Result:
    """Builds, and publishes nothing.

    as_learned: `Farm.job_as_learned`; engine: of the host of that name; bundle: the worker bundle; say: progress;
    output: the build's own words.

    Raises BuildImpossible when it fails, VerifyError when what it made must not be published.
    """
    say("headers")
    headers, folders = supply.headers(job.entry.kernel, job.runs_on)
    job = as_learned(job)
    say(f"image {job.image}")
    supply.images.make(job.entry.toolchain, say, host)
    say(f"source {job.module.origin}")
    source = supply.source(job.module)
    worker = f"by-hand-{os.getpid()}"
    try:
        paths.empty_inputs(worker)
        paths.put_input(worker, headers.path, "headers.tar.zst")
        paths.put_input(worker, source, "source.tar.zst")
        inputs = Inputs(bundle=bundle, files=paths.inputs(worker), headers=folders)
        made = _run(job, engine=engine, inputs=inputs, limits=limits, output=output)
    finally:
        paths.drop_inputs(worker)
    files = _files(made)
    facts = read_facts(files.get("facts.json", b""))
    lacking = [name for name in facts.artifacts if name not in files]
    if lacking:
        raise VerifyError([f"{name} was promised but not written" for name in lacking])
    artifacts = judge(job, headers, {name: files[name] for name in facts.artifacts})
    return Result(artifacts=artifacts, facts=facts, headers=headers)


def _run(job: Job, *, engine: Engine, inputs: Inputs, limits: Limits, output: Callable[[bytes], None]) -> io.BytesIO:
    """The container. Returns the archive of what it wrote."""
    made, words = io.BytesIO(), LastWords(output)

    def keep(data: bytes) -> None:
        if made.tell() + len(data) > _OUTPUT_LIMIT:
            raise VerifyError([f"the build wrote more than {_OUTPUT_LIMIT >> 20} MiB"])
        made.write(data)

    heard = 0

    def hear(data: bytes) -> None:
        nonlocal heard
        heard += len(data)
        if heard > limits.output:
            limit = f"the limit of {limits.output >> 10} KiB"
            raise BuildImpossible(f"{job.entry.build_id}: stopped: its log is longer than {limit}")
        words.hear(data)

    status = engine.run(
        image=job.image,
        command=["/bin/sh", "-c", _SCRIPT],
        environment=dict(job.environment),
        inputs=inputs,
        host_config=host_config(limits),
        on_output=keep,
        on_error=hear,
        seconds=limits.seconds,
    )
    if status == 0:
        made.seek(0)
        return made
    if status is None:
        cause = f"stopped by its limit: {limits.seconds} s of time"
    elif status == _KILLED:
        cause = f"killed, as a rule for memory: the limit is {limits.memory >> 20} MiB"
    else:
        cause = words.line or f"ended with status {status} and no error line"
    raise BuildImpossible(f"{job.entry.build_id}: {cause}")


def _files(archive: io.BytesIO) -> dict[str, bytes]:
    """The plain files at the top of what the container sent. Raises VerifyError when it is no archive."""
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=archive, mode="r:") as tar:
            for member in tar:
                # a sparse one may be said to be larger than any memory
                file = tar.extractfile(member) if member.isreg() and not member.issparse() else None
                if file is not None:
                    found[member.name.removeprefix("./")] = file.read()
    except tarfile.TarError as error:
        raise VerifyError([f"what the build sent is no archive: {error}"]) from error
    return found
