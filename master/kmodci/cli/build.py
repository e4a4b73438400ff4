"""`kmodci build`: one build by hand."""

import json
import os
import sys
from pathlib import Path

import click

from ..byhand import Result, build_by_hand
from ..errors import BuildImpossible
from ..farm import Farm
from ..keys import headers_key
from ..matrix import entry
from ..opening import open_farm
from ..products import Job
from ..tarzst import replacing
from ..where import open_bucket
from .interrupts import interruptible
from .options import config_option, json_option, look_option
from .output import note, print_json
from .view import open_view_of


@click.command()
@click.argument("build_id")
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Where the modules go [default: ./<module>-<kernel release>].",
)
@config_option
@look_option
@json_option
def build(build_id: str, output: Path | None, config: Path, fresh: bool, as_json: bool) -> None:
    """Build one module for one kernel on this terminal: the same image, inputs, container and checks as the farm's.

    Needs a Docker engine, and no running farm. The kernel may be one of any scope. What is built is written to a
    folder, with its facts; nothing is published.

    \b
    kmodci build v4l2loopback/debian-bookworm-amd64/6.1.0-56-amd64
    kmodci build scap/debian-sid-arm64/7.2.13+deb14-arm64 --output /tmp/scap
    """
    view, wanted = open_view_of(config, build_id, fresh=fresh)
    farm = open_farm(config)
    module = view.store.module_version(wanted.module)
    if module is None:
        fault = next(iter(view.faults.values()), "its repository does not list it")
        raise BuildImpossible(f"the source of {wanted.module} cannot be found: {fault}")
    kernel = view.store.kernels()[f"{wanted.target}/{wanted.release}"]
    job = farm.job_of(entry(wanted, kernel, farm.recipes), module, is_current=False)
    # what was read with an index that was looked at just now
    farm.store.put_contents(view.store.contents(kernel))
    result = _build(farm, job)
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


def _build(farm: Farm, job: Job) -> Result:
    # a name of its own for its containers: a farm that starts or stops meanwhile leaves them alone, we end only them
    engines = farm.engines.labelled(f"{farm.paths.farm_id()}-by-hand-{os.getpid()}")
    farm.supply.engines = engines
    host = engines.first(arch=job.entry.kernel.target.arch, labels=farm.labels(job.module.module))
    with interruptible(), open_bucket(farm.settings):
        try:
            return build_by_hand(
                job,
                as_learned=farm.job_as_learned,
                supply=farm.supply,
                engine=engines[host],
                host=host,
                paths=farm.paths,
                bundle=farm.worker_bundle,
                limits=farm.limits(job.module.module),
                say=note,
                output=_pass_on,
            )
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
