"""The farm's own pages, without a master: what a browser is told, and whose forms are taken."""

import re
from types import SimpleNamespace

import pytest
from buildbot.www.authz import Authz, Forbidden
from buildbot.www.authz.endpointmatchers import AnyControlEndpointMatcher
from buildbot.www.authz.roles import RolesFromEmails
from kmodci.bot.pages.base import Page
from kmodci.bot.pages.builds import FORCE, BuildNow
from kmodci.bot.pages.cells import cells
from kmodci.bot.pages.coverage import Sent
from kmodci.bot.pages.sources import AcceptSource
from kmodci.bot.virtual import VirtualBuilders
from kmodci.coveragetable import Cell, Count, Row
from kmodci.errors import NotFound, StoreError
from kmodci.model import Target
from kmodci.release import check_release
from twisted.web.server import NOT_DONE_YET, Request
from twisted.web.test.requesthelper import DummyRequest

ADDRESS = "https://farm.example.org/ci/"
FORM = {"Origin": "https://farm.example.org", "Content-Type": "application/x-www-form-urlencoded; charset=UTF-8"}
"""as a browser sends it"""


class Told(Page):
    """Says what it was asked, or raises what it is given."""

    raised: Exception | None = None

    async def get(self, request: Request) -> bytes:
        if self.raised:
            raise self.raised
        return self.html(request, "refusal.html.j2", status=200, meaning="<b>", message="'\"&")

    async def post(self, request: Request) -> bytes:
        return self.see_other(request, "kmodci/done")


def master(**www: object) -> SimpleNamespace:
    """Of a farm that anybody may read."""
    open_to_all = SimpleNamespace(authz=SimpleNamespace(is_open=True))
    return SimpleNamespace(config=SimpleNamespace(buildbotURL=ADDRESS, www=www), www=open_to_all)


def asked(page: Page, method: str = "GET", **headers: str) -> DummyRequest:
    request = DummyRequest([])
    request.method, request.prepath = method.encode(), [b"kmodci", b"runs", b"x"]
    for name, value in headers.items():
        request.requestHeaders.setRawHeaders(name, [value])
    assert page.render(request) == NOT_DONE_YET
    assert request.finished == 1
    return request


def body(request: DummyRequest) -> str:
    return b"".join(request.written).decode()


def header(request: DummyRequest, name: str) -> str:
    [value] = request.responseHeaders.getRawHeaders(name)
    return str(value)


def test_what_is_put_into_a_page_is_text() -> None:
    request = asked(Told(master()))
    assert "<h1>200 &lt;b&gt;</h1>" in body(request) and "&#39;&#34;&amp;" in body(request)
    assert header(request, "Content-Type") == "text/html; charset=utf-8"


def test_a_browser_is_told_what_a_page_may_do() -> None:
    policy = header(asked(Told(master())), "Content-Security-Policy")
    assert "default-src 'none'" in policy and "frame-ancestors 'self'" in policy and "unsafe" not in policy
    assert header(asked(Told(master())), "X-Content-Type-Options") == "nosniff"


