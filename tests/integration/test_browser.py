"""The farm's own pages in a real browser, on a farm that builds for real: what people do there, and what they see."""

import hashlib
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from benchmarks.aptrepo import AptRepo
from kmodci.model import Status
from playwright.sync_api import Browser, expect
from support.browser import PHONE, Shown, chromium, shown
from support.farm import TARGET, LiveFarm, gated, live_farm, source
from support.realkernels import RealKernel
from support.webpages import FORM, ask, page

pytestmark = [pytest.mark.docker, pytest.mark.network, pytest.mark.timeout(600)]
_PATHS = ("coverage", "coverage/hello", "failures", "runs", "sources", "kernel")


@pytest.fixture(scope="module")
def farm(folder: Path, repo: AptRepo, publish: Callable[..., None]) -> Iterator[LiveFarm]:
    """`hello` is built, `broken` and `hostile` do not compile, `picky` is skipped; `slow` waits until it is let go."""
    publish(repo, "old", "old-cloud")
    plain = {name: source(name) for name in ("hello", "broken", "hostile", "picky")}
    slow = gated(kernels={"include": ["*/*-cloud-amd64"]})
    # which is held until the tests that need it held are through
    with live_farm(folder, repo, {**plain, "slow": slow}, limits={"time": "1h"}) as made:
        made.up()
        made.until(lambda: len(made.store.outcomes()) == 8, seconds=300)
        made.await_running(1)
        made.until(lambda: "8 of 9 ended" in page(made, "kmodci/coverage"))
        yield made


@pytest.fixture(scope="module")
def release(kernels: dict[str, RealKernel]) -> str:
    return kernels["old"].release


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as made:
        yield made


@pytest.fixture
def window(browser: Browser, farm: LiveFarm) -> Iterator[Shown]:
    """Its console must have said nothing, and its pages have broken no rule of their own, when a test ends."""
    with shown(browser, by=farm) as made:
        yield made
        assert made.faults == []


def at(farm: LiveFarm, path: str) -> str:
    return f"{farm.url}/kmodci/{path}"


def test_every_module_is_told_and_leads_to_its_builds(farm: LiveFarm, window: Shown, release: str) -> None:
    seen = window.page
    seen.goto(at(farm, ""))
    expect(seen.get_by_role("heading", level=1)).to_have_text("Coverage")
    row = seen.get_by_role("row").filter(has=seen.get_by_role("rowheader", name="hello"))
    expect(row).to_contain_text("100 %")
    seen.get_by_role("link", name="hello").click()
    expect(seen.get_by_role("link", name=f"{release} built")).to_have_text("\u2713")
    seen.get_by_role("link", name=f"{release} built").click()
    expect(seen.get_by_role("heading", level=1)).to_contain_text(release)
    assert seen.url == at(farm, f"builds/hello/{TARGET}/{release}")
    # a status is chosen by its tile, and what was chosen is in the address
    seen.goto(at(farm, "coverage/hello"))
    seen.get_by_role("link", name="0 failed").click()
    expect(seen.get_by_text("No kernel is like that.")).to_be_visible()
    seen.get_by_role("link", name="Show all").click()
    seen.get_by_label("flavour").select_option("cloud-amd64")
    seen.get_by_role("button", name="Show").click()
    expect(seen.locator("a.cell")).to_have_count(1)
    assert "flavour=cloud-amd64" in seen.url


@pytest.mark.parametrize(
    "form", ["{release}", "Linux node {release} #1 SMP Debian 6.1.1-1 (2026-11-01) x86_64 GNU/Linux"]
)
def test_what_uname_prints_leads_to_the_kernel(farm: LiveFarm, window: Shown, release: str, form: str) -> None:
    seen = window.page
    seen.goto(at(farm, "failures"))
    box = seen.get_by_role("searchbox", name="Kernel")
    box.fill(form.format(release=release))
    box.press("Enter")
    seen.wait_for_url(at(farm, f"kernels/{TARGET}/{release}"))
    told = {name: seen.get_by_role("row").filter(has_text=name) for name in ("hello", "broken", "picky")}
    expect(told["hello"]).to_contain_text("built")
    expect(told["broken"]).to_contain_text("failed")
    expect(told["picky"]).to_contain_text("BUILD_EXCLUSIVE_KERNEL")
    seen.get_by_role("rowheader", name="hello").get_by_role("link").click()
    expect(seen.locator(".verdict")).to_contain_text("built")


