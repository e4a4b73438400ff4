"""What a kernel's header packages lack, made in a sandbox by `workers/prepare-headers`: the tree of a kernel that comes
as source, and programs that run where builds do.

The same container as a build's, with the same limits: what runs in it is somebody else's code as well.
"""

import os
import tarfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from .distros import layout_of
from .engine import Engine
from .errors import BuildImpossible, HeadersUnusable, IndexDamaged
from .hosttools import program
from .images import Recipe
from .lastwords import LastWords
from .model import Kernel
from .paths import Paths
from .sandbox import BUNDLE_MOUNT, Inputs, Limits, host_config, prepare_environment
from .tarzst import Kind, Member
from .unpack import members

# Bytes; a tree has 60 MB.
_OUTPUT_LIMIT = 512 << 20
# Of make; one preparation runs at a time, beside builds that have one each.
_JOBS = 2
# prepare-headers' own: it cannot be made of this, or this is not what it should be
_UNUSABLE = (1, 5)
# 128 + SIGKILL
_KILLED = 137


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparing:
    """One at a time, because it takes as much as a build. The image has to be on the engine that is named.

    Methods raise HeadersUnusable for what will not do, BuildImpossible where that is not known, EngineError.
    """

    paths: Paths
    bundle: Callable[[str], Path]
    """the worker bundle of an architecture"""
    limits: Limits
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _unusable: dict[tuple[str, ...], str] = field(default_factory=dict)
    """what cannot be made -> why: every module for a kernel asks for it again"""

    def tree(self, kernel: Kernel, recipe: Recipe, engine: Engine, *, source: Path, config: Path, target: Path) -> None:
        """Writes a tar of the header tree that a kernel's source gives, not judged yet, to target."""
        more = {"KMODCI_PREPARE": "source", "KMODCI_HAS_SYMVERS": "yes" if kernel.has_symvers else "no"}
        self._run(kernel, recipe, engine, more, {"source.tar": source, "config": config}, target)

    def programs(
        self,
        kernel: Kernel,
        recipe: Recipe,
        engine: Engine,
        *,
        bundle: Path,
        must: Sequence[str],
        may: Sequence[str],
        scratch: Path,
    ) -> list[Member]:
        """Programs of the kernel's own folder, made again from their sources. must, may: their paths there."""
        layout = layout_of(kernel)
        more = {
            "KMODCI_PREPARE": "tools",
            "KMODCI_HEADERS": layout.own,
            "KMODCI_HEADERS_SOURCE": layout.source,
            "KMODCI_PROGRAMS": "\n".join(must),
            "KMODCI_PROGRAMS_IF_EASY": "\n".join(may),
        }
        made = scratch / "programs"
        self._run(kernel, recipe, engine, more, {"headers.tar.zst": bundle}, made)
        try:
            found = _judged(made, {*must, *may}, recipe)
        except IndexDamaged as damage:
            raise HeadersUnusable(f"{kernel}: {damage.brief}") from damage
        if lacking := [path for path in must if path not in found]:
            raise HeadersUnusable(f"{kernel}: {', '.join(lacking)} cannot run here, and was not made again")
        return [Member(name=f"{layout.own}/{path}", data=data, executable=True) for path, data in found.items()]

    def _run(
        self,
        kernel: Kernel,
        recipe: Recipe,
        engine: Engine,
        more: Mapping[str, str],
        inputs: Mapping[str, Path],
        target: Path,
    ) -> None:
        environment = prepare_environment(
            release=kernel.release,
            arch=kernel.target.arch,
            toolchain=recipe.toolchain,
            jobs=_JOBS,
            limits=self.limits,
            more=more,
        )
        asked = (kernel.headers_digest, recipe.arch, *environment.values())
        with self._lock:
            if asked in self._unusable:
                raise HeadersUnusable(self._unusable[asked])
            try:
                self._contained(kernel, recipe, engine, environment, inputs, target)
            except HeadersUnusable as error:
                self._unusable[asked] = error.brief
                raise

    def _contained(
        self,
        kernel: Kernel,
        recipe: Recipe,
        engine: Engine,
        environment: dict[str, str],
        inputs: Mapping[str, Path],
        target: Path,
    ) -> None:
        words = LastWords()
        with self._seen(inputs, recipe.arch) as seen, target.open("wb") as file:

            def keep(data: bytes) -> None:
                if file.tell() + len(data) > _OUTPUT_LIMIT:
                    raise HeadersUnusable(f"{kernel}: its headers have more than {_OUTPUT_LIMIT >> 20} MiB")
                file.write(data)

            status = engine.run(
                image=recipe.tag,
                command=[f"{BUNDLE_MOUNT}/prepare-headers"],
                environment=environment,
                inputs=seen,
                host_config=host_config(self.limits),
                on_output=keep,
                on_error=words.hear,
                seconds=self.limits.seconds,
            )
        if status in _UNUSABLE and words.line:
            raise HeadersUnusable(f"no headers for {kernel}: {words.line.removeprefix('error: ')}")
        if status != 0:
            raise BuildImpossible(f"no headers for {kernel} yet: {self._why(status)}")

    def _why(self, status: int | None) -> str:
        if status is None:
            return f"to make them took longer than {self.limits.seconds} s, the limit of time"
        if status == _KILLED:
            return f"what made them was killed, as a rule for memory: the limit is {self.limits.memory >> 20} MiB"
        return f"what makes them ended with status {status} and no error line"

    @contextmanager
    def _seen(self, inputs: Mapping[str, Path], arch: str) -> Iterator[Inputs]:
        name = f"prepare-{os.getpid()}-{threading.get_ident()}"
        try:
            self.paths.empty_inputs(name)
            for each, path in inputs.items():
                self.paths.put_input(name, path, each)
            yield Inputs(bundle=self.bundle(arch), files=self.paths.inputs(name))
        finally:
            self.paths.drop_inputs(name)


def _judged(archive: Path, asked: set[str], recipe: Recipe) -> dict[str, bytes]:
    """What was asked for, of what a container handed back; only programs that run in its image. Raises IndexDamaged."""
    what = "what was made of the host programs"
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(archive, mode="r:") as tar:
            for member in members(tar, what=what, place=lambda name: name if name in asked else ""):
                made = program(member.name, member.data) if member.kind is Kind.FILE else None
                if made is None or not made.runs_with(recipe.glibc, recipe.arch):
                    raise IndexDamaged(f"{what}: {member.name} is no program that runs here")
                found[member.name] = member.data
    except tarfile.TarError as damage:
        raise IndexDamaged(f"{what}: damaged archive: {damage}") from damage
    return found
