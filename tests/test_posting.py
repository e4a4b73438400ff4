"""What an answer of a receiver means: taken, not now, or never; and that none tells a secret."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from kmodci.bot.posting import FINAL, FINAL_OF_ONE, Answer, Post, Refused, failed
from kmodci.bot.reports import reporter_of
from kmodci.bot.trial import Stand
from kmodci.news import CommitNews
from kmodci.notifyfile import GitHubAt, Receiver
from pydantic import SecretStr
from twisted.internet import defer
from twisted.internet.task import Clock
from twisted.mail.smtp import AUTHDeclinedError, SMTPConnectError, SMTPDeliveryError

ADDRESS = "https://chat.example.org/hooks/T0/B0-xyzzy?token=pl%2Bugh&channel=builds"


class Session:
    """Of HTTP: each path has its answer."""

    def __init__(self, answers: dict[str, tuple[int, str]]) -> None:
        self._answers = answers
        self.http = SimpleNamespace(_pool=SimpleNamespace(closeCachedConnections=lambda: defer.succeed(None)))

    def post(self, path: str, **more: object) -> Any:
        code, said = self._answers[path]
        return defer.succeed(SimpleNamespace(code=code, content=lambda: defer.succeed(said.encode())))


def commit(repository: str) -> CommitNews:
    return CommitNews(
        module="loop",
        host="github.com",
        repository=repository,
        commit="c" * 40,
        state="success",
        words="built for 1 of 1 kernel",
        url="http://f",
    )


@pytest.mark.parametrize(
    ("code", "said", "is_final"),
    [
        (404, "Not Found", True),
        (403, "Resource not accessible by personal access token", True),
        (403, "API rate limit exceeded for user ID 1", False),
        (403, "You have exceeded a secondary rate limit", False),
        (410, "", True),
        (451, "", True),
        (307, "Moved", True),
        (422, "No commit found for SHA", True),
        (401, "Bad credentials", False),
        (429, "", False),
        (502, "", False),
    ],
)
def test_one_repository_that_refuses_is_no_reason_for_another_to_wait(
    tmp_path: Path, code: int, said: str, is_final: bool
) -> None:
    (tmp_path / "token").write_text("t0p-tok3n")
    (tmp_path / "token").chmod(0o600)
    reporter = reporter_of("hub", Receiver(github=GitHubAt(token_file=tmp_path / "token")), "http://f")
    stand = Stand(Clock(), "kmodci")
    stand.httpservice = None
    stand.startService()
    reporter.setServiceParent(stand)
    answers = {
        f"/repos/owner/gone/statuses/{'c' * 40}": (code, said),
        f"/repos/owner/there/statuses/{'c' * 40}": (201, ""),
    }
    reporter._http = Post(Session(answers), Clock())
    told: list[Answer] = []
    [generator] = reporter.generators
    for name in ("gone", "there"):
        report = generator.report(commit(f"owner/{name}"), "commit/loop")
        defer.ensureDeferred(reporter.deliver(report)).addCallback(told.append)
    assert [(each.is_good, each.is_final) for each in told] == [(False, is_final), (True, False)]
    assert told[0].said.startswith(str(code))


@pytest.mark.parametrize("code", [404, 403, 410, 307])
def test_an_address_of_all_messages_may_be_mended(code: int) -> None:
    assert not failed(Refused(code, ""), ()).is_final
    assert failed(Refused(code, ""), (), FINAL_OF_ONE).is_final
    assert 400 in FINAL


@pytest.mark.parametrize(
    ("error", "is_final"),
    [
        (SMTPDeliveryError(550, b"nobody of that name"), True),
        (SMTPDeliveryError(554, b"spam"), True),
        (SMTPDeliveryError(451, b"come back later"), False),
        (SMTPDeliveryError(530, b"authentication required"), False),
        (SMTPConnectError(554, b"no service here"), False),
        (AUTHDeclinedError(535, b"who?"), False),
        (OSError("no route to host"), False),
    ],
)
def test_a_mail_that_is_refused_for_good(error: Exception, is_final: bool) -> None:
    assert failed(error, ()).is_final == is_final


def test_the_server_says_why_a_mail_is_refused() -> None:
    addresses = [(b"ben@example.org", 550, b"nobody of that name")]
    error = SMTPDeliveryError(550, b"No recipients accepted", b"AUTH s3cret", addresses)
    assert failed(error, ()).said == "550 nobody of that name"
    taken = [(b"ben@example.org", 250, b"ok")]
    assert failed(SMTPDeliveryError(554, b"spam", b"AUTH s3cret", taken), ()).said == "554 spam"


@pytest.mark.parametrize(
    "said",
    [
        f"no {ADDRESS}",
        "no /hooks/T0/B0-xyzzy",
        "no hooks/T0/B0-xyzzy here",
        "no /hooks/T0/B0-xyzzy?token=pl%2Bugh&channel=builds",
        "unknown query token=pl%2Bugh&channel=builds",
        "unknown query token=pl+ugh&channel=builds",
        "token pl%2Bugh is not known",
        "token pl+ugh is not known",
    ],
)
def test_no_part_of_a_secret_address_is_told(said: str) -> None:
    answer = failed(Refused(404, said), [SecretStr(ADDRESS)])
    assert "..." in answer.said
    assert not [part for part in ("xyzzy", "pl+ugh", "pl%2Bugh") if part in answer.said]
