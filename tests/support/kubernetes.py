"""Kubernetes' own programs, compiled once from the source that Debian has, and kept for later runs.

They come as programs from nowhere that a machine without a registry reaches; Debian's `kubernetes-client` is kubectl
alone. The Go that they are compiled with is Debian's too, and is not installed.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from kmodci.fetch import Fetcher
from support.realkernels import CACHE, mirror, newest_package

VERSION = "1.20.2"
PROGRAMS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet")
# that of Debian 12, which has no later one
_SOURCE = "pool/main/k/kubernetes/kubernetes_1.20.5+really1.20.2.orig.tar.gz"
_SIZE, _SHA256 = 34_428_927, "b83c0780efb182d928dc63d46488a847f161f04e40a94b96bf5247dd671ecdfc"
# the one that it compiles with
_GO = "1.19"
# without what talks to clouds and to Docker: a third of it
_TAGS = "providerless,dockerless"
# what they say of themselves stands in two packages; see hack/lib/version.sh there
_SAID = {"gitVersion": f"v{VERSION}", "gitMajor": VERSION.split(".")[0], "gitMinor": VERSION.split(".")[1]}
_LINKED = "-s -w" + "".join(
    f" -X k8s.io/kubernetes/vendor/k8s.io/{package}.{name}={value}"
    for package in ("client-go/pkg/version", "component-base/version")
    for name, value in _SAID.items()
)
_PAUSE = """package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGINT, syscall.SIGTERM)
	<-ended
}
"""
_KEY = hashlib.sha256(repr((_SHA256, _GO, _TAGS, _LINKED, PROGRAMS, _PAUSE)).encode()).hexdigest()[:12]
_KEPT = CACHE / f"kubernetes-{VERSION}-{_KEY}"


def compiled() -> bool:
    """Whether `programs` has nothing to do."""
    return _KEPT.exists()


def programs() -> Path:
    """The folder of `PROGRAMS`, and of `pause`, which waits; the first time in some minutes."""
    if compiled():
        return _KEPT
    CACHE.mkdir(parents=True, exist_ok=True)
    work = CACHE / "kubernetes.building"
    with (CACHE / "kubernetes.lock").open("w") as lock:
        # another run of the tests may be at it
        fcntl.flock(lock, fcntl.LOCK_EX)
        # left by a run that was killed
        shutil.rmtree(work, ignore_errors=True)
        if not compiled():
            try:
                work.mkdir()
                _compile(work)
                (work / "bin").rename(_KEPT)
            finally:
                shutil.rmtree(work)
    return _KEPT


def _compile(work: Path) -> None:
    """Puts the programs into bin/ of an empty folder."""
    source, pause = work / "go" / "src" / "k8s.io" / "kubernetes", work / "pause.go"
    source.mkdir(parents=True)
    archive = work / "source.tar.gz"
    Fetcher().download(f"{mirror('bookworm')}/{_SOURCE}", archive, size=_SIZE, sha256=_SHA256)
    subprocess.run(["tar", "-C", source, "-xzf", archive, "--strip-components=1"], check=True)
    pause.write_text(_PAUSE)
    go = _Go(work)
    _generate(source, go)
    target, commands = f"{work}/bin/", [f"./cmd/{each}" for each in PROGRAMS]
    go.run("build", "-tags", _TAGS, "-ldflags", _LINKED, "-o", target, *commands, at=source)
    go.run("build", "-ldflags", "-s -w", "-o", target, str(pause), at=work)


_GO_PACKAGES = (("go", "amd64"), ("src", "all"))


class _Go:
    """Debian's packages of it, unpacked."""

    def __init__(self, work: Path) -> None:
        for package in (newest_package("bookworm", f"golang-{_GO}-{part}", arch) for part, arch in _GO_PACKAGES):
            subprocess.run(["dpkg-deb", "--extract", package, work / "root"], check=True)
        root = work / "root" / "usr" / "lib" / f"go-{_GO}"
        self._program = str(root / "bin" / "go")
        self._env = {
            "PATH": os.environ["PATH"],
            "GOROOT": str(root),
            "GOPATH": str(work / "go"),
            "GOCACHE": str(work / "cache"),
            "GOTMPDIR": str(work),
            "GO111MODULE": "off",
            "GOPROXY": "off",
            "GOFLAGS": "-trimpath",
            "CGO_ENABLED": "0",
        }

    def run(self, *arguments: str, at: Path) -> None:
        """`go ARGUMENT...` in a folder."""
        command = [self._program, *arguments]
        done = subprocess.run(command, cwd=at, env=self._env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{' '.join(command)}: {done.stderr[-5000:]}"


def _generate(source: Path, go: _Go) -> None:
    """Writes the one generated file that the source lacks: what its makefile does as `gen_openapi`."""
    name, header = "k8s.io/kubernetes/pkg/generated/openapi", "hack/boilerplate/boilerplate.generatego.txt"
    go.run(
        "run", "./vendor/k8s.io/kube-openapi/cmd/openapi-gen",
        "--input-dirs", ",".join(sorted(set(_described(source)))), "--output-base", str(source.parents[1]),
        "--output-package", name, "--output-file-base", "zz_generated.openapi",
        "--go-header-file", header, "--report-filename", str(source / "report"), at=source,
    )  # fmt: skip


def _described(source: Path) -> Iterator[str]:
    """The packages whose types the API server describes."""
    marked = re.compile(rb"^// *\+k8s:openapi-gen=", re.MULTILINE)
    for folder in ("pkg", "plugin", "staging/src/k8s.io"):
        for path in (source / folder).rglob("*.go"):
            name = path.relative_to(source).parent.as_posix()
            other = re.search("sample-|code-generator|/testdata/|_test.go|zz_generated", str(path.relative_to(source)))
            if not other and marked.search(path.read_bytes()):
                yield name.removeprefix("staging/src/") if name.startswith("staging") else f"k8s.io/kubernetes/{name}"
