"""Commands on what a farm remembers; none of them may ask the network for anything."""

import getpass
import json
import re
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from kmodci.acceptance import Acceptances
from kmodci.doubt import Doubt, Doubted
from kmodci.kernellist import kernel_list
from kmodci.store import RepositoryState, Store
from kmodci.watch import bundle_note
from support.remembered import BUILT, FAILED, remember

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def farm(config: Path) -> Store:
    return remember(config)


def test_kernels(run: Run) -> None:
    status, out, err = run("kernels", "debian-sid-amd64/*")
    assert (status, err) == (0, "6 kernels\n")
    assert out.splitlines()[:2] == [
        "target            release                   version         flavour      toolchain  repository",
        "debian-sid-amd64  7.3-rt-amd64              7.3~rc7-1~exp1  rt-amd64     gcc-16     experimental main",
    ]
    assert run("kernels")[2] == "249 kernels\n"


def test_kernels_as_json(run: Run) -> None:
    status, out, _ = run("kernels", "*/6.1.0-56-amd64", "--json")
    found = json.loads(out)
    assert (status, len(found["kernels"]), found["faults"]) == (0, 1, {})
    assert found["kernels"][0]["headers"][0]["name"] == "linux-headers-6.1.0-56-amd64"


def test_kernels_as_a_list_of_kernel_crawlers(run: Run, farm: Store) -> None:
    status, out, err = run("kernels", "--format", "kernel-crawler", "--arch", "arm64")
    assert (status, err) == (0, "")
    assert out.encode() == kernel_list(farm.kernels().values(), "arm64")
    assert len(json.loads(out)["debian"]) == 135
    _, out, _ = run("kernels", "debian-sid-*/*", "--format", "kernel-crawler", "--arch", "amd64")
    assert [entry["kernelrelease"] for entry in json.loads(out)["debian"]][-1] == "7.3-rt-amd64"
    assert run("kernels", "--arch", "arm64")[2] == "135 kernels\n"
    for arguments in (("--format", "kernel-crawler"), ("--format", "kernel-crawler", "--arch", "amd64", "--json")):
        status, out, err = run("kernels", *arguments)
        assert (status, out) == (2, "")
        assert "is JSON of one architecture: say --arch, and nothing else" in err
    assert run("kernels", "--format", "kernelcrawler", "--arch", "amd64")[0] == 2


def test_a_repository_that_could_not_be_read_is_told_with_its_last_good_kernels(run: Run, farm: Store) -> None:
    farm.put_repository(RepositoryState(name="sid main", error="timed out"))
    status, _, err = run("kernels", "debian-sid-amd64/*")
    assert (status, err) == (0, "6 kernels\ncould not read sid main: timed out\n")


GONE = "debian-bookworm-amd64/6.1.0-56-amd64"
SINCE = 1_795_475_700.0
"""2026-11-23 23:15 UTC"""


@pytest.fixture
def gone(farm: Store) -> None:
    """The kernel that is built is dropped by its repository, and so is one that nothing is built for."""
    for name in (GONE, "debian-bookworm-amd64/6.1.0-55-amd64"):
        for repository, kernels in farm.listed().items():
            farm.put_kernels(repository, [replace(kernel, gone=SINCE) for kernel in kernels if str(kernel) == name])


@pytest.mark.usefixtures("gone")
def test_kernels_that_are_gone_are_shown_with_the_date(run: Run) -> None:
    status, out, err = run("kernels", "debian-bookworm-amd64/*")
    lines = out.splitlines()
    assert (status, err.splitlines()[0]) == (0, "36 kernels, 2 of them gone")
    assert lines[0].endswith("repository               gone since")
    assert [line.split()[1] for line in lines if line.endswith("2026-11-23")] == ["6.1.0-56-amd64", "6.1.0-55-amd64"]
    found = json.loads(run("kernels", "debian-bookworm-amd64/6.1.0-5[56]-amd64", "--json")[1])["kernels"]
    assert [kernel["gone"] for kernel in found] == [SINCE, SINCE]
    assert "gone" not in run("kernels", "debian-trixie-amd64/*")[1]
    listed = json.loads(run("kernels", "debian-trixie-*", "--json")[1])["kernels"]
    assert {kernel["gone"] for kernel in listed} == {None}


