"""What is written of a published build, as people and nodes read it."""

import re
from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints

from .errors import VerifyError
from .keys import LOG, MANIFEST, build_prefix, headers_key, index_key, latest_key
from .model import BUILD_ARCH, Evidence, Kernel, ModuleVersion, PackageKind, Target
from .verify import ModuleFacts

_FILE = re.compile(r"[A-Za-z0-9_-]{1,64}\.ko(\.(xz|zst|gz))?")


class Record(BaseModel):
    """An object in the bucket, as JSON."""

    # what a newer version of kmodci added must not keep an older one from reading
    model_config = ConfigDict(frozen=True, extra="ignore")


class PublishedFile(Record):
    """A module in the bucket."""

    name: Annotated[str, StringConstraints(pattern=f"^{_FILE.pattern}$")]
    """with the suffix of its compression; becomes a path where it is fetched to"""
    key: str
    sha256: str
    size: int
    """bytes, as stored"""
    module: str
    """what the kernel calls it once loaded"""
    vermagic: str
    depends: tuple[str, ...]
    srcversion: str


class HeaderPackage(Record):
    """A header package that the build used, or what stood for one."""

    name: str
    version: str
    arch: str
    sha256: str
    """empty where nothing but its place names it"""
    url: str = ""
    kind: PackageKind = PackageKind.PACKAGE

    @property
    def identity(self) -> str:
        """As `model.Package.identity`."""
        return self.sha256 or self.url


class Manifest(Record):
    """All that is known of one published build, beside its files."""

    format: int = 1
    build_id: str
    module: str
    version: str
    origin: str
    """where the source is from"""
    source: str
    """digest of the source"""
    distro: str
    series: str
    arch: str
    release: str
    kernel_version: str
    flavour: str
    packages: tuple[HeaderPackage, ...]
    headers: str
    """the header bundle's key"""
    symbols_checked: bool = True
    """whether all symbols that the modules need are known to be the kernel's: not without its Module.symvers"""
    toolchain: str
    """that it was built with"""
    kernel_toolchain: str = ""
    """that the kernel was built with, as far as is known"""
    evidence: str = Evidence.PACKAGE
    """what says so (`model.Evidence`)"""
    exact: bool = True
    """whether these are the same, and the kernel's is known from the kernel itself"""
    image: str
    """the toolchain image's recipe digest"""
    runs_on: str = BUILD_ARCH
    """the architecture of the machine that it was built on"""
    compiler: str
    """as the compiler calls itself"""
    inputs: str
    """names all that went into the build (model.input_key)"""
    by_hand: bool = False
    """whether somebody asked for a version that the module's source was not at"""
    files: tuple[PublishedFile, ...]
    log: str
    """the build log's key; it may have been removed, see `retention`"""
    build_url: str
    started: float
    """seconds since the epoch"""
    finished: float
    make_seconds: float
    """CPU time of the bare make"""


class IndexEntry(Record):
    """What a node needs to know of one kernel release: the objects `index/.../<release>.json` and `latest/...`."""

    format: int = 1
    module: str
    version: str
    distro: str
    series: str
    arch: str
    release: str
    kernel_version: str
    files: tuple[PublishedFile, ...]
    manifest: str

    @property
    def key(self) -> str:
        """Where it is. Raises BadName."""
        return index_key(self.module, self.version, self._target, self.release)

    @property
    def latest_key(self) -> str:
        """Where it is as well while no later build has taken its place. Raises BadName."""
        return latest_key(self.module, self._target, self.release)

    @property
    def _target(self) -> Target:
        return Target(distro=self.distro, series=self.series, arch=self.arch)


class VersionIndex(Record):
    """Every kernel that one version of a module was built for: the object `index/<module>/<version>.json`."""

    format: int = 1
    module: str
    version: str
    kernels: tuple[IndexEntry, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """A verified module, compressed as it will be stored."""

    facts: ModuleFacts
    name: str
    content: bytes
    sha256: str
    """of content"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """A build that passed `verify`, with all that its manifest tells."""

    kernel: Kernel
    module: ModuleVersion
    artifacts: tuple[Artifact, ...]
    log: bytes
    headers_sha256: str
    toolchain: str
    exact: bool
    image: str
    runs_on: str = BUILD_ARCH
    compiler: str
    inputs: str
    by_hand: bool = False
    build_url: str
    started: float
    finished: float
    make_seconds: float


def manifest_of(built: Built) -> Manifest:
    """What will be written of a build. Raises VerifyError, BadName."""
    kernel, module = built.kernel, built.module
    prefix = build_prefix(module.module, module.version, kernel)
    if not built.artifacts:
        raise VerifyError(["the build wrote no module"])
    return Manifest(
        build_id=f"{module.module}/{kernel.target}/{kernel.release}",
        module=module.module,
        version=module.version,
        origin=module.origin,
        source=module.digest,
        distro=kernel.target.distro,
        series=kernel.target.series,
        arch=kernel.target.arch,
        release=kernel.release,
        kernel_version=kernel.version,
        flavour=kernel.flavour,
        packages=tuple(
            HeaderPackage(
                name=package.name,
                version=package.version,
                arch=package.arch,
                sha256=package.sha256,
                url=package.url,
                kind=package.kind,
            )
            for package in kernel.headers
        ),
        headers=headers_key(built.headers_sha256),
        symbols_checked=kernel.has_symvers,
        toolchain=built.toolchain,
        kernel_toolchain=kernel.toolchain,
        evidence=kernel.evidence,
        exact=built.exact,
        image=built.image,
        runs_on=built.runs_on,
        compiler=built.compiler,
        inputs=built.inputs,
        by_hand=built.by_hand,
        files=tuple(_file(prefix, artifact) for artifact in built.artifacts),
        log=prefix + LOG,
        build_url=built.build_url,
        started=built.started,
        finished=built.finished,
        make_seconds=built.make_seconds,
    )


def entry_of(manifest: Manifest) -> IndexEntry:
    """What a node needs of a manifest."""
    path = (manifest.distro, manifest.series, manifest.arch, manifest.release)
    return IndexEntry(
        module=manifest.module,
        version=manifest.version,
        distro=manifest.distro,
        series=manifest.series,
        arch=manifest.arch,
        release=manifest.release,
        kernel_version=manifest.kernel_version,
        files=manifest.files,
        manifest="/".join(("modules", manifest.module, manifest.version, *path, MANIFEST)),
    )


def _file(prefix: str, artifact: Artifact) -> PublishedFile:
    if not _FILE.fullmatch(artifact.name):
        raise VerifyError([f"{artifact.name[:80]!r} is not a module's file name"])
    return PublishedFile(
        name=artifact.name,
        key=prefix + artifact.name,
        sha256=artifact.sha256,
        size=len(artifact.content),
        module=artifact.facts.name,
        vermagic=artifact.facts.vermagic,
        depends=artifact.facts.depends,
        srcversion=artifact.facts.srcversion,
    )
