"""Requests to a farm's web server as an attacker would make them: any header, from any address of this machine."""

import http.client
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from support.farm import LiveFarm
from support.webpages import FORM


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
    """From that address of this machine. Follows no redirect."""
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