def test_what_is_no_kernel_of_the_farm_is_answered_with_the_nearest(
    farm: LiveFarm, browser: Browser, release: str
) -> None:
    # without the check of the console: Chromium notes there that a page is a 404
    with shown(browser) as window:
        seen = window.page
        seen.goto(at(farm, f"kernel?uname={release}x"))
        seen.get_by_role("link", name=release, exact=True).first.click()
        seen.wait_for_url(re.compile(f"/kernels/{TARGET}/"))
        seen.goto(at(farm, "kernel?uname=%3Cscript%3E"))
        expect(seen.locator(".alarm")).to_contain_text("uname -a")


def test_the_page_of_a_build_tells_all_of_it(farm: LiveFarm, window: Shown, release: str) -> None:
    seen, name = window.page, f"hello/{TARGET}/{release}"
    outcome = farm.outcome(name)
    assert outcome
    [file] = farm.manifest(outcome).files
    seen.goto(at(farm, f"builds/{name}"))
    main = seen.get_by_role("main")
    for text in (file.sha256, file.vermagic, outcome.key, f"kmodci build {name}", farm.manifest(outcome).compiler):
        expect(main).to_contain_text(text)
    link = main.get_by_role("link", name=file.name)
    with seen.expect_download() as download:
        link.click()
    assert hashlib.sha256(Path(download.value.path()).read_bytes()).hexdigest() == file.sha256
    assert main.get_by_role("link", name="Build in Buildbot").get_attribute("href") == outcome.build_url
    main.get_by_role("link", name="Log", exact=True).click()
    expect(seen.locator("pre.log").first).to_contain_text("hello.ko")


def test_a_failure_is_told_with_its_first_error_and_its_log(farm: LiveFarm, window: Shown, release: str) -> None:
    seen = window.page
    seen.goto(at(farm, "failures"))
    group = seen.get_by_role("listitem").filter(has_text="no_such_function").first
    expect(group).to_contain_text("2 kernels, broken, since")
    group.get_by_role("link", name=f"{TARGET}/{release}", exact=True).click()
    expect(seen.locator("pre.error")).to_contain_text("implicit declaration of function")
    seen.get_by_role("link", name="Log", exact=True).click()
    expect(seen.locator("pre.log").first).to_contain_text("broken.c")
    expect(seen.get_by_role("main")).to_contain_text(f"kmodci build broken/{TARGET}/{release}")


def test_what_a_module_says_is_text_wherever_it_is_shown(farm: LiveFarm, window: Shown, release: str) -> None:
    seen, name = window.page, f"hostile/{TARGET}/{release}"
    for path in ("failures", "coverage/hostile", f"builds/{name}", f"builds/{name}/log", f"kernels/{TARGET}/{release}"):
        seen.goto(at(farm, path))
        assert "taken" not in seen.title() and seen.locator("main img").count() == 0, path
        if "coverage" not in path:
            expect(seen.get_by_role("main")).to_contain_text('<script>document.title = "taken"</script>')


def test_a_page_brings_itself_up_to_date_and_disturbs_nobody(farm: LiveFarm, window: Shown) -> None:
    seen = window.page
    seen.goto(at(farm, "failures"))
    details = seen.locator("details").first
    details.evaluate("each => { each.open = !each.open; }")
    was_open = details.evaluate("each => each.open")
    box = seen.get_by_role("searchbox", name="Kernel")
    box.fill("6.1")
    # another document would not have this
    seen.evaluate("window.same = true; document.querySelector('main h1').same = true")
    with seen.expect_response(lambda answer: "seen=" in answer.url and answer.status in (200, 204)):
        pass
    assert details.evaluate("each => each.open") == was_open
    expect(box).to_have_value("6.1")
    expect(box).to_be_focused()
    assert seen.evaluate("window.same && document.querySelector('main h1').same")


