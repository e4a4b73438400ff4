"""What the coverage page costs with thousands of builds: on the master, on the wire, and in a browser."""

import itertools
import statistics
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import kmodci
from kmodci.board import Board
from kmodci.bot.board import BoardKeeper
from kmodci.bot.pages.coverage import Coverage, Home
from kmodci.bot.pages.failures import Failures
from kmodci.bot.pages.kernels import FindKernel, Kernels
from kmodci.cli.output import note, print_table
from kmodci.coverage import Standing
from kmodci.farm import Farm
from kmodci.matrix import Entry
from kmodci.model import BuildId, Kernel, ModuleVersion, Outcome, Package, Status, Target
from twisted.internet import reactor
from twisted.web.resource import Resource
from twisted.web.server import Site
from twisted.web.static import File

if TYPE_CHECKING:
    from playwright.sync_api import Page

MODULE = "v4l2loopback"
_HTMX = {"HX-Request": "true"}
_FEW = "6.1.0-7-"
_WIDTH, _HEIGHT = 1280, 800
# series, architecture, the form of a release, flavours
_FAMILIES = (
    ("debian-bookworm", "amd64", "6.1.0-{n}-{f}", ("amd64", "cloud-amd64", "rt-amd64")),
    ("debian-bookworm", "arm64", "6.1.0-{n}-{f}", ("arm64", "cloud-arm64", "rt-arm64")),
    ("debian-trixie", "amd64", "6.12.{n}+deb13-{f}", ("amd64", "cloud-amd64", "rt-amd64")),
    ("debian-trixie", "arm64", "6.12.{n}+deb13-{f}", ("arm64", "cloud-arm64", "rt-arm64", "arm64-16k")),
    ("ubuntu-noble", "amd64", "6.8.0-{n}-{f}", ("generic", "lowlatency")),
    ("ubuntu-noble", "amd64", "6.8.0-1{n:03}-{f}", ("aws", "azure", "gcp", "oracle")),
    ("ubuntu-jammy", "amd64", "5.15.0-{n}-{f}", ("generic", "lowlatency")),
    ("fedora-43", "amd64", "6.17.{n}-300.fc43.x86_64", ("x86_64",)),
    ("almalinux-9", "amd64", "5.14.0-{n}.1.el9_6.x86_64", ("x86_64",)),
)
_ERRORS = (
    "main.c:101:9: error: implicit declaration of function \u2018strlcpy\u2019; did you mean \u2018strscpy\u2019?",
    "main.c:7:10: fatal error: linux/gone.h: No such file or directory",
    'ERROR: modpost: "kallsyms_lookup_name" [v4l2loopback.ko] undefined!',
)


