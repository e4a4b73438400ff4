"""One running farm, and what its users do to it while it runs: publish kernels, force builds, write bad modules."""

import json
import lzma
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from benchmarks.aptrepo import AptRepo, kernel_packages
from kmodci.elf import parse
from kmodci.manifest import IndexEntry
from kmodci.model import Outcome, Status
from kmodci.publishing import version_index
from support.farm import TARGET, LiveFarm, live_farm, source
from support.realkernels import RealKernel

pytestmark = [pytest.mark.docker, pytest.mark.network, pytest.mark.timeout(300)]

Publish = Callable[..., None]


@pytest.fixture(scope="module")
def git(folder: Path) -> Path:
    """A git repository with a module."""
    made = folder / "gitty.git"
    made.mkdir()
    (made / "Kbuild").write_text("obj-m := gitty.o\n")
    (made / "gitty.c").write_text(
        '#include <linux/module.h>\nMODULE_LICENSE("GPL");\nMODULE_DESCRIPTION("From git");\nMODULE_VERSION("1");\n'
    )
    run_git(made, "init", "--quiet", "--initial-branch", "main")
    commit(made, "The first one")
    return made


def run_git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=Test", "-c", "user.email=test@example.org")
    return subprocess.run(
        ["git", *identity, "-C", str(folder), *arguments], check=True, capture_output=True, text=True
    ).stdout.strip()


def commit(folder: Path, message: str) -> str:
    """Returns what it is called."""
    run_git(folder, "add", "--all")
    run_git(folder, "commit", "--quiet", "--message", message)
    return run_git(folder, "rev-parse", "HEAD")


@pytest.fixture(scope="module")
def modules(git: Path, kernels: dict[str, RealKernel]) -> dict[str, object]:
    """`hello` is for every kernel; the others have one or two, since each build takes seconds."""
    one = {"include": [f"{TARGET}/{kernels['old'].release}"]}
    two = {"include": [f"{TARGET}/{kernels[name].release}" for name in ("old", "new")]}
    odd = {name: source(name, kernels=one) for name in ("broken", "silent", "hungry", "flood", "drown", "picky", "spy")}
    # more than its own limit, and less than the farm's
    takes = "head -c 300M /dev/zero | tail -c 290M >/dev/null"
    odd["modest"] = source("hello", build=takes, artifacts=["*.ko"], limits={"memory": "256MiB"}, kernels=one)
    odd["chatty"] = source("hello", build="yes", artifacts=["*.ko"], limits={"output": "64KiB"}, kernels=one)
    odd["oneline"] = source(
        "hello", build="tr '\\0' x </dev/zero", artifacts=["*.ko"], limits={"output": "64KiB"}, kernels=one
    )
    odd["endless"] = source("hello", build="sleep inf", artifacts=["*.ko"], limits={"time": "3s"}, kernels=one)
    bomb = "bomb() { bomb | bomb & wait; }; bomb"
    few = {"time": "5s", "processes": 64}
    odd["forks"] = source("hello", build=bomb, artifacts=["*.ko"], limits=few, kernels=one)
    gitty = {
        "source": {"git": git.as_uri(), "ref": "main"},
        "build": 'make -C "$KERNEL_DIR" M="$PWD" modules',
        "artifacts": ["gitty.ko"],
        "kernels": two,
    }
    return {"hello": source("hello"), "gitty": gitty, **odd}


@pytest.fixture(scope="module")
def farm(folder: Path, repo: AptRepo, modules: dict[str, object], publish: Publish) -> Iterator[LiveFarm]:
    """Up, with two kernels."""
    publish(repo, "old", "new")
    with live_farm(folder, repo, modules) as made:
        made.up()
        yield made


@pytest.fixture(scope="module")
def old(kernels: dict[str, RealKernel]) -> str:
    return f"{TARGET}/{kernels['old'].release}"


@pytest.fixture(scope="module")
def new(kernels: dict[str, RealKernel]) -> str:
    return f"{TARGET}/{kernels['new'].release}"


