"""The log as JSON: a line for each event, with the build it is about, and nothing that an event holds besides."""

import io
import json
from typing import Any

import pytest
from kmodci.bot.journal import FIELDS, build_id_in, json_line, json_log
from twisted.logger import Logger, LogLevel, LogPublisher
from twisted.python import log as legacy
from twisted.python.failure import Failure

BUILD = "v4l2loopback/debian-bookworm-amd64/6.1.0-56-amd64"


def told(*events: Any) -> list[dict[str, Any]]:
    file = io.StringIO()
    publisher = LogPublisher(json_log(file))
    for emit in events:
        emit(publisher)
    lines = file.getvalue().splitlines()
    return [json.loads(line) for line in lines]


def msg(*words: object, **fields: object) -> Any:
    """As `log.msg` does it."""

    def emit(publisher: LogPublisher) -> None:
        legacy.LogPublisher(observerPublisher=publisher, publishPublisher=publisher).msg(*words, **fields)

    return emit


def test_an_event_is_a_line_with_its_fields() -> None:
    [line] = told(msg("it begins", build_id=BUILD, run="r1", build=7, worker="local-1", host="local", step=""))
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "info",
        "message": "it begins",
        "build_id": BUILD,
        "run": "r1",
        "build": 7,
        "worker": "local-1",
        "host": "local",
    }


def test_what_else_an_event_holds_is_not_told() -> None:
    class Secret:
        def __repr__(self) -> str:
            return "hunter2"

    [line] = told(msg("x", password="hunter2", master=Secret()))
    assert "hunter2" not in json.dumps(line)
    assert line.keys() <= {"time", "level", "message", *FIELDS}


def test_a_build_that_is_only_named_in_the_words_is_found() -> None:
    [line] = told(msg(f" <Build {BUILD} number:3 of gcc-12>: build finished"))
    assert line["build_id"] == BUILD


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (f"{BUILD}: begins on local-1", BUILD),
        (f"'forced:{BUILD}'", BUILD),
        (f"(see {BUILD}).", BUILD),
        ("m/ubuntu-noble-arm64/6.8.0-31-generic and m/a-b-arm64/1", "m/ubuntu-noble-arm64/6.8.0-31-generic"),
        ("modules/m/1.0/debian/trixie/amd64/6.1.0-1-amd64/manifest.json", ""),
        ("https://farm.test/a-b-c/d", ""),
        ("GET /kmodci/builds/x HTTP/1.1", ""),
        ("nothing", ""),
    ],
)  # fmt: skip
def test_build_ids_in_words(text: str, found: str) -> None:
    assert build_id_in(text) == found


def test_an_error_has_its_traceback_in_one_line() -> None:
    def fail(publisher: LogPublisher) -> None:
        try:
            raise ZeroDivisionError("by\nnothing")
        except ZeroDivisionError:
            Logger(observer=publisher).failure(
                "while counting {what}", Failure(), level=LogLevel.critical, what="sheep"
            )

    [line] = told(fail)
    assert (line["level"], line["failure"]) == ("critical", "ZeroDivisionError")
    assert line["message"] == "while counting sheep"
    assert "by\nnothing" in line["traceback"]


def test_an_error_by_the_old_way() -> None:
    def fail(publisher: LogPublisher) -> None:
        old = legacy.LogPublisher(observerPublisher=publisher, publishPublisher=publisher)
        failure = Failure(ValueError("oh"))
        old.msg(failure=failure, why="while looking", isError=1)

    [line] = told(fail)
    assert (line["level"], line["failure"]) == ("critical", "ValueError")
    assert line["message"] == "while looking"
    assert "oh" in line["traceback"]


def test_what_a_module_says_is_one_line_of_ascii() -> None:
    [line] = told(msg('error: "x"\n{"level": "critical"}\x1b[2J\u2028ü'))
    assert line["level"] == "info"
    assert line["message"].startswith('error: "x"\n{')
    text = json_line({"message": ("ü\u2028",), "format": "%(message)s"})
    assert text.isascii() and text.count("\n") == 1


def test_an_event_without_anything() -> None:
    assert json.loads(json_line({}))["message"] == ""
