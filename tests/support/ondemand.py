"""A server that answers who asks for a module, as a farm's `/api/kmodci/v1/builds` does; and what a node gets by it.

What is asked of any such server, a farm's own too, is in functions that take its address.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from kmodci.apianswers import BuildTold
from kmodci.manifest import IndexEntry
from support.nodes import Node, Web, send, sending

BUILDS = "/api/kmodci/v1/builds"
TOKEN = "abcDEF-123._~+/="


def fetches_what_is_built(node: Node, server: str, module: str, *arguments: str) -> None:
    """At once."""
    said = node.get(module, "--server", server, *arguments)
    assert said.status == 0, said.err
    assert node.installed


def waits_for_what_is_not(node: Node, server: str, module: str, *arguments: str) -> None:
    """And gets it when it has been built."""
    said = node.get(module, "--server", server, *arguments)
    assert said.status == 0, said.err
    assert "pending" in said.err or "running" in said.err
    assert node.installed


def is_told_what_nobody_lists(node: Node, server: str, module: str, *arguments: str) -> None:
    """With what there is instead."""
    said = node.get(module, "--server", server, "--kernel", "6.6.6-none", *arguments)
    assert said.status == 3, said.err
    assert "hint: " in said.err
    assert not list(node.root.rglob("*.ko*"))


class StandIn:
    """What it says of the one build that it knows changes each time that it is asked, until it is built."""

    def __init__(self, web: Web, record: IndexEntry, *, token: str = "") -> None:
        self.web, self.record, self.token = web, record, token
        self.states: list[str] = []
        """to come"""
        self.is_compact = True
        """JSON in one line"""
        self.headers: dict[str, str] = {}
        self.id = f"hello,1.0+x,debian-13-amd64,{record.release}"
        self.status_url = f"{BUILDS}/{self.id.replace('+', '%2B')}"
        """as it is sent"""
        web.answers[BUILDS] = self.question
        self.status_path = f"{BUILDS}/{self.id}"
        """where it answers that"""
        web.answers[self.status_path] = self.status

    @property
    def url(self) -> str:
        return self.web.url

    def question(self, request: BaseHTTPRequestHandler) -> None:
        asked = self.web.asked[-1]
        if asked.method != "POST" or asked.headers.get("Content-Type") != "application/json":
            return self.refuse(request, 415, "send JSON")
        told = json.loads(asked.body)
        if told.keys() - {"version"} != {"module", "distro", "series", "arch", "kernel_release"}:
            return self.refuse(request, 422, f"not a question: {sorted(told)}")
        if (told["module"], told["kernel_release"]) != (self.record.module, self.record.release):
            return self.refuse(request, 404, "no such kernel", "the nearest are: debian-trixie-amd64/6.12.117")
        return self.status(request)

    def status(self, request: BaseHTTPRequestHandler) -> None:
        asked = self.web.asked[-1]
        if self.token and asked.headers.get("Authorization") != f"Bearer {self.token}":
            return self.refuse(request, 401, "no token, or an unknown one", "put it into --token-file")
        state = self.states.pop(0) if self.states else "built"
        if state != "built":
            self.say(request, 202, self.told(status=state))
            return None
        files = [
            {**file.model_dump(), "url": f"{self.web.url}/{file.key.replace('+', '%2B')}"} for file in self.record.files
        ]
        self.say(request, 200, self.told(status=state, files=files, more={"ö": [1.5e3]}))
        return None

    def told(self, **fields: object) -> dict[str, object]:
        """What every answer of a farm's about a build has, and these fields."""
        record = self.record
        answer = BuildTold(
            id=self.id,
            build_id=f"{record.module}/{record.distro}-{record.series}-{record.arch}/{record.release}",
            module=record.module,
            version=record.version,
            distro=record.distro,
            series=record.series,
            arch=record.arch,
            kernel_release=record.release,
            kernel_version=record.kernel_version,
            status="built",
            reason="",
            status_url=self.status_url,
            page_url=f"{self.web.url}/page",
            log_url=f"{self.web.url}{self.status_url}/log",
        )
        return {**answer.model_dump(mode="json"), **fields}

    def refuse(self, request: BaseHTTPRequestHandler, status: int, message: str, hint: str = "") -> None:
        self.say(request, status, {"error": {"message": message, "hint": hint}})

    def say(self, request: BaseHTTPRequestHandler, status: int, answer: object) -> None:
        text = json.dumps(answer, indent=None if self.is_compact else 1)
        send(request, status, text.encode(), self.headers)


@contextmanager
def refusing(web: Web, status: int, message: str, hint: str = "", **headers: str) -> Iterator[None]:
    """It answers so for a while."""
    before = web.answers.get(BUILDS)
    web.answers[BUILDS] = sending(status, {"error": {"message": message, "hint": hint}}, headers)
    yield
    if before:
        web.answers[BUILDS] = before


def token_file(folder: Path, token: str = TOKEN, mode: int = 0o600) -> str:
    path = folder / "token"
    path.write_text(f"{token}\n")
    path.chmod(mode)
    return str(path)
