"""A build whose inputs are mounted, and one whose inputs are sent as to another machine, on the same engine; and the
same by the engine proxy."""

import contextlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from kmodci.cli.output import note, print_table
from kmodci.engine import Engine
from kmodci.errors import KmodciError
from kmodci.lastwords import LastWords
from kmodci.matrix import entry
from kmodci.model import BuildId
from kmodci.products import Job
from kmodci.sandbox import BUNDLE_MOUNT, Inputs, Limits, host_config

from . import cpu
from .place import Place

_FARM = "bench-sent"


def measure(place: Place, *, repeat: int, exclude: tuple[str, ...], cgroup: str) -> None:
    """Prints the table: medians of so many builds each way, in turns, by the engine's API alone: no master."""
    place.choose(1, exclude)
    with place.farm() as (farm, kernels):
        [kernel] = kernels
        module = farm.store.module_version(place.module)
        if module is None:
            raise KmodciError(f"the source of {place.module} has not been read", hint="its repository says why")
        build_id = BuildId(module=place.module, target=kernel.target, release=kernel.release)
        job = farm.job_of(entry(build_id, kernel, farm.recipes), module, is_current=False)
        bundle, headers = farm.supply.headers(kernel)
        host = next(iter(farm.engines))
        farm.supply.images.make(job.entry.toolchain, note, host)
        mounted = replace(farm.engines[host], farm=_FARM, same_machine=True)
        ways = {"mounted": mounted, "sent": replace(mounted, same_machine=False)}
        with tempfile.TemporaryDirectory(dir=farm.paths.scratch) as name:
            files = Path(name)
            files.chmod(0o755)
            for path, called in ((bundle.path, "headers.tar.zst"), (farm.supply.source(module), "source.tar.zst")):
                (files / called).write_bytes(path.read_bytes())
            inputs = Inputs(bundle=farm.bundles.made(), files=files, headers=headers)
            with contextlib.ExitStack() as stack:
                stack.callback(mounted.sweep)
                if proxied := stack.enter_context(_proxy(mounted.docker_host, repeat + 1)):
                    ways["sent, by the engine proxy"] = replace(ways["sent"], docker_host=proxied)
                began = time.monotonic()
                ways["sent"].has_bundle(farm.bundles.made(), job.image)
                note(f"the worker bundle, to a volume: {time.monotonic() - began:.1f} s")
                rows = _turns(ways, job, inputs, farm.limits(place.module), repeat=repeat, cgroup=cgroup)
    columns = ("inputs", "wall s", "CPU s of the container", "CPU s of the machine")
    print_table(columns, rows, right=columns[1:])


@contextlib.contextmanager
def _proxy(engine: str, builds: int) -> Iterator[str]:
    """The address of an engine proxy in front of an engine of this machine; empty for another one.

    builds: how many it is asked for.
    """
    if not engine.startswith("unix://"):
        yield ""
        return
    with tempfile.TemporaryDirectory(prefix="kmodci-proxy-") as folder:
        url = f"unix://{folder}/docker.sock"
        command = [str(Path(sys.executable).with_name("kmodci")), "engine-proxy", "--listen", url, "--engine", engine]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None  # a pipe was asked for
            process.stderr.readline()  # it listens
            before, _ = cpu.process(process.pid)
            try:
                yield url
                after, _ = cpu.process(process.pid)
                note(f"CPU time of the engine proxy: {(after - before) / builds:.3f} s a build")
            finally:
                process.terminate()


def _turns(
    ways: Mapping[str, Engine], job: Job, inputs: Inputs, limits: Limits, *, repeat: int, cgroup: str
) -> list[tuple[str, ...]]:
    found: defaultdict[str, list[tuple[float, float, float]]] = defaultdict(list)
    # the first of each has what is cold, and is not counted
    for turn in range(repeat + 1):
        for name, engine in ways.items():
            before = (time.monotonic(), cpu.containers(cgroup) or 0.0, cpu.machine())
            words = LastWords()
            status = engine.run(
                image=job.image,
                command=[f"{BUNDLE_MOUNT}/build-module"],
                environment=dict(job.environment),
                inputs=inputs,
                host_config=host_config(limits),
                on_output=lambda _: None,
                on_error=words.hear,
                seconds=limits.seconds,
            )
            after = (time.monotonic(), cpu.containers(cgroup) or 0.0, cpu.machine())
            if status != 0:
                raise KmodciError(f"{job.entry.build_id} ended with {status}: {words.line}")
            if turn:
                found[name].append((after[0] - before[0], after[1] - before[1], after[2] - before[2]))
    return [(name, *(f"{statistics.median(each):.2f}" for each in zip(*of, strict=True))) for name, of in found.items()]