class TestChangeSource:
    def test_what_is_listed_is_built_verified_and_indexed(
        self, farm: LiveFarm, kernels: dict[str, RealKernel], old: str, new: str
    ) -> None:
        for kernel in (kernels["old"], kernels["new"]):
            outcome = farm.await_built(f"hello/{TARGET}/{kernel.release}")
            data = farm.bucket.get(f"index/hello/1.0/debian/amd64/{kernel.release}.json")
            assert data is not None
            entry = IndexEntry.model_validate_json(data)
            assert (entry.release, entry.kernel_version, entry.series) == (kernel.release, kernel.version, "test")
            assert entry.manifest == outcome.manifest
            [file] = entry.files
            content = farm.bucket.get(file.key)
            assert content is not None
            ko = lzma.decompress(content) if file.name.endswith(".xz") else content
            assert parse(ko).info("vermagic").split()[0] == kernel.release
            manifest = farm.manifest(outcome)
            assert manifest.toolchain == kernel.toolchain
            assert {package.name for package in manifest.packages} == {deb.name.split("_")[0] for deb in kernel.debs}

    def test_a_kernel_that_is_published_now_is_built_without_being_asked_for(
        self, farm: LiveFarm, repo: AptRepo, publish: Publish, kernels: dict[str, RealKernel]
    ) -> None:
        kernel = kernels["old-cloud"]
        name = f"hello/{TARGET}/{kernel.release}"
        assert farm.builder(name) is None
        publish(repo, "old-cloud")
        published = repo_polls(repo)
        builder = farm.until(lambda: shown(farm, name))
        assert repo_polls(repo) - published <= 2
        assert set(builder["tags"]) >= {"hello", "debian", "test", "amd64", "cloud-amd64", kernel.toolchain}
        farm.await_built(name)
        changes = farm.get("changes?order=-changeid&limit=20")["changes"]
        assert any(kernel.release in change["comments"] for change in changes)

    def test_the_index_of_the_version_has_it_soon(self, farm: LiveFarm, old: str, new: str) -> None:
        releases = {farm.await_built(f"hello/{kernel}").build_id.release for kernel in (old, new)}
        farm.until(lambda: releases <= {k.release for k in version_index(farm.bucket, "hello", "1.0").kernels})

    def test_a_hostile_release_is_told_as_a_problem_and_nowhere_else(
        self, farm: LiveFarm, repo: AptRepo, kernels: dict[str, RealKernel]
    ) -> None:
        stanza = next(
            part
            for part in repo.packages("amd64").split("\n\n")
            if part.startswith(f"Package: linux-headers-{kernels['old'].release}\n")
        )
        hostile = [stanza.replace(kernels["old"].release, bad, 1) for bad in ("6.1.0-50-$(id)", "6.1.0-50-../../etc")]
        repo.publish(extra={"amd64": "\n\n".join(["", *hostile, ""])})
        problems = farm.until(lambda: farm.store.repository_state("test main").problems)
        assert any("$(id)" in problem for problem in problems)
        assert any("../../etc" in problem for problem in problems)
        names = [builder["name"] for builder in farm.get("builders")["builders"]]
        assert not [name for name in names if "$" in name or ".." in name]


def shown(farm: LiveFarm, name: str) -> dict[str, object] | None:
    """A builder, if the web interface shows it: it hides those of no running master, but for virtual ones."""
    builder = farm.builder(name)
    return builder if builder and "_virtual_" in builder["tags"] else None


def is_waited_for(farm: LiveFarm, build_id: str) -> bool:
    """Whether it is still to be built for a run."""
    entries = (entry for run in farm.runs.runs(is_open=True) for entry in farm.runs.entries(run.id))
    return any(str(entry.build_id) == build_id and entry.ending is None for entry in entries)


def repo_polls(repo: AptRepo) -> int:
    return sum(path.endswith("InRelease") for path in repo.requests)