@pytest.mark.usefixtures("gone")
def test_a_kernel_that_is_gone_is_built_or_unavailable(run: Run, farm: Store) -> None:
    built = json.loads(run("explain", BUILT, "--json")[1])
    since = "gone from bookworm-security main since 2026-11-23"
    assert (built["status"], built["kernel"]) == ("built", f"6.1.192-2, flavour amd64, {since}")
    lost = BUILT.replace("-56-", "-55-")
    why = json.loads(run("explain", lost, "--json")[1])
    assert why["status"] == "unavailable"
    assert why["why"].startswith(
        "gone from bookworm-security main since 2026-11-23, with no bundle of its headers made"
    )
    assert lost not in run("plan")[1]
    out = run("coverage", "v4l2loopback/debian-bookworm-amd64/*")[1]
    assert out.splitlines()[0].endswith("%  of gone kernels")
    assert out.splitlines()[-2].split() == ["all", "1", "1", "34", "2.7", "2"]
    assert out.splitlines()[-1].startswith("1 unavailable: gone from bookworm-security main since 2026-11-23 (as")
    found = json.loads(run("coverage", "--json")[1])
    assert (found["all"]["gone"], found["all"]["unavailable"]) == (4, 3)
    # as long as there is a bundle of its headers, it is built like any other
    farm.put_meta(bundle_note(farm.kernels()[lost.partition("/")[2]].headers_digest), "ab" * 32)
    assert lost in run("plan")[1]
    assert json.loads(run("explain", lost, "--json")[1])["status"] == "pending"


EMPTY = "it lists no kernel, and had 24"


@pytest.fixture
def sources(farm: Store) -> Doubt:
    """One repository is as it should be, one is in doubt, one could not be read, the others were never looked at."""
    now = time.time()
    good = {"last_ok": now - 200, "last_try": now - 200, "dated": SINCE}
    doubt = Doubt(digest="d", what=EMPTY, since=now - 90, looks=2, last=now)
    farm.put_repository(RepositoryState(name="sid main", **good, problems=("linux-headers-x: odd", "y: odder")))
    error = Doubted("forky main", doubt)
    farm.put_repository(RepositoryState(name="forky main", **good, error=error.brief, hint=error.hint, doubt=doubt))
    farm.put_repository(RepositoryState(name="trixie main", **good, error="http://m/: 503", hint="reachable?"))
    farm.put_repository(RepositoryState(name="left main", error="nobody follows it any more"))
    return doubt


def test_sources(run: Run, sources: Doubt) -> None:
    status, out, err = run("kernels", "--sources")
    lines = out.splitlines()
    assert (status, err) == (0, "11 sources: 1 doubted, 1 failing, 8 unread, 1 good\n")
    table = [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in lines[:12]]
    assert table[:3] == [
        ["source", "state", "kernels", "gone", "problems", "last good look", "last try", "published"],
        ["forky main", "doubted", "7", "3m ago", "3m ago", "2026-11-23 23:15 UTC"],
        ["trixie main", "failing", "14", "3m ago", "3m ago", "2026-11-23 23:15 UTC"],
    ]
    assert ["sid main", "good", "7", "2", "3m ago", "3m ago", "2026-11-23 23:15 UTC"] in table
    assert ["bookworm main", "unread", "12", "never", "never"] in table
    assert lines[12:] == [
        f"forky main: {EMPTY}; what was known of it stays",
        f"  hint: {Doubted('forky main', sources).hint}",
        f"  in doubt since {datetime.fromtimestamp(sources.since, UTC):%Y-%m-%d %H:%M} UTC",
        "trixie main: http://m/: 503",
        "  hint: reachable?",
    ]
    assert run("kernels", "--sources", "--problems")[1].splitlines()[-2:] == [
        "sid main: problem: linux-headers-x: odd",
        "sid main: problem: y: odder",
    ]
    assert "left main" not in run("kernels")[2]
    assert run("kernels", "--sources", "sid")[0] == 2


