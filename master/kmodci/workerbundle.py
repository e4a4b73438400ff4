"""The worker bundle: a Buildbot worker with its own Python, libraries and loader in one read-only folder.

Mounted into a container, it runs in any image of the same CPU architecture, even an empty one, and
leaves the image's own tools alone: its libraries are found by an argument of the loader, which no child
inherits. Made from the Python that runs this; for another architecture from a distribution's (`foreignpython`), with
the same packages of Python's, all of which do without compiled parts. Besides the worker it holds what else runs in
containers: what the checkout keeps in `workers/`, beside `master/`.
"""

import compileall
import functools
import hashlib
import importlib.metadata
import json
import platform
import py_compile
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from .bootstrap import SuiteSource, extract
from .errors import EngineError
from .foreignpython import unpack_python
from .images import Recipe

_making = threading.Lock()
SCRIPTS = Path(__file__).parents[2] / "workers"
_SCRIPT_NAMES = (
    "worker.py",
    "build-module",
    "dkms.bash",
    "prepare-headers",
    "kernel-source.bash",
    "host-tools.bash",
    "toolchain.bash",
)

# Raise it when the same inputs make another bundle.
_BUNDLE_VERSION = 1

_ROOT_DISTRIBUTION = "buildbot-worker"
# Needed for a protocol that `worker.py` leaves out, and two thirds of the bundle with what they need.
_UNUSED_DISTRIBUTIONS = frozenset({"autobahn", "msgpack"})
# Whose compiled parts only make it faster.
_OPTIONALLY_COMPILED = frozenset({"zope-interface"})
_UNUSED_FOLDERS = frozenset(
    {"__pycache__", "ensurepip", "idlelib", "lib2to3", "site-packages", "dist-packages"}
    | {"pydoc_data", "test", "tests", "tkinter", "turtledemo", "trial", "newsfragments"}
)
_UNUSED_FILES = re.compile(r"config-.*|_tkinter\..*|_test.*\.so|sitecustomize\.py|.*\.(a|exe|pyi|whl)")


def make_bundle(target: Path, *, scripts: Path = SCRIPTS) -> Path:
    """The bundle's folder, `target/worker-<digest>`, made if it is not there yet.

    The digest names what goes in; so an update makes another folder, and containers that run keep theirs.
    Raises EngineError when the running Python cannot be bundled.
    """
    return _made(target / bundle_name(scripts), lambda root: _fill(root, scripts))


def make_foreign_bundle(
    target: Path, recipe: Recipe, mirrors: Callable[[], Sequence[SuiteSource]], *, scripts: Path = SCRIPTS
) -> Path:
    """The same for another architecture: with the Python of the recipe's packages (`images.worker`).

    mirrors: where these are from. Takes some 30 s. Raises EngineError.
    """
    return _made(
        target / foreign_bundle_name(recipe, scripts), lambda root: _fill_foreign(root, recipe, mirrors(), scripts)
    )


def _made(bundle: Path, fill: Callable[[Path], None]) -> Path:
    # two at once would do all of it twice, and the second could not put its own in place
    with _making:
        if not bundle.exists():
            bundle.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=bundle.parent, prefix=".worker-") as folder:
                root = Path(folder) / "bundle"
                fill(root)
                root.replace(bundle)
    return bundle


def bundle_name(scripts: Path = SCRIPTS) -> str:
    """`worker-<digest>`: names what goes in. Costs a hash of the interpreter, and no more."""
    python = sys.version, platform.machine(), platform.libc_ver()
    return f"worker-{_digest(scripts, [_interpreter().read_bytes()], *python)}"


def foreign_bundle_name(recipe: Recipe, scripts: Path = SCRIPTS) -> str:
    """The same, of `make_foreign_bundle`: as with an image, the packages' versions are not part of it."""
    return f"worker-{_digest(scripts, [], sys.version_info[:2], recipe.arch, recipe.digest)}"


def python_command(mount: str) -> list[str]:
    """The argument list that starts the bundle's Python where the bundle is mounted at `mount`.

    -I and -S: nothing of the image's environment or site folders gets in.
    """
    loader = [f"{mount}/lib64/ld.so", "--inhibit-cache", "--library-path", f"{mount}/lib64"]
    return [*loader, f"{mount}/bin/python3", "-I", "-S"]


def worker_command(mount: str) -> list[str]:
    """The argument list that starts the worker; see `workers/worker.py` for its environment."""
    return [*python_command(mount), f"{mount}/worker.py"]


def _fill(root: Path, scripts: Path) -> None:
    stdlib = Path(sysconfig.get_paths()["stdlib"])
    bundled_stdlib = root / sys.platlibdir / stdlib.name
    _copy(_interpreter(), root / "bin" / "python3")
    _copy_tree(stdlib, bundled_stdlib)
    # Debian keeps compiled modules apart from the rest for some versions
    _copy_tree(Path(sysconfig.get_config_var("DESTSHARED")), bundled_stdlib / "lib-dynload")
    for distribution in _distributions():
        _copy_distribution(distribution, root / "site")
    _copy_libraries(root)
    _finish(root, scripts, compiled=(bundled_stdlib, root / "site"))


