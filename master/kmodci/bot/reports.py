"""Which reporter a receiver has, and what news look like to it."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from buildbot.interfaces import IReportGenerator
from buildbot.process.results import FAILURE, SUCCESS
from pydantic import SecretStr
from zope.interface import implementer

from ..errors import SecretUnusable
from ..fields import check_url
from ..news import NEWS, CommitNews, News
from ..newswords import as_discord, as_json, as_mail, as_slack
from ..notifyfile import Receiver
from ..secretfile import read_secret
from .events import NEWS_FOR
from .receivers import GitHub, Mail, Report, Webhook

# GitHub's limit (https://docs.github.com/en/rest/commits/statuses)
_DESCRIPTION = 140


@implementer(IReportGenerator)
class NewsGenerator:
    """Makes a report of the news that are for one receiver."""

    def __init__(self, receiver: str, report: Callable[[News, str], dict[str, object]]) -> None:
        self.wanted_event_keys = [(*NEWS_FOR, receiver)]
        self._report = report

    def check(self) -> None:
        """There is nothing that could be wrong."""

    def generate_name(self) -> str:
        return type(self).__name__

    def generate(self, master: object, reporter: object, key: object, message: Mapping[str, str]) -> Report:
        return self.report(NEWS.validate_json(message["news"]), message["letter"])

    def report(self, news: News, letter: str) -> Report:
        """letter: its id."""
        return {**self._report(news, letter), "letter": letter}


def reporter_of(name: str, receiver: Receiver, farm: str) -> Webhook | Mail | GitHub:
    """The reporter for a receiver. farm: the address of the web interface. Raises SecretUnusable."""
    if at := receiver.webhook:
        url = SecretStr(_address(at.url_file) if at.url_file else at.url)
        payload = partial(_payload, at.format, farm)
        return Webhook(name=_service(name), receiver=name, url=url, token=_secret(at.token_file), **_by(name, payload))
    if mail := receiver.mail:
        return Mail(
            name=_service(name), receiver=name, at=mail, password=_secret(mail.password_file), **_by(name, _mail)
        )
    assert receiver.github
    token = SecretStr(read_secret(receiver.github.token_file))
    return GitHub(name=_service(name), receiver=name, at=receiver.github, token=token, **_by(name, _status))


def _service(name: str) -> str:
    return f"notify-{name}"


def _by(name: str, report: Callable[[News, str], dict[str, object]]) -> dict[str, list[NewsGenerator]]:
    return {"generators": [NewsGenerator(name, report)]}


def _address(path: Path) -> str:
    try:
        return check_url(read_secret(path))
    except ValueError:
        # its words quote what is in the file
        raise SecretUnusable(f"{path}: does not hold an address (https://...)") from None


def _secret(path: Path | None) -> SecretStr | None:
    return SecretStr(read_secret(path)) if path else None


def _payload(form: str, farm: str, news: News, letter: str) -> dict[str, object]:
    match form:
        case "slack":
            return {"body": as_slack(news)}
        case "discord":
            return {"body": as_discord(news)}
    return {"body": as_json(news, letter, farm)}


def _mail(news: News, letter: str) -> dict[str, object]:
    subject, body = as_mail(news)
    return {"subject": subject, "body": body, "type": "plain", "builds": [], "users": []}


def _status(news: News, letter: str) -> dict[str, object]:
    """The parts of a build that GitHubStatusPush reads."""
    if not isinstance(news, CommitNews):
        return {}
    codebase = {"codebase": "", "project": news.repository, "repository": "", "revision": news.commit}
    build = {
        "properties": {"module": (news.module, "kmodci")},
        "complete": news.state != "pending",
        "results": SUCCESS if news.state == "success" else FAILURE,
        "url": news.url,
        "buildset": {"sourcestamps": [codebase]},
    }
    return {"body": news.words[:_DESCRIPTION], "builds": [build]}