@pytest.mark.usefixtures("sources")
def test_sources_as_json(run: Run) -> None:
    found = {each["name"]: each for each in json.loads(run("kernels", "--sources", "--json")[1])["sources"]}
    assert found["sid main"]["problems"] == ["linux-headers-x: odd", "y: odder"]
    assert found["sid main"]["modules"] == ["v4l2loopback 0.15.4-2", "scap"]
    assert {each["kind"] for each in found.values()} == {"repository"}
    assert (found["trixie main"]["error"], found["trixie main"]["hint"]) == ("http://m/: 503", "reachable?")
    assert 200 <= found["trixie main"]["age_seconds"] < 300
    assert found["bookworm main"]["last_ok"] is None
    doubt = found["forky main"]["doubt"]
    assert (doubt["what"], doubt["looks"], doubt["looks_needed"], doubt["accepted_by"]) == (EMPTY, 2, 3, "")


def test_what_is_out_of_scope_or_not_followed_any_more_is_said(run: Run, config: Path) -> None:
    scoped = run("kernels", "--sources", "--scope", "first-look")[1]
    assert "bookworm main: not looked at: the scope does not need it" in scoped
    assert "trixie main: not" not in scoped
    targets = config / "targets.yml"
    text = targets.read_text()
    begin, end = (
        text.index("  - distro: debian\n    series: bullseye"),
        text.index("  - distro: debian\n    series: bookworm"),
    )
    rest = text[:begin] + text[end:]
    targets.write_text(re.sub(r"  gcc-\d+: {distro: debian, series: bullseye}\n", "", rest))
    out = run("kernels", "--sources")[1]
    assert "bullseye main: not looked at: targets.yml does not follow it any more" in out


def test_accept(run: Run, sources: Doubt, config: Path) -> None:
    status, out, err = run("accept", "forky main")
    assert (status, err) == (0, "")
    assert out == f"forky main: {EMPTY}: accepted; the farm's next look takes it so\n"
    accepted = Acceptances(config.parent / "state" / "accepted").find("forky main", sources)
    assert accepted and accepted.by == getpass.getuser()
    assert f"  accepted by {accepted.by}: taken at its word at the next look" in run("kernels", "--sources")[1]
    found = json.loads(run("accept", "forky main", "--json")[1])
    assert found == {"source": "forky main", "accepted": EMPTY, "by": accepted.by}


@pytest.mark.usefixtures("sources")
def test_what_cannot_be_accepted(run: Run, config: Path) -> None:
    status, out, err = run("accept", "trixie main")
    assert (status, out) == (1, "")
    assert "nothing of trixie main is in doubt" in err
    status, out, err = run("accept", "forky man")
    assert (status, out) == (2, "")
    assert "no repository 'forky man' (did you mean 'forky main'?)" in err
    assert not (config.parent / "state" / "accepted").exists()


def test_plan(run: Run) -> None:
    status, out, err = run("plan", "v4l2loopback/debian-bookworm-amd64/*")
    assert status == 0
    assert BUILT not in out
    assert "v4l2loopback/debian-bookworm-amd64/6.1.0-55-amd64" in out
    assert err == "35 builds are due (35 new kernel)\n"
    assert len(json.loads(run("plan", "--json")[1])["builds"]) == 247


def test_plan_of_a_scope(run: Run) -> None:
    assert run("plan", "--scope", "first-look")[2] == "21 builds are due (21 new kernel)\n"