class TestForce:
    def test_by_module_and_kernel_it_lands_on_the_kernels_own_builder(self, farm: LiveFarm, new: str) -> None:
        name = f"hello/{new}"
        first = farm.await_built(name)
        status, answer = farm.force(builderid=0, module="hello", kernel=new.split("/")[1], rebuild=True)
        assert status == 200, answer
        again = farm.await_built(name, after=first.finished)
        assert again.build_url != first.build_url
        assert again.key == first.key
        assert farm.builds(name)[-1]["properties"]["owner"][1] == "Force Build Form"

    def test_on_the_kernels_own_page_its_builder_says_which(self, farm: LiveFarm, old: str) -> None:
        name = f"hello/{old}"
        first = farm.await_built(name)
        builder = farm.builder(name)
        assert builder is not None
        status, answer = farm.force(builderid=builder["builderid"], rebuild=True)
        assert status == 200, answer
        farm.await_built(name, after=first.finished)

    def test_the_button_is_on_the_kernels_own_page(self, farm: LiveFarm, old: str) -> None:
        farm.await_built(f"hello/{old}")
        builder = farm.builder(f"hello/{old}")
        assert builder is not None
        [button] = farm.get(f"builders/{builder['builderid']}/forceschedulers")["forceschedulers"]
        assert button["name"] == "force"

    def test_what_is_built_is_not_built_again_unless_asked_to(self, farm: LiveFarm, old: str) -> None:
        farm.await_built(f"hello/{old}")
        before = len(farm.builds(f"hello/{old}"))
        status, answer = farm.force(module="hello", kernel=old)
        assert status == 400
        assert "is built" in json.dumps(answer)
        assert len(farm.builds(f"hello/{old}")) == before

    def test_what_is_refused_for_another_field_is_not_waited_for(self, farm: LiveFarm, old: str) -> None:
        name = f"hello/{old}"
        first = farm.await_built(name)
        farm.until(lambda: not is_waited_for(farm, name))
        status, answer = farm.force(module="hello", kernel=old, rebuild=True, priority="first of all")
        assert status == 400, answer
        assert not is_waited_for(farm, name)
        status, answer = farm.force(module="hello", kernel=old, rebuild=True)
        assert status == 200, answer
        farm.await_built(name, after=first.finished)
        farm.until(lambda: not is_waited_for(farm, name))

    def test_an_unknown_kernel_is_refused_with_the_nearest(self, farm: LiveFarm, old: str) -> None:
        farm.await_built(f"hello/{old}")
        release = old.split("/")[1]
        status, answer = farm.force(module="hello", kernel=release.replace("-50-", "-51-") + "x")
        assert status == 400
        assert release in json.dumps(answer)

    @pytest.mark.parametrize(
        "kernel", ["../../etc/passwd", "6.1.0-50-amd64; id", "$(id)", "6.1 0", "<script>", "x" * 5000, "\n", ""]
    )
    def test_a_hostile_kernel_is_refused(self, farm: LiveFarm, kernel: str) -> None:
        before = len(farm.get("buildsets")["buildsets"])
        status, answer = farm.force(module="hello", kernel=kernel)
        assert status == 400, answer
        assert len(json.dumps(answer)) < 1000
        assert len(farm.get("buildsets")["buildsets"]) == before

    @pytest.mark.parametrize("form", [{"kernel": ["a", "b"]}, {"kernel": {"a": 1}}, {"module": "nosuch"}, {}])
    def test_a_form_of_another_shape_is_refused(self, farm: LiveFarm, form: dict[str, object]) -> None:
        status, answer = farm.force(**{"module": "hello", "kernel": "no", **form} if form else {})
        assert status == 400, answer


