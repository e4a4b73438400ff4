import json
import re
import shutil
from pathlib import Path

import pytest
from kmodci.news import (
    NEWS,
    CauseNews,
    CommitNews,
    FailingGroup,
    FailureNews,
    ManyFailuresNews,
    News,
    RunNews,
    TestNews,
)
from kmodci.newswords import as_discord, as_json, as_mail, as_slack, words_of
from kmodci.runs import Ending
from kmodci.settings import load

RUN = RunNews(
    run="2026-11-28-121243",
    url="http://farm.test/kmodci/runs/2026-11-28-121243",
    state="ended",
    is_forced=False,
    started=100.0,
    finished=820.0,
    planned=45,
    endings={Ending.BUILT: 43, Ending.FAILED: 2},
    causes=(CauseNews(ending=Ending.FAILED, cause="no `frob`", kernels=2, modules=("loop",)),),
    more_causes=0,
    mended=(FailingGroup(module="scap", cause="no `x`"),),
)
FAILURE = FailureNews(
    module="loop",
    cause="no `frob`",
    since=100.0,
    builds=tuple(f"loop/debian-sid-amd64/7.{number}.0-amd64" for number in range(20)),
    kernels=40,
    url="http://farm.test/kmodci/runs/2026-11-28-121243",
    build_url="http://farm.test/#/builders/1/builds/1",
)
COMMIT = CommitNews(
    module="loop",
    host="github.com",
    repository="a/b",
    commit="c" * 40,
    state="failure",
    words="fails",
    url="http://farm",
)
MANY = ManyFailuresNews(
    groups=7, kernels=9, largest=(FailingGroup(module="loop", cause="no `x`"),), url="http://farm.test/kmodci/runs"
)
EVERY = [RUN, FAILURE, MANY, COMMIT, TestNews(url="http://farm.test/")]
HOSTILE = "<!channel> @everyone @here <https://evil.example|ok> [ok](https://evil.example) & *b*\x1b[31m\n\u202eBcc: x"


def test_a_run_in_a_mail() -> None:
    subject, text = as_mail(RUN)
    assert subject == "kmodci: run 2026-11-28-121243: 43 built, 2 failed"
    assert text.splitlines() == [
        "http://farm.test/kmodci/runs/2026-11-28-121243",
        "",
        "run 2026-11-28-121243: 43 built, 2 failed",
        "",
        "45 planned, in 12m",
        "failed, 2 kernels, loop: no `frob`",
        "fails no more: scap: no `x`",
    ]


def test_a_group_of_failures() -> None:
    words = words_of(FAILURE)
    assert words.title == "loop failed for 40 kernels: no `frob`"
    assert words.lines[4:] == (
        "loop/debian-sid-amd64/7.4.0-amd64",
        "and 35 more builds",
        "log: http://farm.test/#/builders/1/builds/1",
    )
    assert words_of(MANY).lines == ("loop: no `x`", "and 6 more groups")


@pytest.mark.parametrize("news", EVERY, ids=lambda news: news.kind)
def test_news_survive_json(news: News) -> None:
    assert NEWS.validate_json(news.model_dump_json()) == news
    told = json.loads(json.dumps(as_json(news, "an/id", "http://farm.test/")))
    assert {name: told[name] for name in ("format", "id", "farm", "kind")} == {
        "format": 1,
        "id": "an/id",
        "farm": "http://farm.test/",
        "kind": news.kind,
    }
    assert NEWS.validate_python(told) == news


@pytest.mark.parametrize("news", EVERY, ids=lambda news: news.kind)
def test_the_link_comes_first(news: News) -> None:
    assert as_mail(news)[1].startswith(f"{news.url}\n")
    assert str(as_slack(news)["text"]).startswith(f"<{news.url}|")
    assert str(as_discord(news)["content"]).startswith(f"{news.url}\n")


def hostile(length: int = 1) -> list[News]:
    text = HOSTILE * length
    cause = CauseNews(ending=Ending.FAILED, cause=text, kernels=1, modules=("loop",))
    run = RUN.model_copy(update={"state": f"cancelled by {text}", "causes": (cause,) * 5})
    return [run, FAILURE.model_copy(update={"cause": text}), MANY.model_copy(update={"largest": RUN.mended * 40})]


@pytest.mark.parametrize("news", hostile(), ids=lambda news: news.kind)
def test_what_a_module_said_is_inert(news: News) -> None:
    subject, text = as_mail(news)
    assert subject.isprintable()
    assert all(line.isprintable() for line in text.splitlines())
    assert not any(line.startswith("Bcc") for line in text.splitlines())

    slack = str(as_slack(news)["text"])
    # but for our own link at the beginning, nothing is marked up
    assert slack.count("<") == slack.count(">") == slack.count("|") - slack.count("evil.example|ok&gt;") == 1
    assert not any(mention in slack for mention in ("@everyone", "@here", "<!", "](")), slack

    discord = as_discord(news)
    assert discord["allowed_mentions"] == {"parse": []}
    body = str(discord["content"])
    assert not any(mention in body for mention in ("@everyone", "@here", " <", " [ok]", " *b*")), body


@pytest.mark.parametrize("news", hostile(50), ids=lambda news: news.kind)
def test_messages_are_short(news: News) -> None:
    assert len(as_mail(news)[0]) < 200
    assert len(str(as_slack(news)["text"])) <= 2000
    assert len(str(as_discord(news)["content"])) <= 2000


def test_the_json_of_the_documentation_is_what_is_sent() -> None:
    text = (Path(__file__).parents[1] / "docs" / "notifications.md").read_text()
    blocks = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", text, re.DOTALL)]
    assert [block["kind"] for block in blocks] == ["run", "failure", "failures", "test"]
    for block in blocks:
        assert as_json(NEWS.validate_python(block), block["id"], block["farm"]) == block


def test_the_yaml_of_the_documentation_is_taken(tmp_path: Path) -> None:
    for name in ("kmodci.yml", "docs/notifications.md"):
        root = Path(__file__).parents[1]
        text = (root / "config" / name if name.endswith("yml") else root / name).read_text()
        example = text.partition("# notify:\n" if name.endswith("yml") else "notify:\n")[2]
        example = re.split(r"\n\n|```", example)[0].replace("#  ", "  ")
        folder = tmp_path / name.partition(".")[0].replace("/", "-")
        shutil.copytree(root / "config", folder)
        for path in set(re.findall(r"/etc/kmodci/([\w-]+)", example)):
            (folder / path).touch(0o600)
        (folder / "kmodci.yml").write_text("notify:\n" + example.replace("/etc/kmodci/", ""))
        assert "upstream" in load(folder).notify
