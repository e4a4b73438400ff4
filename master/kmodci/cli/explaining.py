"""What a build is made of, and where what came of it is, in words: from a farm's files, or from its own answer."""

import time
from datetime import UTC, datetime

from ..board import RUNNING
from ..explanation import SAID_BY, Explanation
from ..keys import headers_key, log_key
from ..matrix import no_toolchain
from ..model import Outcome, Status
from ..ondemand import OUTSIDE
from ..quantities import duration_text
from ..told import BuildTold
from .answers import Explained


def facts_of(found: Explanation, bundle: str, logs: int) -> dict[str, str]:
    """As the files of a farm tell. bundle: SHA256, or empty; logs: for how many seconds they are kept."""
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


def explained_by(told: BuildTold) -> Explained:
    """As a farm answers."""
    return Explained(
        build_id=told.build_id,
        status="not in the matrix" if told.status == OUTSIDE else told.status,
        why=told.reason or _why(told),
        facts={
            "kernel": told.kernel_version,
            "compiler": compiler_text(told),
            "module": told.version,
            "last build": _clock(told.finished) if told.finished is not None else "",
            "page": told.build_url or told.page_url,
            "manifest": told.manifest or "",
            "log": told.log_url or "",
            "files": "\n".join(f"{file.sha256}  {file.url}" for file in told.files),
        },
    )


def compiler_text(told: BuildTold) -> str:
    """The compiler that a build was, or will be made with."""
    if not told.toolchain:
        return ""
    return f"{told.toolchain}, which is not the kernel's own" if told.exact is False else told.toolchain


def _why(told: BuildTold) -> str:
    if told.status == RUNNING:
        return "being built"
    if told.is_coming:
        return f"to be built, number {told.place} in the queue" if told.place else "to be built"
    return "verified and published" if told.status == Status.BUILT else ""


def _last(last: Outcome, logs: int) -> dict[str, str]:
    how = f"{last.status} {_clock(last.finished)}, {last.module_version} for {last.kernel_version}"
    spent = f"{duration_text(last.seconds)}, of which make took {last.make_seconds:.1f} s of CPU"
    return {
        "last build": f"{how}, {spent}",
        "page": last.build_url,
        "manifest": last.manifest,
        "log": _log(last, logs),
    }


def _clock(when: float) -> str:
    return f"{datetime.fromtimestamp(when, UTC):%Y-%m-%d %H:%M} UTC"


def _log(last: Outcome, logs: int) -> str:
    key = log_key(last.manifest) if last.manifest else ""
    if key and last.finished < time.time() - logs:
        return f"{key}\nolder than {duration_text(logs)}: removed, or about to be (retention in kmodci.yml)"
    return key
