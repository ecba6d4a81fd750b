"""The inspection page in a real browser: Debian's chromium, driven by playwright."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from live_server import encoded
from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright
from served_sample import noise

CHROMIUM = shutil.which("chromium")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed; `make test-browser` installs it")
ARGUMENTS = ("--no-sandbox", "--disable-dev-shm-usage", "--force-color-profile=srgb")
"""A root user, as in a container, has no sandbox; colours in screenshots are those of the picture."""
WIDE, NARROW = {"width": 1440, "height": 1000}, {"width": 360, "height": 740}
EXPECTED = re.compile(r"the server responded with a status of [45]\d\d|Service Worker registration blocked")
"""The browser's own line on an answer that the page deals with, such as 404 for `no verdict yet`; playwright's own."""


@contextmanager
def chromium(*arguments: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*ARGUMENTS, *arguments])
        yield browser
        browser.close()


@contextmanager
def opened(browser: Browser, address: str, viewport: dict | None = None, **context) -> Iterator[Page]:
    """The page in a profile of its own; what it throws or the browser complains about fails the test at the end."""
    within = browser.new_context(viewport=viewport or WIDE, **{"locale": "en-GB", "service_workers": "block"} | context)
    page, complaints = within.new_page(), []
    page.set_default_timeout(15_000)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
    page.on("dialog", lambda dialog: dialog.accept())
    page.goto(address)
    expect(page.locator("#versions")).not_to_be_empty()
    yield page
    within.close()
    unexpected = [said for said in complaints if not EXPECTED.search(said)]
    assert not unexpected, unexpected


def picture(seed: int, size: tuple[int, int] = (160, 120), name: str | None = None) -> dict:
    """A file for :func:`give`."""
    return {"name": name or f"part-{seed}.png", "mimeType": "image/png", "buffer": encoded(noise(size, seed))}


def give(page: Page, *files: Path | dict) -> None:
    """Choose files, as with the picker, and wait until the last of them is looked at and one is on the stage."""
    finished = page.locator("#pictures > .done, #pictures > .failed")
    count = finished.count() + len(files)
    page.set_input_files("#files", list(files))
    expect(finished).to_have_count(count, timeout=30_000)


def answer_on_stage(page: Page, server) -> dict:
    """What the API says of the picture on the stage."""
    return server.client.get(f"/v1/inspections/{page.url.rpartition('/')[2]}").json()


def boxes_drawn(page: Page, engine: str = "refined") -> dict[str, list[float]]:
    """Id of a finding -> x1, y1, x2, y2 of its rectangle in the SVG of a detector."""
    script = """engine => Object.fromEntries([...document.querySelectorAll(`svg[data-engine=${engine}] .box`)].map(box => {
      const [x, y, w, h] = ["x", "y", "width", "height"].map(name => Number(box.querySelector(".line").getAttribute(name)));
      return [box.dataset.id, [x, y, x + w, y + h]];
    }))"""
    return page.evaluate(script, engine)


def move_slider(page: Page, value: float, engine: str = "refined") -> None:
    """To a threshold, as a finger does."""
    script = "(input, value) => { input.value = value; input.dispatchEvent(new Event('input')); }"
    page.locator(f"figure[data-engine={engine}] input[type=range]").evaluate(script, value)


def colours_at(image: Image.Image, colour: tuple[int, int, int], tolerance: int = 60) -> tuple[int, int, int, int] | None:
    """The bounding box of all pixels of about this colour."""
    channels = [
        channel.point(lambda value, wanted=wanted: 255 * (abs(value - wanted) <= tolerance))
        for channel, wanted in zip(image.convert("RGB").split(), colour, strict=True)
    ]
    return Image.merge("RGB", channels).convert("L").point(lambda value: 255 * (value >= 254)).getbbox()