def test_the_button_builds_and_the_page_follows_until_it_is_built(farm: LiveFarm, window: Shown) -> None:
    """Built again, while `slow` holds one of two places; the page is never loaded again."""
    seen = window.page
    name = next(each for each in farm.store.outcomes() if each.startswith("hello/") and "cloud" in each)
    before = farm.outcome(name)
    assert before and before.status is Status.BUILT
    seen.goto(at(farm, f"builds/{name}"))
    seen.get_by_role("link", name="Build it again...").click()
    expect(seen.get_by_role("heading", level=1)).to_have_text("Build it again?")
    seen.get_by_role("button", name="Build it again").click()
    seen.wait_for_url(at(farm, f"builds/{name}"))
    seen.evaluate("window.same = true")
    after = farm.await_built(name, after=before.finished)
    link = seen.get_by_role("link", name="Build in Buildbot")
    expect(link).to_have_attribute("href", after.build_url)
    assert after.build_url != before.build_url
    assert seen.evaluate("window.same")
    # it was a run of its own, and has ended
    farm.until(lambda: len(farm.runs.runs(is_open=True)) == 1)


def test_a_run_is_followed_to_its_end_without_loading_the_page_again(farm: LiveFarm, window: Shown) -> None:
    seen = window.page
    name = next(iter(farm.running()))
    seen.goto(at(farm, "coverage"))
    expect(seen.get_by_role("main")).to_contain_text("8 of 9 ended, 1 running")
    table = window.page.context.new_page()
    table.goto(at(farm, "coverage/slow"))
    expect(table.locator("a.cell.is-running")).to_have_count(1)
    for each in (seen, table):
        each.evaluate("window.same = true")
    table.locator("a.cell").focus()
    farm.open_gates()
    farm.await_built(name)
    expect(table.locator("a.cell.is-built")).to_have_count(1)
    expect(table.locator("a.cell")).to_be_focused()
    expect(seen.get_by_text("of 9 ended")).to_have_count(0)
    expect(seen.get_by_role("row").filter(has_text="slow")).to_contain_text("100 %")
    assert seen.evaluate("window.same") and table.evaluate("window.same")


def test_everything_can_be_done_with_the_keyboard(farm: LiveFarm, window: Shown, release: str) -> None:
    seen = window.page
    seen.goto(at(farm, "coverage/hello"))
    seen.keyboard.press("Tab")
    expect(seen.get_by_role("link", name="Skip to the page")).to_be_focused()
    seen.keyboard.press("Enter")
    expect(seen.get_by_role("main")).to_be_focused()
    for _ in range(30):
        seen.keyboard.press("Tab")
        if seen.evaluate("document.activeElement.matches('a.cell')"):
            break
    first = seen.evaluate("document.activeElement.getAttribute('aria-label')")
    outline = seen.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline != "none", "where the keyboard is can be seen"
    seen.keyboard.press("ArrowDown")
    assert seen.evaluate("document.activeElement.getAttribute('aria-label')") != first
    seen.keyboard.press("ArrowUp")
    assert seen.evaluate("document.activeElement.getAttribute('aria-label')") == first == f"{release} built"
    seen.keyboard.press("Enter")
    seen.wait_for_url(at(farm, f"builds/hello/{TARGET}/{release}"))


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_phone_shows_all_of_it(farm: LiveFarm, browser: Browser, release: str, dark: bool) -> None:
    with shown(browser, size=PHONE, dark=dark) as window:
        for path in (*_PATHS, f"builds/hello/{TARGET}/{release}", f"builds/broken/{TARGET}/{release}/log"):
            window.page.goto(at(farm, path))
            assert window.page.evaluate("document.documentElement.scrollWidth") <= PHONE[0], path
            back = window.page.evaluate("getComputedStyle(document.body).backgroundColor")
            assert (back == "rgb(255, 255, 255)") is not dark, path
        assert window.faults == []