class TestFailures:
    def test_a_module_that_does_not_compile_fails_with_the_compilers_first_error(
        self, farm: LiveFarm, old: str
    ) -> None:
        outcome = farm.await_outcome(f"broken/{old}")
        assert outcome.status is Status.FAILED
        assert re.match(r"\S*broken\.c:\d+:\d+: error: implicit declaration of function", outcome.cause)
        assert not list(farm.bucket.list("modules/broken/")) + list(farm.bucket.list("index/broken/"))
        [build] = farm.builds(f"broken/{old}")
        log = farm.step_log(build, "build").strip().splitlines()
        assert log[-1] == f"to build this by hand: kmodci build broken/{old}"
        assert outcome.cause in farm.step_log(build, "build", "why")

    def test_a_failed_build_is_not_tried_again_by_itself(self, farm: LiveFarm, repo: AptRepo, old: str) -> None:
        farm.await_outcome(f"broken/{old}")
        looks = repo_polls(repo)
        farm.until(lambda: repo_polls(repo) > looks + 2)
        assert len(farm.builds(f"broken/{old}")) == 1

    def test_a_module_that_writes_nothing_fails(self, farm: LiveFarm, old: str) -> None:
        outcome = farm.await_outcome(f"silent/{old}")
        assert outcome.status is Status.FAILED
        assert "silent.ko" in outcome.cause
        assert not list(farm.bucket.list("modules/silent/"))

    @pytest.mark.parametrize(
        ("module", "cause"),
        [
            ("hungry", "killed for memory: the limit is 768 MiB"),
            ("modest", "killed for memory: the limit is 256 MiB"),
            ("drown", "killed for memory, most likely: the limit is 768 MiB"),
            ("flood", "disk full: the limit is 512 MiB in /build"),
            ("chatty", "stopped: its log is longer than the limit of 64 KiB"),
            ("oneline", "stopped: its log is longer than the limit of 64 KiB"),
            ("endless", "stopped after 3 s, the limit of its time"),
            ("forks", "stopped after 5 s, the limit of its time"),
        ],
    )
    def test_a_module_that_takes_too_much_fails_once(self, farm: LiveFarm, old: str, module: str, cause: str) -> None:
        outcome = farm.await_outcome(f"{module}/{old}")
        assert (outcome.status, outcome.cause) == (Status.FAILED, cause)
        assert len(farm.builds(f"{module}/{old}")) == 1

    def test_what_dkms_conf_excludes_is_skipped_with_the_reason(self, farm: LiveFarm, old: str) -> None:
        outcome = farm.await_outcome(f"picky/{old}")
        assert outcome.status is Status.SKIPPED
        assert "BUILD_EXCLUSIVE_KERNEL" in outcome.cause

    def test_a_package_that_the_mirror_lost_makes_a_kernel_unavailable(
        self, farm: LiveFarm, repo: AptRepo, folder: Path
    ) -> None:
        debs = kernel_packages(folder / "debs", "6.1.0-99-amd64")
        for deb in debs:
            repo.add(deb)
        listed = repo.packages("amd64")
        (repo.root / "pool" / debs[0].name).unlink()
        extra = "\n\n".join(
            part for part in listed.split("\n\n") if part.startswith("Package: linux-headers-6.1.0-99-am")
        )
        repo.publish(extra={"amd64": f"\n{extra}\n\n"})
        outcome = farm.await_outcome(f"hello/{TARGET}/6.1.0-99-amd64")
        assert outcome.status is Status.UNAVAILABLE
        assert f"{repo.url}/pool/{debs[0].name}" in outcome.cause


class TestGit:
    def test_a_new_commit_is_built_for_every_kernel(self, farm: LiveFarm, git: Path, old: str, new: str) -> None:
        first = [farm.await_built(f"gitty/{kernel}") for kernel in (old, new)]
        (git / "gitty.c").write_text((git / "gitty.c").read_text().replace('"1"', '"2"'))
        now = time.time()
        name = commit(git, "The second one")
        for kernel, before in zip((old, new), first, strict=True):
            outcome = farm.await_built(f"gitty/{kernel}", after=now)
            assert outcome.module_version == f"git-{name[:12]}" != before.module_version
        changes = farm.get("changes?order=-changeid&limit=20")["changes"]
        assert any(name[:12] in change["comments"] for change in changes)

    def test_an_older_commit_can_be_forced_and_does_not_become_the_modules_state(
        self, farm: LiveFarm, git: Path, old: str
    ) -> None:
        current = farm.await_built(f"gitty/{old}")
        run_git(git, "tag", "--force", "older", "HEAD")
        (git / "README").write_text("nothing\n")
        newest = commit(git, "The newest one")
        current = farm.until(
            lambda: o if (o := built(farm, f"gitty/{old}")) and newest[:12] in o.module_version else None
        )
        before = len(farm.builds(f"gitty/{old}"))
        status, answer = farm.force(module="gitty", kernel=old, module_ref="older")
        assert status == 200, answer
        farm.until(lambda: len(done(farm, f"gitty/{old}")) > before)
        assert farm.outcome(f"gitty/{old}") == current
        version = f"git-{run_git(git, 'rev-parse', 'older')[:12]}"
        assert any(True for _ in farm.bucket.list(f"modules/gitty/{version}/"))


def built(farm: LiveFarm, build_id: str) -> Outcome | None:
    outcome = farm.outcome(build_id)
    return outcome if outcome and outcome.status is Status.BUILT else None