def test_coverage(run: Run) -> None:
    status, out, _ = run("coverage", "v4l2loopback/debian-b*-amd64/*")
    lines = out.splitlines()
    assert status == 0
    assert lines[0].split() == [
        "module",
        "target",
        "flavour",
        "built",
        "failed",
        "unavailable",
        "skipped",
        "pending",
        "%",
    ]
    assert lines[1].split() == ["v4l2loopback", "debian-bookworm-amd64", "amd64", "1", "11", "8.3"]
    assert lines[-2].split() == ["all", "1", "1", "67", "1.4"]
    assert lines[-1] == f"1 failed: no such field (as {FAILED})"
    found = json.loads(run("coverage", "--json")[1])
    assert found["all"] == {
        "built": 1,
        "failed": 1,
        "unavailable": 0,
        "skipped": 0,
        "pending": 496,
        "percent": 0.2,
        "gone": 0,
    }
    assert found["causes"][0]["builds"] == [FAILED]


def test_images(run: Run) -> None:
    status, out, err = run("images")
    assert status == 0
    row = next(line.split() for line in out.splitlines() if line.startswith("gcc-16"))
    assert row[:6] == ["gcc-16", "amd64", "debian", "sid", "21", "unknown"]
    assert row[6].startswith("kmodci/toolchain-gcc-16:")
    assert "no.sock" in err


def test_kernels_without_a_toolchain_are_told(run: Run, config: Path) -> None:
    targets = config / "targets.yml"
    targets.write_text(targets.read_text().replace("  gcc-16: {distro: debian, series: sid}\n", ""))
    assert "21 kernels need gcc-16, which is not in targets.yml" in run("images")[2]
    assert "42 skipped: no toolchain gcc-16 in targets.yml, nor a newer one" in run("coverage")[1]
    assert "not tried: no toolchain gcc-16" in run("explain", "scap/debian-sid-amd64/7.3-amd64")[1]


def test_explain_what_is_built(run: Run, farm: Store) -> None:
    farm.put_meta(bundle_note(farm.kernels()["debian-bookworm-amd64/6.1.0-56-amd64"].headers_digest), "ab" * 32)
    status, out, err = run("explain", BUILT)
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == f"{BUILT}: built"
    facts = {line[2:13].strip(): line[13:] for line in lines[1:] if line[2] != " "}
    assert facts["why"] == "verified and published"
    assert facts["compiler"] == "gcc-12, says its package"
    assert facts["image"].startswith("kmodci/toolchain-gcc-12:")
    assert facts["bundle"] == f"headers/{'ab' * 32}.tar.zst"
    assert facts["manifest"].endswith("6.1.0-56-amd64/manifest.json")
    assert (
        facts["last build"] == "built 1970-01-01 00:00 UTC, 0.15.4-2 for 6.1.192-2, 5s, of which make took 2.0 s of CPU"
    )


def test_explain_the_other_statuses(run: Run, config: Path) -> None:
    def why(build_id: str, *options: str) -> tuple[str, str]:
        found = json.loads(run("explain", build_id, "--json", *options)[1])
        return found["status"], found["why"]

    pending = "v4l2loopback/debian-bookworm-amd64/6.1.0-55-amd64"
    assert why(pending) == ("pending", "to be built: new kernel")
    assert why(FAILED)[0] == "failed"
    assert why(FAILED)[1].startswith("v4l2loopback.c:12: error: no such field; not tried again before")
    unread = "scap/debian-bookworm-amd64/6.1.0-55-amd64"
    assert why(unread) == ("pending", "the source of scap has not been read yet")
    outside = "not in the matrix: the scope does not take it"
    assert why(pending, "--scope", "first-look") == ("not in the matrix", outside)
    (config / "known-failures.yml").write_text("known_failures: [{builds: scap/*, reason: needs work}]\n")
    assert why(unread) == ("skipped", "not tried: needs work")
    modules = (config / "modules.yml").read_text()
    (config / "modules.yml").write_text(modules + "    kernels: {exclude: ['*/6.1.*']}\n")
    assert why(unread)[1].startswith("not in the matrix: `kernels:` of the module")