# relative luminance and contrast as WCAG 2.2 has them
_CONTRASTS = """() => {
  const channel = v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = c => 0.2126 * channel(c[0]) + 0.7152 * channel(c[1]) + 0.0722 * channel(c[2]);
  const read = text => text.match(/[\\d.]+/g).map(Number);
  const behind = element => {
    for (let each = element; each; each = each.parentElement) {
      const c = read(getComputedStyle(each).backgroundColor);
      if (c.length < 4 || c[3] > 0) return c;
    }
    return [255, 255, 255];
  };
  const poor = [];
  for (const each of document.querySelectorAll("body *")) {
    const own = [...each.childNodes].some(node => node.nodeType === 3 && node.nodeValue.trim());
    if (!own || !each.checkVisibility() || each.closest("svg")) continue;
    const [a, b] = [light(read(getComputedStyle(each).color)), light(behind(each))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const what = `${each.tagName} ${each.className} ${each.textContent.trim().slice(0, 30)}`;
    if (ratio < 4.5) poor.push(`${what}: ${ratio.toFixed(2)}`);
  }
  return [...new Set(poor)];
}"""


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_text_can_be_read(farm: LiveFarm, browser: Browser, release: str, dark: bool) -> None:
    with shown(browser, dark=dark) as window:
        for path in (
            *_PATHS,
            *(f"coverage/{name}" for name in ("broken", "picky")),
            f"builds/hello/{TARGET}/{release}",
        ):
            window.page.goto(at(farm, path))
            assert window.page.evaluate(_CONTRASTS) == [], path


def test_everything_is_there_without_a_script(farm: LiveFarm, browser: Browser, release: str) -> None:
    with shown(browser, script=False, by=farm) as window:
        seen = window.page
        seen.goto(at(farm, "coverage"))
        seen.get_by_role("link", name="hello").first.click()
        seen.get_by_role("link", name=f"{release} built").click()
        seen.get_by_role("link", name="Build it again...").click()
        expect(seen.get_by_role("button", name="Build it again")).to_be_visible()
        box = seen.get_by_role("searchbox", name="Kernel")
        box.fill(release)
        box.press("Enter")
        seen.wait_for_url(at(farm, f"kernels/{TARGET}/{release}"))


def test_buildbots_menu_leads_there(farm: LiveFarm, browser: Browser) -> None:
    # without the check of the console: Buildbot's own page is no concern of ours
    with shown(browser) as window:
        window.page.goto(f"{farm.url}/#/coverage")
        frame = window.page.frame_locator("iframe.kmodci-page")
        expect(frame.get_by_role("heading", level=1)).to_have_text("Coverage")
        menu = window.page.locator("body").inner_text()
        assert menu.index("Coverage") < menu.index("Home") < menu.index("Failures")


def test_a_button_is_pressed_on_this_farms_pages_only(farm: LiveFarm, release: str) -> None:
    here = f"kmodci/builds/broken/{TARGET}/{release}/build"
    runs = len(farm.runs.runs())
    press = partial(ask, farm, here, form={})
    for origin in (None, "null", "https://example.org", f"{farm.url}.example.org"):
        headers = {"Content-Type": FORM} | ({"Origin": origin} if origin else {})
        assert press(headers)[0] == 403, origin
    own = {"Content-Type": FORM, "Origin": farm.url}
    for path, status in {
        f"kmodci/builds/broken/{TARGET}/9.9.9/build": 404,
        "kmodci/builds/nothing/x-y-z/9.9.9/build": 404,
        f"kmodci/builds/hello/{TARGET}/{release}/build": 409,
    }.items():
        assert ask(farm, path, own, {})[0] == status, path
    assert len(farm.runs.runs()) == runs


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("coverage/nothing", 404),
        ("coverage/hello/9.9", 404),
        ("coverage/hello/..%2f..%2fx", 404),
        ("coverage/hello?status=%3Cscript%3E", 400),
        ("coverage/hello?distro=%3Cscript%3E&q=%3Cscript%3E", 200),
        ("builds", 404),
        ("builds/hello", 404),
        ("builds/hello/..%2f..%2fetc/passwd", 404),
        (f"builds/hello/{TARGET}/%3Cscript%3E", 404),
        (f"builds/hello/{TARGET}/{'6' * 5000}", 404),
        ("failures?module=%3Cscript%3E", 404),
        ("kernel?uname=%3Cscript%3E", 404),
        (f"kernel?uname={'6' * 10_000}", 404),
        ("kernels/debian/x", 404),
        ("kernels/debian-test-amd64/..", 404),
    ],
)
def test_what_is_asked_wrongly_is_answered_in_a_page(farm: LiveFarm, path: str, status: int) -> None:
    answered, headers, body = ask(farm, f"kmodci/{path}")
    assert answered == status, body
    assert "<script>" not in body and "Traceback" not in body
    assert "frame-ancestors 'self'" in headers["Content-Security-Policy"]
