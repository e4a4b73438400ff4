"""What is told, when, and to whom, on a real database."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from kmodci.errors import StoreError
from kmodci.matrix import Planned, Why
from kmodci.model import ModuleVersion, Outcome, Status
from kmodci.news import TestNews
from kmodci.newsdesk import LIFETIME, NewsDesk
from kmodci.newsstore import COMMIT_NOTES, MOST_WAITING, Letter
from kmodci.notifyfile import GitHubAt, MailAt, Receiver, WebhookAt
from kmodci.runs import Ending, Run, cut
from kmodci.runstore import RunStore
from kmodci.schema import Web
from kmodci.settings import Settings
from kmodci.store import Store
from support.standings import KERNELS, standing

HOOK = Receiver(webhook=WebhookAt(url="http://127.0.0.1:1"))
ENTRIES = [standing(number, Status.PENDING).entry for number in range(len(KERNELS))]
KEYS = {str(entry.build_id): "k" for entry in ENTRIES}
FETCH = {"git": "https://github.com/owner/loop.git", "commit": "c" * 40}
VERSIONS = {"loop": ModuleVersion(module="loop", version="1", origin="", fetch=FETCH, digest="c" * 40)}
NO_FROB = "x.c:7:3: error: no `frob`"


class Farm:
    """As much of a farm as there is to tell of."""

    def __init__(self, database: str) -> None:
        self.store = Store(database)
        self.store.create()
        self.runs = RunStore(self.store)
        self.begun = 0

    def desk(self, receivers: Mapping[str, Receiver]) -> NewsDesk:
        """Of a master that was started now."""
        desk = NewsDesk(settings=Settings.model_construct(notify=receivers, web=Web()), store=self.store)
        desk.begin(50.0)
        return desk

    def open(self, *numbers: int, at: float, why: Why = Why.NEW_KERNEL) -> Run:
        """A run of these builds."""
        self.begun += 1
        run = Run(id=f"2026-11-28-12000{self.begun}", started=at)
        planned = [Planned(entry=ENTRIES[number], key="k", why=why) for number in numbers]
        self.runs.put_run(run, cut(planned, length=4, outcomes={}, holds={}))
        return run

    def end(self, run: Run, status: Status, cause: str = "", *, at: float, leave: int = 0) -> None:
        """All of its builds but for some; and the run, if all have."""
        entries = self.runs.entries(run.id)
        ended = entries[: len(entries) - leave]
        self.store.put_outcomes(outcome(each.build_id.release, status, cause, at) for each in ended)
        self.runs.update_entries(
            run.id, [replace(each, ending=Ending(str(status)), cause=cause, finished=at) for each in ended]
        )
        if not leave:
            self.runs.update_run(replace(run, finished=at))


def outcome(release: str, status: Status, cause: str, at: float) -> Outcome:
    [number] = [number for number, kernel in enumerate(KERNELS) if kernel.release == release]
    found = standing(number, status, cause, finished=at).outcome
    assert found
    return found


@pytest.fixture
def farm(database_url: str) -> Iterator[Farm]:
    made = Farm(database_url)
    yield made
    made.store.close()


def look(desk: NewsDesk, now: float) -> None:
    desk.look(ENTRIES, KEYS, VERSIONS, now)


def hub(folder: Path) -> GitHubAt:
    (folder / "token").touch(0o600)
    return GitHubAt(token_file=folder / "token")


def told(desk: NewsDesk, receiver: str = "hook") -> list[str]:
    """The letters that are on their way, which arrive with that."""
    letters = desk.news.letters(receiver)
    desk.news.forget_letters(letters)
    return [letter.id.partition("/")[0] for letter in letters]


def test_a_run_and_its_new_group_are_told_once(farm: Farm) -> None:
    desk = farm.desk({"hook": HOOK})
    run = farm.open(0, 1, 2, at=100)
    look(desk, 101)
    farm.end(run, Status.FAILED, NO_FROB, at=110, leave=1)
    look(desk, 111)
    assert told(desk) == [], "the run goes on"
    farm.end(run, Status.FAILED, NO_FROB, at=120)
    assert desk.is_urgent()
    look(desk, 121)
    failure, ended = desk.news.letters("hook")
    assert failure.news.kind == "failure" and failure.news.kernels == 3
    assert failure.news.url == ended.news.url == f"http://127.0.0.1:8010/kmodci/runs/{run.id}"
    assert ended.news.kind == "run" and ended.news.endings == {"failed": 3}
    assert told(desk) == ["failure", "run"]
    assert not desk.is_urgent()
    # neither by another look, nor by another start, nor for another kernel
    look(desk, 200)
    look(farm.desk({"hook": HOOK}), 300)
    farm.end(farm.open(3, at=310), Status.FAILED, NO_FROB, at=320)
    look(farm.desk({"hook": HOOK}), 330)
    assert told(desk) == ["run"]


def test_a_group_of_a_long_run_is_told_before_its_end(farm: Farm) -> None:
    desk = farm.desk({"hook": HOOK})
    run = farm.open(0, 1, at=100)
    farm.end(run, Status.FAILED, NO_FROB, at=110, leave=1)
    look(desk, 111)
    look(desk, 111 + 899)
    assert told(desk) == []
    look(desk, 111 + 900)
    assert told(desk) == ["failure"]
    farm.end(run, Status.FAILED, NO_FROB, at=2000)
    look(desk, 2001)
    assert told(desk) == ["run"]


def test_what_is_mended_is_told_with_the_next_run_and_new_when_it_comes_back(farm: Farm) -> None:
    desk = farm.desk({"hook": HOOK})
    for at, status in ((100, Status.FAILED), (200, Status.BUILT), (300, Status.FAILED)):
        farm.end(farm.open(0, at=at), status, NO_FROB if status is Status.FAILED else "", at=at + 10)
        look(desk, at + 20)
        letters = desk.news.letters("hook")
        runs = [each.news for each in letters if each.news.kind == "run"]
        assert [len(each.mended) for each in runs] == [status is Status.BUILT]
        assert told(desk) == (["run"] if status is Status.BUILT else ["failure", "run"])
    look(desk, 400)
    assert told(desk) == []


def test_what_is_mended_is_told_once_and_by_a_run_that_all_are_told_of(farm: Farm) -> None:
    desk = farm.desk({"hook": HOOK, "forced": HOOK.model_copy(update={"forced": True})})
    farm.end(farm.open(0, at=100), Status.FAILED, NO_FROB, at=110)
    look(desk, 120)
    farm.end(farm.open(0, at=200, why=Why.FORCED), Status.BUILT, at=210)
    look(desk, 220)
    farm.end(farm.open(1, at=300), Status.BUILT, at=310)
    look(desk, 320)
    mended = {
        name: [len(each.news.mended) for each in desk.news.letters(name) if each.news.kind == "run"]
        for name in ("hook", "forced")
    }
    assert mended == {"hook": [0, 1], "forced": [0, 0, 1]}


def test_a_look_without_news_writes_nothing(farm: Farm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = farm.desk({"hook": HOOK, "hub": Receiver(github=hub(tmp_path))})
    farm.end(farm.open(0, 1, at=100), Status.FAILED, NO_FROB, at=110)
    farm.end(farm.open(2, at=111), Status.FAILED, "x.c:1:1: error: no `other`", at=112)
    look(desk, 120)
    before = desk.news.known()
    asked: list[str] = []
    transaction = Store.transaction
    monkeypatch.setattr(Store, "transaction", lambda self, what: [asked.append(what), transaction(self, what)][1])
    look(desk, 180)
    assert asked and not {"write news", "find the run of a build"} & set(asked)
    # one of two groups changes, and the other stays
    farm.end(farm.open(2, at=200), Status.BUILT, at=210)
    look(desk, 220)
    assert "write news" in asked
    [left] = desk.news.known()
    assert len(before) == 2 and left in before


def test_what_was_before_the_first_start_is_no_news(farm: Farm) -> None:
    run = farm.open(0, at=10)
    farm.end(run, Status.FAILED, NO_FROB, at=20)
    desk = farm.desk({"hook": HOOK})
    look(desk, 60)
    assert told(desk) == []
    # and so with what was while nobody was to be told
    farm.desk({})
    farm.end(farm.open(1, at=30), Status.FAILED, "x.c:1:1: error: no `other`", at=40)
    desk = farm.desk({"hook": HOOK})
    look(desk, 70)
    assert told(desk) == []


def test_each_receiver_is_told_what_it_wants(farm: Farm) -> None:
    receivers = {
        "all": HOOK,
        "runs": HOOK.model_copy(update={"on": ("runs",)}),
        "failures": HOOK.model_copy(update={"on": ("failures",)}),
        "forced": HOOK.model_copy(update={"forced": True}),
    }
    desk = farm.desk(receivers)
    farm.end(farm.open(0, at=100), Status.FAILED, NO_FROB, at=110)
    look(desk, 120)
    assert {name: told(desk, name) for name in receivers} == {
        "all": ["failure", "run"],
        "runs": ["run"],
        "failures": ["failure"],
        "forced": ["failure", "run"],
    }
    farm.end(farm.open(1, at=200, why=Why.FORCED), Status.BUILT, at=210)
    look(desk, 220)
    assert {name: told(desk, name) for name in receivers} == {"all": [], "runs": [], "failures": [], "forced": ["run"]}


def test_a_commit_is_told_to_its_host_only(farm: Farm, tmp_path: Path) -> None:
    at = hub(tmp_path)
    inside = at.model_copy(update={"base_url": "https://github.example.com/api/v3"})
    desk = farm.desk({"hub": Receiver(github=at), "inside": Receiver(github=inside), "hook": HOOK})
    run = farm.open(0, 1, at=100)
    more = farm.open(*range(2, len(ENTRIES)), at=101)
    look(desk, 101)
    look(desk, 102)
    [pending] = desk.news.letters("hub")
    assert pending.news.kind == "commit" and pending.news.state == "pending"
    farm.end(run, Status.BUILT, at=110)
    look(desk, 111)
    assert len(desk.news.letters("hub")) == 1, "others are still to be built"
    farm.end(more, Status.BUILT, at=112)
    look(desk, 120)
    states = [each.news.state for each in desk.news.letters("hub") if each.news.kind == "commit"]
    assert states == ["pending", "success"]
    assert desk.news.letters("inside") == []
    assert told(desk) == ["run", "run"]


def test_a_commit_is_not_judged_by_what_was_built_of_the_one_before(farm: Farm, tmp_path: Path) -> None:
    desk = farm.desk({"hub": Receiver(github=hub(tmp_path))})
    farm.end(farm.open(*range(len(ENTRIES)), at=100), Status.BUILT, at=110)
    look(desk, 120)
    assert [each.news.commit for each in desk.news.letters("hub") if each.news.kind == "commit"] == ["c" * 40]
    assert told(desk, "hub") == ["commit"]
    # its poller has found a new one, and nothing was planned since
    new = replace(VERSIONS["loop"], fetch={**FETCH, "commit": "d" * 40}, digest="d" * 40)
    farm.store.put_module_version(new)
    look(desk, 180)
    assert told(desk, "hub") == []
    # as it is planned
    desk.look(ENTRIES, dict.fromkeys(KEYS, "k2"), {"loop": new}, 181)
    assert [each.news.state for each in desk.news.letters("hub") if each.news.kind == "commit"] == ["pending"]


def commits(desk: NewsDesk, receiver: str) -> list[Letter]:
    return [each for each in desk.news.letters(receiver) if each.news.kind == "commit"]


def test_each_who_is_told_of_commits_is_told_of_all(farm: Farm, tmp_path: Path) -> None:
    at = hub(tmp_path)
    desk = farm.desk({"hub": Receiver(github=at)})
    farm.end(farm.open(*range(len(ENTRIES)), at=100), Status.BUILT, at=110)
    look(desk, 120)
    assert told(desk, "hub") == ["commit"]
    # one more of the same host, and another context
    more = {"hub": Receiver(github=at), "too": Receiver(github=at.model_copy(update={"context": "too"}))}
    desk = farm.desk(more)
    look(desk, 180)
    assert [len(commits(desk, name)) for name in more] == [0, 1]
    look(desk, 240)
    desk = farm.desk({"hub": Receiver(github=at.model_copy(update={"context": "other"}))})
    look(desk, 300)
    assert len(commits(desk, "hub")) == 1


def test_a_commit_that_did_not_arrive_is_told_again(farm: Farm, tmp_path: Path) -> None:
    desk = farm.desk({"hub": Receiver(github=hub(tmp_path))})
    farm.end(farm.open(*range(len(ENTRIES)), at=100), Status.BUILT, at=110)
    look(desk, 120)
    look(desk, 120 + LIFETIME)
    [letter] = commits(desk, "hub")
    assert desk.waiting("hub", 121 + LIFETIME) == ([], [letter])
    look(desk, 180 + LIFETIME)
    [again] = commits(desk, "hub")
    assert again.news == letter.news and again.written == 180 + LIFETIME


def test_a_commit_that_is_refused_is_told_again_when_it_changes_or_by_another_start(farm: Farm, tmp_path: Path) -> None:
    receivers = {"hub": Receiver(github=hub(tmp_path))}
    desk = farm.desk(receivers)
    farm.end(farm.open(*range(len(ENTRIES)), at=100), Status.BUILT, at=110)
    look(desk, 120)
    desk.refuse(*commits(desk, "hub"))
    look(desk, 180)
    assert commits(desk, "hub") == []
    restarted = farm.desk(receivers)
    look(restarted, 190)
    assert [each.news.state for each in commits(restarted, "hub")] == ["success"]
    restarted.refuse(*commits(restarted, "hub"))
    farm.end(farm.open(0, at=200), Status.FAILED, NO_FROB, at=210)
    look(restarted, 220)
    assert [each.news.state for each in commits(restarted, "hub")] == ["failure"]


def test_commits_wait_for_room(farm: Farm, tmp_path: Path) -> None:
    desk = farm.desk({"hub": Receiver(github=hub(tmp_path))})
    farm.end(farm.open(*range(len(ENTRIES)), at=100), Status.BUILT, at=110)
    desk.news.write(
        letters=[Letter(receiver="hub", id=f"x/{n:04}", written=100.0, news=_news()) for n in range(MOST_WAITING)]
    )
    look(desk, 120)
    assert commits(desk, "hub") == []
    told(desk, "hub")
    look(desk, 180)
    assert len(commits(desk, "hub")) == 1


def test_what_is_not_for_who_has_the_name_now_is_forgotten(farm: Farm, tmp_path: Path) -> None:
    github = Receiver(github=hub(tmp_path))
    desk = farm.desk({"it": HOOK})
    farm.end(farm.open(*range(len(ENTRIES)), at=100), Status.BUILT, at=110)
    look(desk, 120)
    assert desk.waiting("it", 121)[0]
    desk = farm.desk({"it": github})
    assert desk.waiting("it", 122) == ([], [])
    look(desk, 180)
    assert len(desk.waiting("it", 181)[0]) == 1
    desk = farm.desk({"it": HOOK})
    assert desk.waiting("it", 182) == ([], [])
    assert desk.news.letters("it") == [] and not farm.store.metas(COMMIT_NOTES)


def test_each_address_of_a_mail_is_told_by_itself(farm: Farm) -> None:
    mail = MailAt.model_validate({"to": ["ann@example.org", "ben@example.org"], "from": "kmodci@example.org"})
    desk = farm.desk({"list": Receiver(mail=mail, on=("runs",))})
    assert [each.mail.to for each in desk.receivers.values() if each.mail] == [
        ("ann@example.org",),
        ("ben@example.org",),
    ]
    farm.end(farm.open(0, at=100), Status.BUILT, at=110)
    look(desk, 120)
    assert told(desk, "list to ann@example.org") == ["run"]
    assert len(desk.waiting("list to ben@example.org", 121)[0]) == 1


def test_nothing_is_noted_that_is_not_told(farm: Farm, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = farm.desk({"hook": HOOK})
    farm.end(farm.open(0, at=100), Status.FAILED, NO_FROB, at=110)
    with monkeypatch.context() as patched:
        patched.setattr(desk.__class__, "_letters", lambda self, news, now: [_broken()])
        with pytest.raises(StoreError):
            look(desk, 120)
    look(farm.desk({"hook": HOOK}), 130)
    assert told(desk) == ["failure", "run"]


def _broken() -> Letter:
    """That no database takes."""
    letter = Letter(receiver="hook", id="x", written=0.0, news=_news())
    return replace(letter, receiver=None)  # type: ignore[arg-type] # on purpose


def _news() -> TestNews:
    return TestNews(url="")


def test_what_does_not_arrive_is_given_up_after_a_day_and_bounded(farm: Farm) -> None:
    desk = farm.desk({"hook": HOOK})
    farm.end(farm.open(0, at=100), Status.BUILT, at=110)
    look(desk, 120)
    assert [len(each) for each in desk.waiting("hook", 120 + LIFETIME)] == [1, 0]
    assert [len(each) for each in desk.waiting("hook", 121 + LIFETIME)] == [0, 1]
    assert [len(each) for each in desk.waiting("hook", 121 + LIFETIME)] == [0, 0], "once"
    many = [Letter(receiver="hook", id=f"x/{n:04}", written=200.0, news=_news()) for n in range(MOST_WAITING + 3)]
    desk.news.write(letters=many)
    left, given_up = desk.waiting("hook", 201)
    assert (len(left), [each.id for each in given_up]) == (MOST_WAITING, ["x/0000", "x/0001", "x/0002"])


def test_who_is_not_configured_any_more_gets_nothing(farm: Farm) -> None:
    desk = farm.desk({"hook": HOOK, "other": HOOK})
    farm.end(farm.open(0, at=100), Status.BUILT, at=110)
    look(desk, 120)
    desk = farm.desk({"other": HOOK})
    assert (told(desk), told(desk, "other")) == ([], ["run"])