def test_explain_a_kernel_as_it_names_itself(run: Run) -> None:
    pasted = "Linux node 6.1.0-56-amd64 #1 SMP PREEMPT_DYNAMIC Debian 6.1.192-2 (2026-11-02) x86_64 GNU/Linux"
    both = [BUILT, BUILT.replace("v4l2loopback", "scap")]
    for words in (("6.1.0-56-amd64",), ("debian-bookworm-amd64/6.1.0-56-amd64",), (pasted,), tuple(pasted.split())):
        status, out, err = run("explain", *words)
        assert status == 0
        assert [line.split()[:2] for line in out.splitlines()[1:]] == [[both[0], "built"], [both[1], "pending"]]
        assert err == "`kmodci explain` with one of these build ids tells all of it\n"
    found = json.loads(run("explain", "6.1.0-56-amd64", "--json")[1])
    assert found["kernels"] == ["debian-bookworm-amd64/6.1.0-56-amd64"]
    assert found["builds"] == [json.loads(run("explain", each, "--json")[1]) for each in both]


def test_explain_says_what_it_leaves_out(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kmodci.cli.explain._MOST", 1)
    status, out, err = run("explain", "6.1.0-56-amd64")
    assert (status, out.splitlines()[0]) == (0, f"{BUILT}: built")
    scap = BUILT.replace("v4l2loopback", "scap")
    assert err == f"1 builds more are not told: name a target and release, or a build id; as {scap}\n"
    found = json.loads(run("explain", "6.1.0-56-amd64", "--json")[1])
    assert ([each["build_id"] for each in found["builds"]], found["left_out"]) == ([BUILT], [scap])


def test_explain_a_kernel_that_is_only_there_for_another_machine(run: Run) -> None:
    status, out, err = run("explain", "6.1.0-56-amd64", "aarch64")
    assert (status, out) == (2, "")
    assert "no kernel 6.1.0-56-amd64 of arm64 is known" in err
    assert "there is: debian-bookworm-amd64/6.1.0-56-amd64" in err


def test_explain_a_kernel_that_no_module_takes_or_only_one(run: Run, config: Path) -> None:
    modules = config / "modules.yml"
    text = modules.read_text()
    modules.write_text(text + "    kernels: {exclude: ['*/6.1.*']}\n")
    assert run("explain", "6.1.0-56-amd64")[1].splitlines()[0] == f"{BUILT}: built"
    status, out, err = run("explain", "6.1.0-56-amd64", "--scope", "first-look")
    assert (status, out) == (0, "")
    assert err.startswith("no module is built for debian-bookworm-amd64/6.1.0-56-amd64: the scope, or `kernels:`")


@pytest.mark.parametrize(
    ("build_id", "told"),
    [
        ("v4l2loopbak/debian-sid-amd64/7.3-amd64", "did you mean 'v4l2loopback'?"),
        ("scap/debian-bookworm-amd64/6.1.0-57-amd64", "the nearest are: debian-bookworm-amd64/6.1.0-5"),
        ("scap/debian-bokworm-amd64/6.1.0-56-amd64", "the nearest are: debian-bookworm-amd64/6.1.0-56-amd64"),
        ("6.1.0-57-amd64", "the nearest are: 6.1.0-5"),
        ("debian-bookworm-amd64/6.1.0-57-amd64", "the nearest are: debian-bookworm-amd64/6.1.0-5"),
        ("v4l2loopback", "not a kernel release"),
        ("v4l2loopback/6.1.0-56-amd64", "not a target"),
        ("scap/debian-bookworm-amd64/../../etc/passwd", "not a build id"),
        ("scap/debian-bookworm-amd64/$(id)", "not a kernel release"),
    ],
)
def test_explain_what_is_not_there(run: Run, build_id: str, told: str) -> None:
    status, out, err = run("explain", build_id)
    assert (status, out) == (2, "")
    assert told in err