def test_links_are_relative_so_that_a_proxy_may_put_all_of_it_anywhere() -> None:
    assert 'href="../../plugins/kmodci/pages.css"' in body(asked(Told(master())))
    assert header(asked(Told(master()), "POST", **FORM), "Location") == "../../kmodci/done"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (NotFound("no run x", hint="look there"), 404),
        (StoreError("the database is away"), 503),
        (RuntimeError("secret"), 500),
    ],
)
def test_what_goes_wrong_has_a_page_too(error: Exception, status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("buildbot.www.resource.log.err", lambda *arguments: None)
    page = Told(master())
    page.raised = error
    request = asked(page)
    assert request.responseCode == status and f"<h1>{status}" in body(request)
    assert ("secret" in body(request)) is False
    assert (str(error).splitlines()[0] in body(request)) is (status != 500)


def test_a_name_that_is_none_is_not_found() -> None:
    page = Told(master())
    with pytest.raises(ValueError) as refused:
        check_release("<script>")
    page.raised = refused.value
    request = asked(page)
    assert request.responseCode == 404 and "<script>" not in body(request)


def test_a_form_of_this_farm_is_taken() -> None:
    assert asked(Told(master()), "POST", **FORM).responseCode == 303


@pytest.mark.parametrize(
    "origin",
    ["", "null", "http://farm.example.org", "https://farm.example.org:444", "https://farm.example.org.evil.org"],
)
def test_a_form_of_another_site_is_not(origin: str) -> None:
    request = asked(Told(master()), "POST", **FORM | {"Origin": origin})
    assert request.responseCode == 403 and ADDRESS in body(request)
    bare = {name: value for name, value in FORM.items() if name != "Origin"}
    assert asked(Told(master()), "POST", **bare).responseCode == 403


def test_other_origins_are_allowed_where_buildbot_allows_them() -> None:
    www = {"allowed_origins": ["https://*.example.net"]}
    assert asked(Told(master(**www)), "POST", **FORM | {"Origin": "https://Farm.example.net"}).responseCode == 303
    assert asked(Told(master(**www)), "POST", **FORM).responseCode == 403


class Guarded(Told):
    async def post(self, request: Request) -> bytes:
        await self.assert_allowed(request, "kmodci", "runs", "x", action="cancel")
        return self.user(request).encode()


@pytest.mark.parametrize(("user", "status"), [({"email": "me@example.org"}, 200), ({"anonymous": True}, 403)])
def test_who_may_press_a_button_is_for_buildbots_rules_to_say(user: dict[str, object], status: int) -> None:
    rules = Authz([AnyControlEndpointMatcher(role="admins")], [RolesFromEmails(admins=["me@example.org"])])
    known = master()
    rules.setMaster(known)
    known.www = SimpleNamespace(
        getUserInfos=lambda request: user,
        assertUserAllowed=lambda request, path, action, options: rules.assertUserAllowed(path, action, options, user),
    )
    request = asked(Guarded(known), "POST", **FORM)
    assert (request.responseCode or 200) == status
    assert (body(request) == "me@example.org") is (status == 200)


def test_who_may_accept_what_a_repository_says_is_asked_before_anything_else() -> None:
    rules = Authz([AnyControlEndpointMatcher(role="admins")], [])
    known = master()
    rules.setMaster(known)
    asked_for: list[object] = []

    def assert_allowed(request: Request, path: object, action: str, options: object) -> object:
        asked_for.append((path, action))
        return rules.assertUserAllowed(path, action, options, {"anonymous": True})

    known.www = SimpleNamespace(assertUserAllowed=assert_allowed)
    # a farm of which nothing can be asked
    page = AcceptSource(known, SimpleNamespace(), "sid main")  # type: ignore[arg-type]
    request = asked(page, "POST", **FORM)
    assert request.responseCode == 403
    assert asked_for == [(("kmodci", "sources", "sid main"), "accept")]
    assert asked(page, "POST", **FORM | {"Origin": "https://example.org"}).responseCode == 403
    assert len(asked_for) == 1


def test_who_may_press_buildbots_force_button_may_press_ours_and_nobody_else() -> None:
    """The rules are asked what that button on the build's own page would have them asked."""
    asked_for: list[tuple[object, str, object]] = []

    async def numbers(names: list[str]) -> dict[str, int]:
        return dict.fromkeys(names, 7)

    def assert_allowed(request: Request, path: object, action: str, options: object) -> object:
        asked_for.append((path, action, options))
        raise Forbidden(b"you need to have role 'loopers'")

    known = master()
    known.www = SimpleNamespace(assertUserAllowed=assert_allowed)
    known.service_manager = SimpleNamespace(namedServices={VirtualBuilders.name: SimpleNamespace(numbers=numbers)})
    # a farm of which nothing can be asked
    page = BuildNow(known, SimpleNamespace(), ("loop", "debian-sid-amd64", "6.1"))  # type: ignore[arg-type]
    request = asked(page, "POST", **FORM)
    assert request.responseCode == 403 and "loopers" in body(request)
    assert asked_for == [(FORCE, "force", {"builderid": 7})]


class Telling(Told):
    """What a page shows instead of a button."""

    async def get(self, request: Request) -> bytes:
        return (await self.refusal_of(request, *FORCE, action="force") or "yes").encode()


@pytest.mark.parametrize(
    ("user", "told"), [({"email": "me@example.org"}, "yes"), ({"anonymous": True}, "you need to have role 'admins'")]
)
def test_who_may_not_press_a_button_is_told_why(user: dict[str, object], told: str) -> None:
    rules = Authz([AnyControlEndpointMatcher(role="admins")], [RolesFromEmails(admins=["me@example.org"])])
    known = master()
    rules.setMaster(known)
    known.www = SimpleNamespace(
        authz=SimpleNamespace(is_open=True),
        assertUserAllowed=lambda request, path, action, options: rules.assertUserAllowed(path, action, options, user),
    )
    assert body(asked(Telling(known))) == told


class Counting(Told):
    """Reads as `said` does."""

    said = "one"

    async def get(self, request: Request) -> bytes:
        return self.live(request, "refusal.html.j2", status=200, meaning="", message=self.said)


def shown_as(request: DummyRequest) -> str:
    """What the page is known by, which it says when it asks again."""
    return re.findall(r"\?q=1&amp;seen=([0-9a-f]+)", body(request))[0]


def live(page: Page, seen: str = "", *, script: bool = True) -> DummyRequest:
    request = DummyRequest([])
    request.prepath, request.args = [b"kmodci", b"x"], {b"q": [b"1"], b"seen": [seen.encode()]}
    if script:
        request.requestHeaders.setRawHeaders("HX-Request", ["true"])
    page.render(request)
    return request


@pytest.mark.parametrize(
    ("name", "status"), [("Origin", 403), ("Content-Type", 415), ("HX-Request", 200)], ids=lambda each: str(each)
)
def test_a_header_that_is_no_text_breaks_nothing(name: str, status: int) -> None:
    sent = {**FORM, name: b"\xff\xfe"}
    request = DummyRequest([])
    request.method, request.prepath = b"POST" if status != 200 else b"GET", [b"kmodci", b"runs", b"x"]
    for each, value in sent.items():
        request.requestHeaders.setRawHeaders(each.encode(), [value if isinstance(value, bytes) else value.encode()])
    Counting(master()).render(request)
    assert (request.responseCode or 200) == status


def test_a_page_that_has_not_changed_is_not_sent_again() -> None:
    page = Counting(master())
    first = live(page)
    seen = shown_as(first)
    assert shown_as(live(page)) == seen and "one" in body(first)
    again = live(page, seen)
    assert (again.responseCode, body(again)) == (204, "")
    page.said = "two"
    changed = live(page, seen)
    assert "two" in body(changed) and shown_as(changed) != seen
    # an address that somebody has copied is a page
    assert "two" in body(live(page, shown_as(changed), script=False))


def test_what_a_compiler_said_is_text_in_a_cell() -> None:
    release, cause = "6.1.0-1+x-amd64", '"><script>alert(1)</script>'
    target = Target(distro="debian", series="sid", arch="amd64")
    cell = Cell(target=target, release=release, flavour="amd64", state="failed", cause=cause, is_gone=True)
    row = Row(id="x", arch="amd64", flavour="amd64", cells=(None, cell), count=Count(states={"failed": 1}))
    made = cells(row, "../builds/loop/", "?version=1", {"failed": "\u2717"})
    assert made.startswith("<td></td><td><a ") and "<script>" not in made and "&lt;script&gt;" in made
    assert 'href="../builds/loop/debian-sid-amd64/6.1.0-1%2Bx-amd64?version=1"' in made
    assert 'class="cell is-failed is-gone"' in made and f'aria-label="{release} failed, gone"' in made


def test_what_a_page_was_sent_is_known_for_a_while() -> None:
    sent = Sent()
    assert sent.swap("loop", "", "1", {"row": 5}) == {}
    assert sent.swap("loop", "1", "2", {"row": 6}) == {"row": 5}
    assert sent.swap("other", "1", "2", {}) == {}
    for number in range(200):
        sent.swap("other", "", str(number), {})
    assert sent.swap("loop", "1", "3", {}) == {}


@pytest.mark.parametrize("kind", ["", "text/plain", "multipart/form-data; boundary=x", "application/json"])
def test_only_forms_are_taken(kind: str) -> None:
    assert asked(Told(master()), "POST", **FORM | {"Content-Type": kind}).responseCode == 415


def test_a_page_that_only_tells_takes_no_form_and_has_nothing_below() -> None:
    page = Page(master())
    assert asked(page, "POST", **FORM).responseCode == 405
    assert asked(page).responseCode == 404
    request = DummyRequest([])
    assert page.getChild(b"", request) is page
    assert asked(page.getChild(b"x", request)).responseCode == 404


@pytest.mark.parametrize(
    ("user", "status", "place"),
    [
        ({"anonymous": True}, 303, "../../auth/login?redirect=kmodci%2Fruns%3Fpage%3D2"),
        ({"email": "nobody@example.org"}, 403, ""),
        ({"email": "me@example.org"}, 200, ""),
    ],
)
def test_reading_may_take_a_login(user: dict[str, object], status: int, place: str) -> None:
    class Closed(Told):
        async def get(self, request: Request) -> bytes:
            return b"secret"

    known = master()
    roles = {"me@example.org": ["read"]}
    known.www = SimpleNamespace(
        authz=SimpleNamespace(is_open=False, getRolesFromUser=lambda user: roles.get(user.get("email"), [])),
        getUserInfos=lambda request: user,
    )
    page, request = Closed(known), DummyRequest([])
    request.prepath, request.uri = [b"kmodci", b"runs", b""], b"/kmodci/runs?page=2"
    page.render(request)
    assert (request.responseCode or 200) == status
    assert (b"secret" in b"".join(request.written)) is (status == 200)
    assert not place or header(request, "Location") == place
