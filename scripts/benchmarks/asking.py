"""What a thousand questions a second cost a farm that builds: a run of builds with them, and one without."""

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from kmodci.cli.output import note, print_table
from kmodci.errors import KmodciError
from kmodci.model import BuildId
from kmodci.settings import load
from kmodci.store import Store

from . import cpu
from .place import SCOPE, Place

_LONGEST = 1800.0
_PID = "up.pid"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """One run. Seconds."""

    built: int
    wall: float
    make: float
    master: float
    """CPU of the master, start and stop included"""
    whole: float
    """from its start to its end"""
    cores: int
    asked: Mapping[str, object] | None
    """what the asker says"""

    @property
    def efficiency(self) -> float:
        return self.make / (self.cores * self.wall)


def measure(place: Place, *, count: int, exclude: Sequence[str], rate: int, rounds: int) -> None:
    """Prints the table. Of `2 x count` kernels, half are built and asked about, and half are what each run builds."""
    names = place.choose(2 * count, exclude)
    settings = json.loads((place.config / "kmodci.yml").read_text())
    settings["api"] = {"rate": 100 * rate, "burst": 100 * rate}
    (place.config / "kmodci.yml").write_text(json.dumps(settings))
    port = int(settings["web"]["port"])
    note("a run, to have what is asked about")
    _run(place, port, [], rate)
    known, again = names[::2], names[1::2]
    figures: dict[str, list[Figures]] = {"quiet": [], "asked": []}
    # one after the other, and again: a machine is not the same for an hour
    for _ in range(rounds):
        for name, questions in {"quiet": [], "asked": [_question(place.module, each) for each in known]}.items():
            _forget(place, again)
            note(f"a run: {name}")
            figures[name].append(_run(place, port, questions, rate))
    _print(figures)


def _print(figures: Mapping[str, Sequence[Figures]]) -> None:
    columns = ("run", "built", "wall s", "efficiency", "master CPU s", "answered", "a second", "p50 ms", "p99 ms")
    rows = []
    for name, runs in figures.items():
        for each in runs:
            told = each.asked or {}
            took = told.get("milliseconds", {})
            assert isinstance(took, dict)
            answered = int(str(told.get("answered", 0)))
            rows.append(
                (
                    name,
                    each.built,
                    f"{each.wall:.1f}",
                    f"{each.efficiency:.1%}",
                    f"{each.master:.1f}",
                    answered,
                    f"{answered / float(str(told['seconds'])):.0f}" if told else "",
                    f"{took.get('p50', 0):.2f}",
                    f"{took.get('p99', 0):.2f}",
                )
            )
    print_table(columns, rows, right=columns[1:])
    quiet, asked = (_mean([each.wall for each in figures[name]]) for name in ("quiet", "asked"))
    note(f"wall time with questions / without: {asked / quiet:.3f}")
    quiet, asked = (_mean([each.efficiency for each in figures[name]]) for name in ("quiet", "asked"))
    note(f"efficiency with questions / without: {asked / quiet:.3f}")
    for each in figures["asked"]:
        note(json.dumps(each.asked))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _question(module: str, kernel: str) -> str:
    target, _, release = kernel.partition("/")
    distro, series, arch = target.split("-")
    fields = {"module": module, "distro": distro, "series": series, "arch": arch, "kernel_release": release}
    return json.dumps(fields)


def _forget(place: Place, kernels: Sequence[str]) -> None:
    """As if these were not built."""
    store = Store(load(place.config).database_url)
    store.forget_outcomes([BuildId.parse(f"{place.module}/{kernel}") for kernel in kernels])
    store.close()


def _run(place: Place, port: int, questions: Sequence[str], rate: int) -> Figures:
    """A farm that is started, builds what is due, is asked meanwhile, and is stopped."""
    place.state.mkdir(parents=True, exist_ok=True)
    watch = cpu.Watch({"master": place.state / "master" / "lock"})
    began = time.monotonic()
    with watch.looking(), (place.state / "up.log").open("wb") as log:
        command = place.kmodci("up", "--once", "--scope", SCOPE, "--module", place.module)
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        (place.state / _PID).write_text(str(process.pid))
        with _asker(port, questions, rate, process) as told:
            process.wait(_LONGEST)
    if process.returncode > 1:
        raise KmodciError(f"the farm ended with {process.returncode}:\n{(place.state / 'up.log').read_text()[-2000:]}")
    found = place.asked("bench")
    return Figures(
        built=int(str(found["built"])),
        wall=float(str(found["wall_seconds"])),
        make=float(str(found["make_seconds"])),
        cores=int(str(found["cores"])),
        master=watch.used.get("master", 0.0),
        whole=time.monotonic() - began,
        asked=told or None,
    )


@contextmanager
def _asker(
    port: int, questions: Sequence[str], rate: int, farm: subprocess.Popen[bytes]
) -> Iterator[dict[str, object]]:
    """Asks from when the farm answers until what is within has ended. What it says is there afterwards."""
    told: dict[str, object] = {}
    if not questions:
        yield told
        return
    since = time.time()
    _await_answer(port, questions[0], farm)
    asker = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.asker", str(port), str(rate)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert asker.stdin is not None and asker.stdout is not None
    asker.stdin.write("\n".join(questions) + "\n")
    asker.stdin.close()
    try:
        _await_end(port, since, farm)
    finally:
        asker.terminate()
        text = asker.stdout.read()
        asker.wait()
    told.update(json.loads(text))
    if told["statuses"] != {"200": told["answered"]}:
        raise KmodciError(f"questions about what is built were answered {told['statuses']}, and not 200")
    yield told


def _await_answer(port: int, question: str, farm: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _LONGEST
    while _status(port, question) != 200:
        if time.monotonic() > deadline or farm.poll() is not None:
            raise KmodciError("the farm does not answer", hint="see up.log in the bench's state")
        time.sleep(0.05)


def _await_end(port: int, since: float, farm: subprocess.Popen[bytes]) -> None:
    """Until the farm's run has ended: a farm that stops answers no more."""
    deadline = time.monotonic() + _LONGEST
    while farm.poll() is None and time.monotonic() < deadline and not _has_ended(port, since):
        time.sleep(0.2)


def _has_ended(port: int, since: float) -> bool:
    """Whether the run that began since then has ended, or nobody answers. since: seconds since the epoch."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/kmodci/v1/runs?limit=1", timeout=10) as answer:
            [run] = json.loads(answer.read())["runs"]
            return run["started"] >= since and run["finished"] is not None
    except (OSError, ValueError):
        return True


def _status(port: int, question: str) -> int:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/api/kmodci/v1/builds",
        data=question.encode(),
        headers={"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 loopback
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0
