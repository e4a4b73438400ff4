"""`kmodci explain`: why a build is what it is."""

import time
from datetime import UTC, datetime
from pathlib import Path

import click

from ..explanation import SAID_BY, Explanation
from ..explanation import explain as explained
from ..keys import headers_key, log_key
from ..matrix import no_toolchain
from ..model import Outcome
from ..quantities import duration_text
from ..search import find_build
from .options import config_option, json_option, look_option, scope_option
from .output import print_facts, print_json
from .view import end, open_view


@click.command()
@click.argument("build_id")
@config_option
@scope_option
@look_option
@json_option
def explain(build_id: str, config: Path, scope: str, fresh: bool, as_json: bool) -> None:
    """Say why a build is built, failed, skipped, unavailable or pending, and what it is made of.

    \b
    kmodci explain v4l2loopback/debian-bookworm-amd64/6.1.0-56-amd64
    """
    view = open_view(config, scope, fresh=fresh, whole=True)
    known = view.known()
    found = explained(find_build(build_id, known.modules, known.kernels), known)
    bundle, logs = view.bundle(found.kernel), view.settings.retention.logs
    facts = {"build_id": build_id, "status": _status(found), "why": found.why, **_facts(found, bundle, logs)}
    if as_json:
        print_json(facts)
        end(view)
    click.echo(f"{build_id}: {facts.pop('status')}")
    del facts["build_id"]
    print_facts(facts)
    end(view)


def _status(found: Explanation) -> str:
    return found.standing.status if found.standing else "not in the matrix"


def _facts(found: Explanation, bundle: str, logs: int) -> dict[str, object]:
    kernel, module, last = found.kernel, found.module, found.standing.outcome if found.standing else None
    image = found.recipe
    return {
        "kernel": f"{kernel.version}, flavour {kernel.flavour}, {kernel.absence or f'listed by {kernel.repository}'}",
        "headers": "\n".join(f"{package.sha256}  {package.url}" for package in kernel.headers),
        "bundle": headers_key(bundle) if bundle else "not made yet",
        "compiler": f"{kernel.toolchain}, says {SAID_BY[kernel.evidence]}",
        "image": f"{image.tag}\n{image.key}" if image else no_toolchain(kernel),
        "module": f"{module.version} from {module.origin}\n{module.digest}" if module else "its source is not read yet",
        "inputs": found.key or "not known yet",
        **(_last(last, logs) if last else {}),
    }


def _last(last: Outcome, logs: int) -> dict[str, object]:
    when = datetime.fromtimestamp(last.finished, UTC).strftime("%Y-%m-%d %H:%M UTC")
    spent = f"{duration_text(last.seconds)}, of which make took {last.make_seconds:.1f} s of CPU"
    return {
        "last build": f"{last.status} {when}, {last.module_version} for {last.kernel_version}, {spent}",
        "page": last.build_url,
        "manifest": last.manifest,
        "log": _log(last, logs),
    }


def _log(last: Outcome, logs: int) -> str:
    """logs: for how many seconds they are kept."""
    key = log_key(last.manifest) if last.manifest else ""
    if key and last.finished < time.time() - logs:
        return f"{key}\nolder than {duration_text(logs)}: removed, or about to be (retention in kmodci.yml)"
    return key
