"""`kmodci build`: one build by hand, or one of a farm's."""

import json
import os
import sys
from pathlib import Path

import click

from ..apiclient import ApiClient
from ..byhand import Result, build_by_hand
from ..errors import BuildImpossible
from ..farm import Farm
from ..keys import headers_key
from ..matrix import Entry, entry
from ..model import ModuleVersion, check_module_version
from ..opening import open_farm
from ..products import Job
from ..tarzst import replacing
from ..where import open_bucket
from .completing import complete_builds
from .demand import Demand, demand
from .interrupts import interruptible
from .opened import remote_of
from .options import (
    Duration,
    config_option,
    insecure_option,
    is_remote,
    json_option,
    look_option,
    server_option,
    token_option,
)
from .output import note, print_json
from .processes import runs_on
from .view import open_view_of


@click.command()
@click.argument("build_id", shell_complete=complete_builds)
@click.option("--follow", is_flag=True, help="With --server: show its log and how far it is until it has ended.")
@click.option("--rebuild", is_flag=True, help="With --server: build it although it is built, or has failed.")
@click.option(
    "--wait",
    type=Duration(),
    metavar="TIME",
    help="With --server: until it has ended, but no longer than that (90s, 10m).",
)
@click.option("--version", default="", metavar="V", help="With --server: of the module [default: the newest].")
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Where the modules go, if it is built here [default: ./<module>-<kernel release>].",
)
@config_option
@look_option
@server_option
@token_option
@insecure_option
@json_option
def build(
    build_id: str,
    follow: bool,
    rebuild: bool,
    wait: float | None,
    version: str,
    output: Path | None,
    config: Path,
    fresh: bool,
    server: str,
    token_file: Path | None,
    insecure: bool,
    as_json: bool,
) -> None:
    """Build one module for one kernel: here, or by a farm.

    With --server, the farm is asked for it: what is built is told at once, and what is not is put before all that is
    queued. The token is one that may build. With --follow, the log goes to stdout. Ctrl-C leaves the build to the farm.

    Without, it is built on this terminal: the same image, inputs, container and checks as the farm's. Needs a Docker
    engine, and no running farm. The kernel may be one of any scope. What is built is written to a folder, with its
    facts; nothing is published.

    Exit status: 0 built, or to be built where nobody waits for it; 1 not built; 2 no such module or kernel, or the farm
    refuses; 3 the farm does not answer, or --wait is over; 130 Ctrl-C.

    \b
    kmodci build v4l2loopback/debian-bookworm-amd64/6.1.0-56-amd64
    kmodci build scap/debian-sid-arm64/7.2.13+deb14-arm64 --output /tmp/scap
    kmodci build scap/debian-sid-arm64/7.2.13+deb14-arm64 --server https://farm.example.com/ --token-file t --follow
    """
    if is_remote():
        at, token = remote_of(server, token_file, insecure)
        demand(
            Demand(
                client=ApiClient(at, token=token, say=note),
                build_id=build_id,
                version=check_module_version(version) if version else "",
                rebuild=rebuild,
                follow=follow,
                wait=wait,
                as_json=as_json,
            )
        )
    _build_here(build_id, output, config, fresh=fresh, as_json=as_json)


def _build_here(build_id: str, output: Path | None, config: Path, *, fresh: bool, as_json: bool) -> None:
    view, wanted = open_view_of(config, build_id, fresh=fresh)
    farm = open_farm(config)
    if runs_on(farm.paths.state):
        note(f"a farm runs here: --server {farm.settings.web.address} asks it to build this, and it publishes it")
    module = view.store.module_version(wanted.module)
    if module is None:
        fault = next(iter(view.faults.values()), "its repository does not list it")
        raise BuildImpossible(f"the source of {wanted.module} cannot be found: {fault}")
    kernel = view.store.kernels()[f"{wanted.target}/{wanted.release}"]
    # what was read with an index that was looked at just now
    farm.store.put_contents(view.store.contents(kernel))
    job, result = _build(farm, entry(wanted, kernel, farm.recipes), module)
    folder = output or Path(f"{wanted.module}-{wanted.release}")
    facts = _facts(job, result)
    for artifact in result.artifacts:
        _write(folder / artifact.name, artifact.content)
    _write(folder / "facts.json", (json.dumps(facts, indent=1) + "\n").encode())
    if as_json:
        print_json({"folder": str(folder), **facts})
    else:
        for artifact in result.artifacts:
            click.echo(folder / artifact.name)


def _build(farm: Farm, wanted: Entry, module: ModuleVersion) -> tuple[Job, Result]:
    # a name of its own for its containers: a farm that starts or stops meanwhile leaves them alone, we end only them
    engines = farm.engines.labelled(f"{farm.paths.farm_id()}-by-hand-{os.getpid()}")
    farm.supply.images.engines = engines
    kernel = wanted.kernel
    labels, fitting = farm.settings.labels_of(module.module), farm.planner.fitting(kernel)
    host = engines.first(arch=kernel.target.arch, labels=labels, among=fitting)
    job = farm.job_of(wanted, module, is_current=False, runs_on=engines.hosts[host].arch)
    with interruptible(), open_bucket(farm.settings):
        try:
            result = build_by_hand(
                job,
                as_learned=farm.job_as_learned,
                supply=farm.supply,
                engine=engines[host],
                host=host,
                paths=farm.paths,
                bundle=farm.bundles.made(job.runs_on),
                limits=farm.limits(job.module.module),
                say=note,
                output=_pass_on,
            )
            return job, result
        finally:
            engines.sweep()


def _pass_on(data: bytes) -> None:
    sys.stderr.buffer.write(data)
    sys.stderr.buffer.flush()


def _facts(job: Job, result: Result) -> dict[str, object]:
    kernel, module = job.entry.kernel, job.module
    return {
        "build_id": str(job.entry.build_id),
        "module_version": module.version,
        "origin": module.origin,
        "source": module.digest,
        "kernel_version": kernel.version,
        "headers": headers_key(result.headers.sha256),
        "image": job.image,
        "compiler": result.facts.compiler,
        "inputs": job.key,
        "make": result.facts.make.model_dump(),
        "files": [
            {
                "name": artifact.name,
                "sha256": artifact.sha256,
                "size": len(artifact.content),
                "module": artifact.facts.name,
                "vermagic": artifact.facts.vermagic,
                "depends": artifact.facts.depends,
            }
            for artifact in result.artifacts
        ],
    }


def _write(path: Path, content: bytes) -> None:
    with replacing(path) as file:
        file.write(content)
