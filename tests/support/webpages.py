"""The pages of a farm that runs, as a browser without a script asks for them."""

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from html.parser import HTMLParser
from urllib.parse import urlencode

from support.farm import LiveFarm

FORM = "application/x-www-form-urlencoded"


class Links(HTMLParser):
    """Where a page leads to."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found |= {value for name, value in attrs if name == "href" and value}


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: object, **kwargs: object) -> None:
        return None


def ask(
    farm: LiveFarm, path: str, headers: Mapping[str, str] | None = None, form: Mapping[str, str] | None = None
) -> tuple[int, Mapping[str, str], str]:
    """Status, headers and body of one answer. Forms are sent by the farm's user, unless a header says otherwise."""
    by = {"Cookie": farm.cookie} if form is not None else {}
    request = urllib.request.Request(
        f"{farm.url}/{path}",
        data=urlencode(form).encode() if form is not None else None,
        headers={**by, **(headers or {})},
    )
    try:
        with urllib.request.build_opener(_NoRedirect).open(request, timeout=30) as answer:
            return answer.status, answer.headers, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read().decode()


def page(farm: LiveFarm, path: str) -> str:
    status, _, body = ask(farm, path)
    assert status == 200, body
    return body


def told(farm: LiveFarm, path: str) -> dict[str, object]:
    """What the API says of what a page shows. path: of the page."""
    _, what, *name = path.split("/")
    if what == "sources" and name:
        [found] = json.loads(page(farm, f"api/kmodci/v1/sources?name={name[0]}"))["sources"]
    else:
        found = json.loads(page(farm, path.replace("kmodci", "api/kmodci/v1", 1)))
    told: dict[str, object] = found
    return told
