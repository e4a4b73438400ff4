"""Receivers are told of each run and of each new failure once, by each kind of Buildbot's reporters."""

import json
import os
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from benchmarks.aptrepo import AptRepo
from benchmarks.webserver import WebServer
from kmodci.newsstore import NewsStore
from support.farm import SOURCES, LiveFarm, live_farm, source
from support.receivers import Hook, Mailbox, hook, mailbox
from support.s3 import free_port

pytestmark = [pytest.mark.docker, pytest.mark.network, pytest.mark.timeout(300)]

SECRET = "hook-of-nobody-else"
TOKEN = "t0p-tok3n"


class Told:
    """Those who are told, and one who is away."""

    def __init__(self, stack: ExitStack) -> None:
        self.hook: Hook = stack.enter_context(hook())
        self.chat: Hook = stack.enter_context(hook())
        self.github: Hook = stack.enter_context(hook(status=201))
        self.box: Mailbox = stack.enter_context(mailbox())
        self.away = free_port()

    def settings(self, folder: Path) -> dict[str, object]:
        """`notify:` of kmodci.yml."""
        files = {"chat": f"{self.chat.url}/{SECRET}", "away": f"http://127.0.0.1:{self.away}/{SECRET}", "token": TOKEN}
        for name, content in files.items():
            (folder / name).write_text(content)
            (folder / name).chmod(0o600)
        return {
            "program": {"webhook": {"url": f"{self.hook.url}/kmodci"}},
            "chat": {"webhook": {"url_file": str(folder / "chat"), "format": "slack"}},
            "away": {"webhook": {"url_file": str(folder / "away")}},
            "list": {"mail": {"to": "kernels@example.org", "from": "farm@example.org", "port": self.box.port}},
            "upstream": {"github": {"token_file": str(folder / "token"), "base_url": f"{self.github.url}/api/v3"}},
        }

    def statuses(self) -> list[tuple[str, str, str]]:
        """Path, context and state of each status that was set."""
        return [
            (each.path, each.body["context"], each.body["state"]) for each in self.github.got if each.method == "POST"
        ]


@pytest.fixture(scope="module")
def told() -> Iterator[Told]:
    with ExitStack() as stack:
        yield Told(stack)


