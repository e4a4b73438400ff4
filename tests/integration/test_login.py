"""Attacks on the web server of a farm that runs: who may do what, by whatever way it is tried."""

import http.client
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import pytest
from benchmarks.aptrepo import AptRepo
from kmodci.loginfile import Role
from kmodci.users import Users
from support.farm import LiveFarm, gated, live_farm
from support.webpages import FORM

pytestmark = [pytest.mark.docker, pytest.mark.network, pytest.mark.timeout(300)]

PASSWORDS = {
    "reader": "reading-is-all",
    "builder": "builds-and-builds",
    "other": "some-other-person",
    "gone": "was-once-here",
}
    "reader": "reading-is-all",
    "builder": "builds-and-builds",
    "other": "some-other-person",
    "gone": "was-once-here",
}
ROLES = {"reader": Role.READ, "builder": Role.BUILD, "other": Role.BUILD, "gone": Role.OPERATE}
JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: str

    @property
    def cookies(self) -> list[str]:
        return self.headers.get_all("Set-Cookie") or []


def ask(
    farm: LiveFarm,
    path: str,
    *,
    method: str = "",
    headers: Mapping[str, str] | None = None,
    body: str | None = None,
    address: str = "127.0.0.1",
) -> Answer:
    """From that address of this machine."""
    connection = http.client.HTTPConnection("127.0.0.1", farm.port, timeout=30, source_address=(address, 0))
    try:
        connection.request(method or ("GET" if body is None else "POST"), f"/{path}", body, dict(headers or {}))
        answer = connection.getresponse()
        return Answer(answer.status, answer.headers, answer.read().decode())
    finally:
        connection.close()


def submit(farm: LiveFarm, path: str, *, cookie: str = "", origin: str | None = "own", **form: str) -> Answer:
    """A form, as a browser sends it."""
    headers = {"Content-Type": FORM, "Cookie": cookie}
    if origin is not None:
        headers["Origin"] = farm.url if origin == "own" else origin
    return ask(farm, path, headers=headers, body=urlencode(form))


@pytest.fixture(scope="module")
def farm(folder: Path, repo: AptRepo, publish: Callable[..., None]) -> Iterator[LiveFarm]:
    """With four builds, which nobody has asked for: two run until they are let go, two wait."""
    publish(repo, "old", "old-cloud")
    with live_farm(folder, repo, {"first": gated(), "second": gated()}) as made:
        made.up()
        users = Users(made.state / "users.json")
        for name, password in PASSWORDS.items():
            users.add(name, ROLES[name], password)
        made.await_running(2)
        yield made


@pytest.fixture(scope="module")
def cookies(farm: LiveFarm) -> dict[str, str]:
    """Of each user, and of nobody."""
    return {"": "", **{name: farm.log_in(name, password) for name, password in PASSWORDS.items()}}


def test_smoke(farm: LiveFarm, cookies: dict[str, str]) -> None:
    print(cookies)
    index = ask(farm, "")
    print(index.headers, index.body)
    print(ask(farm, "config", headers={"Cookie": farm.cookie}).body)
    print(ask(farm, "auth/login").body)
    assert 0
