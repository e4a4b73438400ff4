"""The rules of docs/design.md that a program can check."""

import ast
import graphlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import kmodci
import pytest

ROOT = Path(kmodci.__file__).parent
# From the bottom to the top. A module may import those of its own rank and of those below.
RANKS = {
    "values": "errors release model digests kernelconfig once quantities secretfile tarzst unpack yamlfile passwords",
    "repos": "repos",
    "distros": "distros",
    "decisions": "addresses ansi apianswers apiasked apifields apitold board buildview causes chart commits contents"
    " coverage coveragetable coverageview demands discovery doubt elf enginebodies enginepolicy explanation"
    " facts failureview fallover fields findings headers hostfile hosts hosttools hostview images kernellist kernelsat"
    " kernelview keys lastwords loginfile loginlimit logtext manifest matrix modulefile news newswords newsworthy"
    " notifyfile objects ondemand ongoing openapi osrelease oci overdue past pods publishing ratelimit"
    " repositoriesat retention runrecords runs runview sandbox schema search selectors settings"
    " targetsfile told uname verify",
    "adapters": "acceptance apicalls apiclient apiserver asking awsfile bootstrap bucket caches cluster downloads"
    " embedded engine engineclient enginehttp engineproxy engines fetch folder foreignpython git history imagemaker"
    " imagesupply indices ingredients kubeapi"
    " logfiles mirrors newsstore packing paths pools privatefile refusals rowsfile runstore sending sources store"
    " tables tokens trees tunnel users workerbundle",
    "farm": "backup boardmaker byhand checkup cleanup commitdesk farm health ledger listing matrixtold memory metrics"
    " newsdesk opening planning preparing products recovery registry sourceview supply survey watch where"
    " workerbundles",
    "top": "bot cli",
}
RANK = {name: number for number, names in enumerate(RANKS.values()) for name in names.split()}
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(ROOT.rglob("*.py"))
    if path != ROOT / "__init__.py"
}
CORE = [name for name in MODULES if name.split(".")[0] not in ("bot", "cli")]


def imports(name: str) -> Iterator[tuple[str, ...]]:
    """What a module imports, wherever in it, each as its parts; what is of kmodci without `kmodci`."""
    path = MODULES[name]
    package = ["kmodci", *path.relative_to(ROOT).parts[:-1]]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (tuple(alias.name.split(".")) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            base += node.module.split(".") if node.module else []
            yield from ((*base, alias.name) for alias in node.names)


def inner(name: str) -> set[str]:
    """The modules of kmodci that a module imports."""
    found = [".".join(parts[1:]) for parts in imports(name) if parts[0] == "kmodci"]
    # `from .store import Store` names a class of a module, `from . import sandbox` a module
    known = {each if each in MODULES else each.rpartition(".")[0] for each in found}
    return {each for each in known if each and each != name}


def test_every_module_has_a_rank() -> None:
    assert {name.split(".")[0] for name in MODULES} == RANK.keys()


@pytest.mark.parametrize("name", MODULES)
def test_imports_point_downwards(name: str) -> None:
    rank = RANK[name.split(".")[0]]
    assert {each for each in inner(name) if RANK[each.split(".")[0]] > rank} == set()
    if rank < RANK["bot"]:
        assert {parts[0] for parts in imports(name)} & {"buildbot", "twisted"} == set()


def test_bot_and_command_line_know_nothing_of_each_other() -> None:
    tops = {name: {each.split(".")[0] for each in inner(name)} for name in MODULES}
    assert [name for name, of in tops.items() if name.startswith("bot") and "cli" in of] == []
    assert [name for name, of in tops.items() if name.startswith("cli") and "bot" in of] == []


def test_there_is_no_circle() -> None:
    graphlib.TopologicalSorter({name: inner(name) for name in MODULES}).prepare()


def test_the_graph_is_read_right() -> None:
    assert {"farm", "fetch", "store", "where"} <= inner("opening")
    assert "sandbox" in inner("farm")
    assert inner("repos.deb") == {"errors", "tarzst", "unpack"}
    assert ("buildbot", "process", "build", "Build") in imports("bot.build")


_WATCHED = """
import json, os, signal, sys, threading
signals = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
environment, seen = dict(os.environ), []
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
DOINGS = ("subprocess.Popen", "os.system", "os.posix_spawn", "os.fork", "os.mkdir", "os.remove", "os.rename",
          "os.chmod", "socket.connect", "sqlite3.connect")
def hook(event, arguments):
    if event == "open" and (arguments[2] or 0) & WRITES or event in DOINGS:
        seen.append([name, event, repr(arguments)[:200]])
name = ""
sys.addaudithook(hook)
for name in sys.argv[1:]:
    __import__(f"kmodci.{name}")
after = {number: signal.getsignal(number) for number in signals}
print(json.dumps({"seen": seen, "signals": after == signals, "environment": dict(os.environ) == environment,
                  "threads": threading.active_count(), "buildbot": bool({"buildbot", "twisted"} & set(sys.modules))}))
"""


@pytest.mark.slow
@pytest.mark.parametrize("names", [CORE, [*MODULES]], ids=["core", "all"])
def test_importing_does_nothing(names: list[str], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-B", "-c", _WATCHED, *names], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    told = json.loads(done.stdout)  # and so nothing else was printed
    assert told["seen"] == []
    assert (told["signals"], told["environment"], told["threads"], done.stderr) == (True, True, 1, "")
    assert told["buildbot"] == (names != CORE)
    assert list(tmp_path.iterdir()) == []