def board_of(builds: int, *, made: float = 1_800_000_000.0) -> Board:
    """A board of so many builds of one module: nine of ten are built, the others are all that a build can be."""
    rows = [(family, flavour) for family in _FAMILIES for flavour in family[3]]
    kernels, standings, running = {}, {}, {}
    for number in range(builds):
        (series, arch, form, _), flavour = rows[number % len(rows)]
        distro, name = series.split("-")
        target = Target(distro=distro, series=name, arch=arch)
        release = form.format(n=1 + number // len(rows), f=flavour)
        kernel = _kernel(target, release, flavour, gone=made if number % 31 == 0 else 0.0)
        kernels[str(kernel)] = kernel
        standing = _standing(kernel, number, made)
        build_id = str(standing.entry.build_id)
        standings[build_id] = standing
        if number % 997 == 5 and standing.status is Status.PENDING:
            running[build_id] = "http://127.0.0.1:8010/#/builders/1/builds/1"
    version = ModuleVersion(module=MODULE, version="0.15.4-2", origin="a folder", digest="1" * 40)
    return Board(
        made=made, is_whole=True, kernels=kernels, standings=standings, versions={MODULE: version}, running=running
    )


def _kernel(target: Target, release: str, flavour: str, *, gone: float) -> Kernel:
    url = f"http://mirror.invalid/{release}.deb"
    package = Package(name=f"linux-headers-{release}", version="1", arch=target.arch, url=url, size=1, sha256="2" * 64)
    return Kernel(
        target=target,
        release=release,
        version="1",
        flavour=flavour,
        toolchain="gcc-14",
        repository=f"{target.series} main",
        headers=(package,),
        gone=gone,
    )


def _standing(kernel: Kernel, number: int, made: float) -> Standing:
    entry = Entry(
        build_id=BuildId(module=MODULE, target=kernel.target, release=kernel.release), kernel=kernel, toolchain="gcc-14"
    )
    odd = {3: Status.FAILED, 7: Status.FAILED, 11: Status.UNAVAILABLE, 17: Status.SKIPPED, 19: Status.PENDING}
    status = odd.get(number % 41, Status.BUILT)
    cause = "" if status in (Status.BUILT, Status.PENDING) else _ERRORS[number % len(_ERRORS)]
    outcome = Outcome(
        build_id=entry.build_id,
        key="k",
        status=status,
        cause=cause,
        module_version="0.15.4-2",
        kernel_version="1",
        finished=made - 60.0 * number,
        seconds=4.0,
    )
    return Standing(entry=entry, status=status, cause=cause, outcome=None if status is Status.PENDING else outcome)


class Served:
    """The pages of a board, as a master serves them, and without one."""

    def __init__(self, board: Board) -> None:
        self.keeper = SimpleNamespace(board=board)
        master = SimpleNamespace(service_manager=SimpleNamespace(namedServices={BoardKeeper.name: self.keeper}))
        farm = SimpleNamespace(settings=SimpleNamespace(modules={MODULE: None}))
        root, pages, plugins = Resource(), Home(master), Resource()
        root.putChild(b"kmodci", pages)
        root.putChild(b"plugins", plugins)
        plugins.putChild(b"kmodci", File(str(Path(kmodci.__file__).parent / "static")))
        # of a farm, this page reads nothing but the names of its modules
        made = {"coverage": Coverage(master, cast(Farm, farm)), "failures": Failures(master)}
        for name, page in {**made, "kernel": FindKernel(master), "kernels": Kernels(master)}.items():
            pages.putChild(name.encode(), page)
        self._site = Site(root)
        self.url = ""

    @contextmanager
    def running(self) -> Iterator[str]:
        """The address. Its reactor can be started once in a process."""
        ready = threading.Event()

        def listen() -> None:
            port = reactor.listenTCP(0, self._site, interface="127.0.0.1")
            self.url = f"http://127.0.0.1:{port.getHost().port}"
            ready.set()

        reactor.callWhenRunning(listen)
        thread = threading.Thread(target=reactor.run, kwargs={"installSignalHandlers": False}, daemon=True)
        thread.start()
        ready.wait(30)
        try:
            yield self.url
        finally:
            reactor.callFromThread(reactor.stop)
            thread.join(30)


def measure(builds: int, repeat: int, browser: str) -> None:
    """Prints what it costs. browser: the path of a Chromium; empty for none."""
    served = Served(board_of(builds))
    found: list[tuple[str, str]] = []
    with served.running() as url:
        page = f"{url}/kmodci/coverage/{MODULE}"
        body = _get(page)
        found.append(("page, KiB", f"{len(body) >> 10:,}"))
        found.append(("page as it is sent, KiB", f"{len(_get(page, {'Accept-Encoding': 'zstd'})) >> 10:,}"))
        found.append(("the page, CPU ms", _ms(lambda: _get(page), repeat)))
        found.append(("one filtered by status, CPU ms", _ms(lambda: _get(f"{page}?status=failed"), repeat)))
        seen = f"{page}?seen={served.keeper.board.made:.3f}"
        found.append(("asked whether it changed, CPU ms", _ms(lambda: _get(seen, _HTMX), repeat)))
        found.append(("failures by cause, CPU ms", _ms(lambda: _get(f"{url}/kmodci/failures"), repeat)))
        found.append(
            ("a kernel by its release, CPU ms", _ms(lambda: _get(f"{url}/kmodci/kernel?uname=6.1.0-7-amd64"), repeat))
        )
        if browser:
            found += _in_browser(browser, page, served)
    print_table(("what", f"{builds:,} builds"), found, right=[f"{builds:,} builds"])


def _get(url: str, headers: Mapping[str, str] | None = None) -> bytes:
    request = urllib.request.Request(url, headers=dict(headers or {}))  # noqa: S310 our own address
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 the same
        body: bytes = answer.read()
    return body


def _ms(work: Callable[[], object], repeat: int) -> str:
    """CPU time, which is the server's and, for a little, that of who asks: both are this process."""
    took = []
    for _ in range(repeat):
        began = time.process_time()
        work()
        took.append(1000 * (time.process_time() - began))
    return f"{statistics.median(took):.1f}"


_SCROLL = """async () => {
  const times = []; let last = performance.now();
  for (let y = 0; y < document.body.scrollHeight; y += 400) {
    window.scrollTo(0, y);
    await new Promise(requestAnimationFrame);
    const now = performance.now(); times.push(now - last); last = now;
  }
  times.sort((a, b) => a - b);
  return [times[Math.floor(times.length / 2)], times[times.length - 1]];
}"""


def _in_browser(path: str, page: str, served: Served) -> list[tuple[str, str]]:
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        note("no browser is measured: playwright is installed by scripts/test")
        return []
    flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=path, args=flags)
        session = browser.new_browser_cdp_session()

        def cpu() -> float:
            """Of the processes that pages are in: ms."""
            every = session.send("SystemInfo.getProcessInfo")["processInfo"]
            return 1000 * sum(float(each["cpuTime"]) for each in every if each["type"] == "renderer")

        shown = browser.new_page(viewport={"width": _WIDTH, "height": _HEIGHT})
        shown.goto("about:blank")
        times = [cpu()]
        shown.goto(f"{page}?q={_FEW}", wait_until="load")
        shown.wait_for_timeout(1000)
        times.append(cpu())
        shown.goto(page, wait_until="load")
        painted = shown.evaluate("() => performance.getEntriesByName('first-contentful-paint')[0].startTime")
        shown.wait_for_timeout(1000)
        times.append(cpu())
        median, worst = shown.evaluate(_SCROLL)
        times.append(cpu())
        _update(shown, served)
        times.append(cpu())
        browser.close()
    small, shows, scrolls, updates = (after - before for before, after in itertools.pairwise(times))
    return [
        ("browser: first paint after, ms", f"{painted:.0f}"),
        ("browser: to show one of a few builds, CPU ms", f"{small:.0f}"),
        ("browser: to show it, CPU ms", f"{shows:.0f}"),
        ("browser: to scroll through all of it, CPU ms", f"{scrolls:.0f}"),
        ("browser: a frame while scrolling, median ms", f"{median:.1f}"),
        ("browser: the same, worst ms", f"{worst:.1f}"),
        ("browser: to show that two builds have ended, CPU ms", f"{updates:.0f}"),
    ]


def _update(shown: "Page", served: Served) -> None:
    """Two builds end, and the page shows it."""
    before = served.keeper.board
    pending = [each for each in before.standings.values() if each.status is Status.PENDING][:2]
    after = {str(each.entry.build_id): replace(each, status=Status.BUILT) for each in pending}
    board = replace(before, standings={**before.standings, **after}, made=before.made + 1)
    served.keeper.board = board
    shown.wait_for_selector(f"#main[data-hx-get*='{board.made:.3f}']", timeout=60_000)
    shown.wait_for_timeout(500)
