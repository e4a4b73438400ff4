"""Header bundles made in a process of their own: seconds of decompression and compression are not for the master's."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from .distros import layout_of
from .errors import BuildImpossible, HeadersUnusable
from .headers import UNUSABLE, request
from .hosttools import HostTools
from .model import Kernel, Package


def pack_headers(kernel: Kernel, packages: Sequence[tuple[Package, Path]], target: Path, *, pieces: Path) -> HostTools:
    """See `headers.make_bundle`. Raises HeadersUnusable, and BuildImpossible where it is not the packages' fault.

    Nor is it theirs where nothing says that they are the ones that are meant: an error page looks like any other file.
    """
    done = subprocess.run(
        [sys.executable, "-m", "kmodci.headers"],
        input=request(packages, target, layout=layout_of(kernel), release=kernel.release, pieces=pieces),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        is_theirs = done.returncode == UNUSABLE and all(package.sha256 for package, _ in packages)
        error = HeadersUnusable if is_theirs else BuildImpossible
        raise error(f"the header packages of {kernel} cannot be used: {done.stderr.strip()[-500:]}")
    return HostTools.from_json(json.loads(done.stdout)["tools"])