@pytest.fixture(scope="module")
def commit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The URL of a git repository, `.../owner/broken.git`, and its commit."""
    served = tmp_path_factory.mktemp("git")
    work, bare = served / "work", served / "mirror" / "owner" / "broken.git"
    shutil.copytree(SOURCES / "broken", work)

    def git(*arguments: str, folder: Path = work) -> str:
        identity = ("-c", "user.name=t", "-c", "user.email=t@example.org")
        return subprocess.run(
            ("git", *identity, *arguments), cwd=folder, check=True, capture_output=True, text=True
        ).stdout.strip()

    git("init", "--quiet", "--initial-branch=main")
    git("add", ".")
    git("commit", "--quiet", "--message=broken")
    bare.parent.mkdir(parents=True)
    git("clone", "--quiet", "--bare", str(work), str(bare))
    git("update-server-info", folder=bare)
    with WebServer(served / "mirror") as server:
        yield f"{server.url}/owner/broken.git", git("rev-parse", "HEAD")


@pytest.fixture(scope="module")
def farm(
    folder: Path, repo: AptRepo, publish: Callable[..., None], told: Told, commit: tuple[str, str]
) -> Iterator[LiveFarm]:
    publish(repo, "old", "old-cloud")
    modules = {"broken": {"source": {"git": commit[0], "ref": "main"}}, "hello": source("hello")}
    with live_farm(folder, repo, modules) as made:
        settings = json.loads((made.config / "kmodci.yml").read_text())
        made.write("kmodci.yml", {**settings, "notify": told.settings(folder)})
        yield made


def kinds(bodies: list[dict[str, str]]) -> Counter[str]:
    return Counter(body["kind"] for body in bodies)


def await_arrived(farm: LiveFarm) -> None:
    """Until the only letters on their way are those to who is away."""
    store = NewsStore(farm.store)
    farm.until(lambda: store.since() and not [each for each in store.letters() if each.receiver != "away"])


def test_a_run_with_failures_is_one_message_and_one_for_the_group(
    farm: LiveFarm, told: Told, commit: tuple[str, str]
) -> None:
    farm.up()
    farm.until(lambda: len(told.hook.posted()) >= 2, seconds=180)
    await_arrived(farm)
    [run] = farm.runs.runs()
    page = f"{farm.url}/kmodci/runs/{run.id}"
    assert kinds(told.hook.posted("/kmodci")) == {"run": 1, "failure": 1}
    of_run = next(body for body in told.hook.posted() if body["kind"] == "run")
    failure = next(body for body in told.hook.posted() if body["kind"] == "failure")
    assert (of_run["run"], of_run["url"], of_run["planned"]) == (run.id, page, 4)
    assert of_run["endings"] == {"built": 2, "failed": 2}
    assert (failure["module"], failure["kernels"], failure["url"]) == ("broken", 2, page)
    assert "no_such_function" in failure["cause"]
    assert of_run["causes"] == [{"ending": "failed", "cause": failure["cause"], "kernels": 2, "modules": ["broken"]}]

    texts = [body["text"] for body in told.chat.posted(f"/{SECRET}")]
    assert sorted(text.partition("|")[2].partition(" ")[0] for text in texts) == ["broken", "run"]
    assert all(text.startswith(f"<{page}|") for text in texts)

    subjects = sorted(line for _, mail in told.box.got for line in mail.splitlines() if line.startswith("Subject: "))
    assert len(told.box.got) == 2
    assert subjects[0].startswith("Subject: kmodci: broken failed for 2 kernels: ")
    assert subjects[1] == f"Subject: kmodci: run {run.id}: 2 built, 2 failed"
    assert all(page in mail for _, mail in told.box.got)

    path = f"/api/v3/repos/owner/broken/statuses/{commit[1]}"
    assert told.statuses() == [(path, "kmodci/broken", state) for state in ("pending", "failure")]
    last = told.github.got[-1]
    assert last.headers["Authorization"] == f"token {TOKEN}"
    assert last.body["target_url"] == page
    assert last.body["description"] == "fails for 2 kernels, built for 0 of 2"

    # nobody waited for who is away, and that is said once, without what is secret
    assert len(NewsStore(farm.store).letters("away")) == 2
    farm.until(lambda: "notify: away" in farm.log)
    lines = [line for line in farm.log.splitlines() if "notify: away" in line]
    assert len(lines) == 1 and "is not reached, and tried for a day: Connection was refused" in lines[0]
    assert not any(secret in farm.log for secret in (SECRET, TOKEN))
    assert "Traceback" not in farm.log


def test_another_start_repeats_nothing_and_who_was_away_is_told(farm: LiveFarm, told: Told) -> None:
    os.kill(farm.master_pid(), signal.SIGKILL)
    farm.until(lambda: farm.master.pid() is None)
    farm.close()
    before = told.statuses()
    with hook(told.away) as back:
        # the same failure of another kernel is no news, and its run is
        farm.write_modules({**farm.modules, "other": source("hello")})
        farm.up()
        farm.until(lambda: len(back.posted()) >= 3, seconds=180)
        await_arrived(farm)
        assert kinds(back.posted(f"/{SECRET}")) == {"run": 2, "failure": 1}
    assert kinds(told.hook.posted()) == {"run": 2, "failure": 1}
    assert (len(told.chat.posted()), len(told.box.got)) == (3, 3)
    assert told.statuses() == before
    assert not NewsStore(farm.store).letters()


def test_a_forced_run_is_not_told_but_for_what_it_finds(farm: LiveFarm, told: Told) -> None:
    built = next(name for name in farm.store.outcomes() if name.startswith("other/"))
    module, _, kernel = built.partition("/")
    assert farm.force(module=module, kernel=kernel, rebuild=True)[0] == 200
    farm.until(lambda: len(farm.runs.runs()) == 3 and not farm.runs.runs(is_open=True))
    # the next look notes that it is done with
    farm.until(lambda: not NewsStore(farm.store).untold_runs(0.0))
    await_arrived(farm)
    assert kinds(told.hook.posted()) == {"run": 2, "failure": 1}


def test_a_group_that_is_mended_is_told_with_the_run_that_did_it(farm: LiveFarm, told: Told) -> None:
    farm.write_modules({**farm.modules, "broken": source("hello")})
    assert "configuration update complete" in farm.reconfigure()
    farm.until(lambda: kinds(told.hook.posted())["run"] == 3, seconds=120)
    run = told.hook.posted()[-1]
    assert run["endings"] == {"built": 2}
    assert [group["module"] for group in run["mended"]] == ["broken"]