def _fill_foreign(root: Path, recipe: Recipe, mirrors: Sequence[SuiteSource], scripts: Path) -> None:
    with tempfile.TemporaryDirectory(dir=root.parent, prefix="python-") as folder:
        archive = extract(recipe, mirrors=mirrors, target=Path(folder) / "packages.tar")
        version = unpack_python(archive, root, is_wanted=lambda parts: not _unused(parts))
    for distribution in _distributions():
        _copy_distribution(distribution, root / "site", is_pure=True)
    # what another version of Python than this one compiles, it has to compile by itself, at each start
    is_same = version == f"{sys.version_info[0]}.{sys.version_info[1]}"
    _finish(root, scripts, compiled=(root / "lib", root / "site") if is_same else ())


def _finish(root: Path, scripts: Path, *, compiled: Iterable[Path]) -> None:
    """What all bundles have. compiled: the folders whose modules are."""
    for name in _SCRIPT_NAMES:
        _copy(scripts / name, root / name)
    for each in compiled:
        # Unchecked: the bundle never changes, and a read-only mount could not be told so by times.
        mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
        compileall.compile_dir(each, quiet=2, invalidation_mode=mode, stripdir=root, prependdir="/kmodci")
    for path in (root, *root.rglob("*")):
        # whatever the umask is: a build's user must be able to read it
        path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)


def _interpreter() -> Path:
    """The real executable, not the link of a virtual environment or the script of a version manager."""
    # typeshed does not know it; venv itself relies on it (Lib/venv/__init__.py)
    return Path(vars(sys)["_base_executable"] or sys.executable).resolve()


@functools.cache
def _distributions() -> tuple[importlib.metadata.Distribution, ...]:
    """buildbot-worker and what it needs, as installed."""
    found: dict[str, importlib.metadata.Distribution] = {}
    wanted = [_ROOT_DISTRIBUTION]
    while wanted:
        name = canonicalize_name(wanted.pop())
        if name in found or name in _UNUSED_DISTRIBUTIONS:
            continue
        found[name] = importlib.metadata.distribution(name)
        requirements = map(Requirement, found[name].requires or ())
        wanted += [r.name for r in requirements if r.marker is None or r.marker.evaluate({"extra": ""})]
    return tuple(found[name] for name in sorted(found))


def _copy_distribution(distribution: importlib.metadata.Distribution, site: Path, *, is_pure: bool = False) -> None:
    """is_pure: without what is compiled for this machine."""
    if distribution.files is None:
        raise EngineError(
            f"the Python package {distribution.name} has no list of its files, so no worker bundle can be made of it",
            hint="install kmodci with pip in a virtual environment of its own",
        )
    has_compiled = any(file.suffix == ".so" for file in distribution.files)
    if is_pure and has_compiled and canonicalize_name(distribution.name) not in _OPTIONALLY_COMPILED:
        raise EngineError(
            f"the Python package {distribution.name} has compiled parts, which a worker of another machine cannot have",
            hint=f"install one without: pip install --no-binary {distribution.name} {distribution.name}",
        )
    for file in distribution.files:
        if is_pure and file.suffix == ".so":
            continue
        # `..` leads to scripts outside of the packages' folder
        if not _unused(file.parts) and ".." not in file.parts:
            _copy(Path(str(file.locate())), site / file)


def _copy_tree(source: Path, target: Path) -> None:
    shutil.copytree(
        source,
        target,
        ignore=lambda _, names: [name for name in names if _unused([name])],
        copy_function=lambda file, copy: _copy(Path(file), Path(copy)),
        dirs_exist_ok=True,
    )


def _copy(source: Path, target: Path) -> None:
    """Copies content, and of the mode only whether it may be run."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    target.chmod(0o700 if source.stat().st_mode & 0o100 else 0o600)


def _unused(parts: Iterable[str]) -> bool:
    return any(part in _UNUSED_FOLDERS or _UNUSED_FILES.fullmatch(part) for part in parts)


def _copy_libraries(root: Path) -> None:
    """Copies what the interpreter and the compiled modules are linked with, and the loader, to `lib64`."""
    modules = sorted(str(path) for path in root.rglob("*.so*"))
    # the interpreter where it is: its way to its own library may be relative
    listing = _ldd([str(_interpreter()), *modules])
    for library in sorted(set(re.findall(r"=> (/\S+) \(", listing))):
        if root not in Path(library).parents:
            _copy(Path(library), root / "lib64" / Path(library).name)
    loaders = set(re.findall(r"^\s+(/\S*ld-linux\S*) \(", listing, flags=re.MULTILINE))
    if len(loaders) != 1:
        raise EngineError(
            f"no worker bundle can be made of {_interpreter()}: ldd tells no loader",
            hint="run kmodci with a Python that is dynamically linked with glibc",
        )
    _copy(Path(loaders.pop()), root / "lib64" / "ld.so")


def _ldd(files: Sequence[str]) -> str:
    # exit code 1 means that one of the files is not dynamically linked, which is no fault here
    return subprocess.run(["ldd", *files], stdout=subprocess.PIPE, text=True, check=False).stdout


def _digest(scripts: Path, contents: Iterable[bytes], *python: object) -> str:
    """16 hex digits over what makes a bundle. python: what tells of its Python; contents: of files of that."""
    inputs = [
        _BUNDLE_VERSION,
        *python,
        [(distribution.name, distribution.version) for distribution in _distributions()],
        [hashlib.sha256((scripts / name).read_bytes()).hexdigest() for name in _SCRIPT_NAMES],
        *(hashlib.sha256(content).hexdigest() for content in contents),
    ]
    return hashlib.sha256(json.dumps(inputs).encode()).hexdigest()[:16]
