"""News in words: for mail, for chats, for programs. Decides, and does nothing.

A cause is what a module's build said, and a name may be anybody's: both are hostile. In chats they mention nobody,
link nowhere under another name, and cannot be taken for the farm's own words.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .news import (
    CommitNews,
    FailingGroup,
    FailureNews,
    ManyFailuresNews,
    News,
    RunNews,
)
from .quantities import duration_text
from .runs import Ending

FORMAT = 1
"""of the JSON"""
_LINE = 300
_SUBJECT = 160
_CHAT = 1900
"""characters; Discord takes 2,000, Slack more"""
_BUILDS = 5
_NO_WIDTH = "\u200b"


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """A message. Every text is one line, and printable."""

    title: str
    url: str
    lines: tuple[str, ...]


def words_of(news: News) -> Words:
    """What is said of it."""
    match news:
        case RunNews():
            title, lines = _of_run(news)
        case FailureNews():
            title, lines = _of_failure(news)
        case ManyFailuresNews():
            title = f"{news.groups} more groups of failures, of {_kernels(news.kernels)}"
            lines = [*map(_group, news.largest), *_more(news.groups - len(news.largest), "groups")]
        case CommitNews():
            title, lines = f"{news.module}: {news.words}", [f"{news.repository} {news.commit}: {news.state}"]
        case _:
            title = "a test message of kmodci"
            lines = ["Runs that end and failures that are new will be told here."]
    return Words(title=_clean(title, _SUBJECT), url=news.url, lines=tuple(_clean(line, _LINE) for line in lines))


def as_mail(news: News) -> tuple[str, str]:
    """The subject and the text of a mail."""
    words = words_of(news)
    subject = words.title if words.title.startswith(("kmodci", "a test")) else f"kmodci: {words.title}"
    return subject, "\n".join([words.url, "", words.title, "", *words.lines]).rstrip() + "\n"


def as_json(news: News, identity: str, farm: str) -> dict[str, object]:
    """For programs. identity: the same if it is told twice; farm: the address of its web interface."""
    return {"format": FORMAT, "id": identity, "farm": farm, **news.model_dump(mode="json")}


def as_slack(news: News) -> dict[str, object]:
    """An incoming webhook's payload (https://docs.slack.dev/messaging/formatting-message-text/); not only Slack's."""
    words = words_of(news)
    head = f"<{words.url}|{_slack(words.title)}>"
    return {
        "text": _clipped([head, *map(_slack, words.lines)]),
        # a link that a build put into its error is not to be looked at by anybody's server
        "unfurl_links": False,
        "unfurl_media": False,
    }


def as_discord(news: News) -> dict[str, object]:
    """A webhook's payload (https://discord.com/developers/docs/resources/webhook#execute-webhook)."""
    words = words_of(news)
    return {
        "content": _clipped([words.url, f"**{_discord(words.title)}**", *map(_discord, words.lines)]),
        "allowed_mentions": {"parse": []},
        # SUPPRESS_EMBEDS
        "flags": 4,
    }


def _of_run(news: RunNews) -> tuple[str, list[str]]:
    counts = ", ".join(f"{count} {ending}" for ending, count in news.endings.items())
    whose = "" if news.state == "ended" else f", {news.state}"
    title = f"run {news.run}{whose}: {counts}"
    lines = [f"{news.planned} planned, in {duration_text(news.finished - news.started)}"]
    for cause in news.causes:
        of = ", ".join(cause.modules[:3]) + (", ..." if len(cause.modules) > 3 else "")
        lines.append(f"{cause.ending}, {_kernels(cause.kernels)}, {of}: {cause.cause or 'no cause is known'}")
    lines += _more(news.more_causes, "causes")
    return title, [*lines, *(f"fails no more: {_group(group)}" for group in news.mended)]


def _of_failure(news: FailureNews) -> tuple[str, list[str]]:
    title = f"{news.module} {Ending.FAILED} for {_kernels(news.kernels)}: {news.cause}"
    lines = [*news.builds[:_BUILDS], *_more(news.kernels - len(news.builds[:_BUILDS]), "builds")]
    return title, [*lines, *([f"log: {news.build_url}"] if news.build_url else [])]


def _group(group: FailingGroup) -> str:
    return f"{group.module}: {group.cause}"


def _more(count: int, what: str) -> list[str]:
    return [f"and {count} more {what if count > 1 else what.removesuffix('s')}"] if count > 0 else []


def _kernels(count: int) -> str:
    return f"{count} kernel{'' if count == 1 else 's'}"


def _clean(text: str, length: int) -> str:
    text = "".join(c if c.isprintable() else "?" for c in text)
    return text if len(text) <= length else f"{text[: length - 3]}..."


def _clipped(lines: Sequence[str]) -> str:
    """Whole lines, for a cut may fall into what is escaped."""
    kept, room = list[str](), _CHAT
    for line in lines:
        room -= len(line) + 1
        if room < 0:
            break
        kept.append(line)
    return "\n".join(kept)


def _replaced(text: str, instead: Mapping[str, str]) -> str:
    for old, new in instead.items():
        text = text.replace(old, new)
    return text


def _slack(text: str) -> str:
    """As Slack wants text escaped; and what takes its payload besides (Mattermost) links @names and Markdown."""
    escaped = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "@": f"@{_NO_WIDTH}", "](": f"]{_NO_WIDTH}("}
    return _replaced(text, escaped)


def _discord(text: str) -> str:
    marks = {mark: f"\\{mark}" for mark in "\\`*_~|>[]()<"}
    return _replaced(text, {**marks, "@": f"@{_NO_WIDTH}"})
