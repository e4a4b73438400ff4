"""The page of the build hosts, and what a program gets."""

import json
from types import SimpleNamespace
from typing import Any, cast

from kmodci.bot.pages.hosts import Hosts
from kmodci.engines import Engines
from kmodci.hosts import HostState
from kmodci.hostview import plain, views
from support.hosts import HOSTS, STATES
from twisted.web.server import NOT_DONE_YET
from twisted.web.test.requesthelper import DummyRequest


def test_for_programs() -> None:
    seen = views(HOSTS, STATES, workers={"near": 4, "far": 8}, running={"near": 3}, images=frozenset({"kmodci/a:1"}))
    near, far = (plain(each, 160) for each in seen)
    assert (near["standing"], near["workers"], near["running"], near["images"]) == ("answers", 4, 3, 1)
    assert (near["answered_ago"], near["fault"], near["cross"]) == (60, "", ["arm64"])
    assert (far["standing"], far["since"], far["running"], far["labels"]) == ("away", 130, 0, ["fast"])
    assert far["fault"] == "<refused>"
    assert "secret-user" not in json.dumps(far)


def test_a_host_that_nobody_has_asked_is_neither() -> None:
    [seen, _] = views(HOSTS, dict.fromkeys(HOSTS, HostState()), workers={}, running={}, images=frozenset())
    assert seen.standing == "unasked"
    assert plain(seen, 1)["answered"] is None


def page() -> str:
    engines = Engines(hosts=HOSTS, engines=cast(Any, {}), states=dict(STATES))
    images = {"gcc-12": SimpleNamespace(tag="kmodci/a:1")}
    farm = SimpleNamespace(engines=engines, workers=lambda _: 4, images=images)
    master = SimpleNamespace(
        config=SimpleNamespace(buildbotURL="https://farm.example.org/", www={}),
        workers=SimpleNamespace(workers={}),
        www=SimpleNamespace(authz=SimpleNamespace(is_open=True)),
    )
    request = DummyRequest([])
    request.method, request.prepath = b"GET", [b"kmodci", b"hosts"]
    assert Hosts(cast(Any, master), cast(Any, farm)).render(request) == NOT_DONE_YET
    return b"".join(request.written).decode()


def test_the_page() -> None:
    told = page()
    assert "&lt;refused&gt;" in told and "ask how it is" not in told
    assert "ssh://far.example.com" in told and "secret-user" not in told
    assert "since 1970-01-01 00:02:10 UTC" in told
    assert 'amd64, arm64 <span class="quiet">(cross)</span>' in told