def done(farm: LiveFarm, build_id: str) -> list[object]:
    return [build for build in farm.builds(build_id) if build["complete"]]


@pytest.fixture(scope="module")
def answers(farm: LiveFarm, old: str) -> dict[str, list[str]]:
    """What the module `spy` saw from inside its build."""
    found: dict[str, list[str]] = {}
    for line in farm.build_log(farm.await_built(f"spy/{old}")).splitlines():
        if answer := re.match(r"probe (\w+): (.*)", line):
            found.setdefault(answer[1], []).append(answer[2].strip())
    return found


class TestIsolation:
    def test_it_has_no_rights(self, answers: dict[str, list[str]]) -> None:
        assert answers["user"] == ["65534 65534"]
        status = dict(word.split(":=") for word in answers["status"][0].split())
        assert {int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {0}
        assert status["NoNewPrivs"] == "1"
        assert status["Seccomp"] == "2"

    def test_it_has_no_network(self, answers: dict[str, list[str]]) -> None:
        assert answers["interfaces"] == ["lo"]
        assert answers["routes"] == [""]

    def test_its_memory_is_limited(self, answers: dict[str, list[str]]) -> None:
        assert answers["memory"] == [str(768 << 20)]

    def test_it_finds_no_secret(self, answers: dict[str, list[str]]) -> None:
        assert answers["secrets"] == [""]
        assert not [line for line in answers["environ"] if "WORKERPASS" in line]
        assert not [line for line in answers["cmdline"] if "WORKERPASS" in line]
        assert answers["socket"] == [""]

    def test_it_sees_its_own_inputs_and_nothing_of_another_build(self, answers: dict[str, list[str]]) -> None:
        assert answers["inputs"] == ["headers.tar.zst source.tar.zst"]
        assert "spy-1.0" in answers["build"][0]
        assert not re.search("hello|broken|gitty|hungry", answers["build"][0])

    def test_it_can_change_nothing_that_outlives_it(self, answers: dict[str, list[str]]) -> None:
        assert "written" not in answers
        assert "changed" not in answers


class TestListening:
    def test_the_event_stream_is_closed(self, farm: LiveFarm) -> None:
        for path in ("sse", "sse/listen/builds/*/*", "sse/add/1/builds"):
            assert farm.status(path) == 404

    def test_it_is_a_registry_only_for_a_cluster(self, farm: LiveFarm) -> None:
        assert farm.status("v2/") == 404

    def test_nothing_listens_to_the_world(self, farm: LiveFarm) -> None:
        assert listeners(farm.port) == listeners(farm.port + 1) == {"0100007F"}


def listeners(port: int) -> set[str]:
    """The addresses that something listens on at a port, as /proc/net/tcp writes them."""
    lines = [*Path("/proc/net/tcp").read_text().splitlines(), *Path("/proc/net/tcp6").read_text().splitlines()]
    words = [line.split() for line in lines]
    return {w[1].split(":")[0] for w in words if w[3] == "0A" and w[1].endswith(f":{port:04X}")}


class TestReconfig:
    def test_a_mistake_keeps_the_old_configuration(self, farm: LiveFarm, modules: dict[str, object], old: str) -> None:
        farm.await_built(f"hello/{old}")
        farm.write("modules.yml", "modules:\n  hello:\n    sourc: {path: /nowhere}\n")
        said = farm.reconfigure()
        assert "modules.yml:3" in said
        farm.write_modules(modules)
        assert shown(farm, f"hello/{old}")

    def test_a_new_module_is_built_and_no_builder_is_lost(
        self, farm: LiveFarm, modules: dict[str, object], kernels: dict[str, RealKernel], old: str
    ) -> None:
        farm.await_built(f"hello/{old}")
        before = {b["name"] for b in farm.get("builders")["builders"] if "_virtual_" in b["tags"]}
        farm.write_modules({**modules, "extra": source("hello", kernels={"include": [old]})})
        assert "update complete" in farm.reconfigure()
        farm.await_built(f"extra/{old}")
        after = {b["name"] for b in farm.get("builders")["builders"] if "_virtual_" in b["tags"]}
        assert after >= before | {f"extra/{old}"}
        status, answer = farm.force(module="extra", kernel=old, rebuild=True)
        assert status == 200, answer
