"""A real browser: Debian's Chromium, driven by Playwright. What a page's console says is kept."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright
from support.farm import LiveFarm

CHROMIUM = "/usr/bin/chromium"
# no sandbox, since tests run as root in containers; and nothing that asks the internet
_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
# what is waited for may take as long as a busy machine takes: milliseconds
_PATIENCE = 60_000
DESK, PHONE = (1280, 900), (375, 740)
"""pixels"""


@dataclass
class Shown:
    """A page, and what went wrong in it."""

    page: Page
    faults: list[str] = field(default_factory=list)
    """errors of the console, violations of the content's policy among them, and exceptions of scripts"""

    def note(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.faults.append(message.text)

    def screenshot(self, folder: Path, name: str) -> None:
        self.page.screenshot(path=folder / f"{name}.png")


@contextmanager
def chromium() -> Iterator[Browser]:
    expect.set_options(timeout=_PATIENCE)
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=list(_FLAGS))
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def shown(
    browser: Browser,
    *,
    size: tuple[int, int] = DESK,
    dark: bool = False,
    script: bool = True,
    by: LiveFarm | None = None,
) -> Iterator[Shown]:
    """A new window with nothing in it. by: the farm whose user has logged in there."""
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme="dark" if dark else "light",
        java_script_enabled=script,
        reduced_motion="reduce",
    )
    context.set_default_timeout(_PATIENCE)
    if by is not None:
        name, _, value = by.cookie.partition("=")
        context.add_cookies([{"name": name, "value": value, "url": by.url}])
    found = Shown(context.new_page())
    found.page.on("console", found.note)
    found.page.on("pageerror", lambda error: found.faults.append(str(error)))
    try:
        yield found
    finally:
        context.close()
