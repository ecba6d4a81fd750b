"""The page on a phone, by keyboard, for a screen reader, with a camera, without a network, behind a token."""

import re

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from browser_sample import NARROW, answer_on_stage, chromium, colours_at, give, needs_chromium, opened, picture
from live_server import live_server
from PIL import Image
from playwright.sync_api import expect

pytestmark = needs_chromium
TOKEN = "a-token-of-the-tests"
GREEN = (0, 200, 0)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """With a camera that shows a film of one colour."""
    film = tmp_path_factory.mktemp("camera") / "film.y4m"
    write_y4m(film, GREEN)
    with chromium("--use-fake-device-for-media-stream", f"--use-file-for-fake-video-capture={film}") as running:
        yield running


def write_y4m(path, colour, size=(320, 240), frames=10) -> None:
    """A film of one colour, as chromium's fake camera reads it (YUV4MPEG2, 4:2:0, BT.601)."""
    y, cb, cr = Image.new("RGB", (1, 1), colour).convert("YCbCr").getpixel((0, 0))
    width, height = size
    planes = [np.full((height, width), y), *(np.full((height // 2, width // 2), value) for value in (cb, cr))]
    frame = b"FRAME\n" + b"".join(plane.astype(np.uint8).tobytes() for plane in planes)
    path.write_bytes(f"YUV4MPEG2 W{width} H{height} F10:1 Ip A1:1 C420mpeg2\n".encode() + frame * frames)


def severe(page) -> list[str]:
    """Findings of axe that are serious or critical, as rule and element."""
    found = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    return [
        f"{one['id']}: {node['target']}" for one in found if one["impact"] in ("serious", "critical") for node in one["nodes"]
    ]


def widths(page) -> tuple[int, int]:
    return tuple(page.evaluate("[document.documentElement.scrollWidth, innerWidth]"))


@pytest.mark.parametrize(("locale", "scheme", "viewport"), [("en-GB", "light", None), ("es-ES", "dark", NARROW)])
def test_axe_finds_nothing_serious_and_nothing_is_too_wide(browser, page_server, locale, scheme, viewport):
    """Empty, with findings and each of their details, side by side, while a box is corrected; never wider than the screen."""
    with opened(browser, page_server.address, viewport, locale=locale, color_scheme=scheme) as page:

        def check(state):
            assert severe(page) == [], state
            scroll, inner = widths(page)
            assert scroll <= inner, state

        check("empty")
        page.locator("#tiling").evaluate("select => { select.value = '6'; }")
        give(page, picture(30), {"name": "broken.png", "mimeType": "image/png", "buffer": b"?"})
        page.locator("#findings .open").first.click()
        check("reasons")
        for name in ("cases", "tags"):
            page.locator(f"#tab-{name}").click()
            expect(page.locator(".case" if name == "cases" else ".tag-table tr").first).to_be_visible()
            check(name)
        page.locator("input[name=engines]").nth(2).check(force=True)
        page.locator("#findings .judge-accept").first.click()
        page.locator("#findings .judge-correct").nth(1).click()
        page.locator(".options summary").first.click()
        check("editing")


@pytest.mark.parametrize(("locale", "title"), [("en-US", "Findings"), ("es-MX", "Hallazgos"), ("de-DE", "Findings")])
def test_the_language_is_the_browsers_and_can_be_switched(browser, page_server, locale, title):
    with opened(browser, page_server.address, locale=locale) as page:
        expect(page.locator("#findings-title")).to_have_text(title)
        page.locator("#language").select_option("es")
        expect(page.locator("html")).to_have_attribute("lang", "es")
        page.reload()
        expect(page.locator("#findings-title")).to_have_text("Hallazgos")


def test_on_a_phone_everything_that_is_touched_is_large_enough(browser, page_server):
    """44 by 44 CSS pixels for buttons, fields and tabs (WCAG 2.5.5)."""
    with opened(browser, page_server.address, NARROW, has_touch=True) as page:
        give(page, picture(31))
        page.locator("#findings .open").first.click()
        small = page.locator("button:visible, select:visible, input[type=text]:visible, summary:visible").evaluate_all(
            """all => all.map(one => [one, one.getBoundingClientRect()]).filter(([, box]) => box.width < 44 || box.height < 44)
              .map(([one, box]) => `${one.className} ${one.textContent} ${box.width}x${box.height}`)"""
        )
        assert small == []


def test_a_picture_is_inspected_with_the_keyboard_alone(browser, page_server):
    """At the width of a phone, from the top of the page to a saved verdict: Tab, Enter, arrows and letters."""
    with opened(browser, page_server.address, NARROW) as page:
        give(page, picture(32), picture(33))

        def tab_to(selector, most=40):
            for _ in range(most):
                page.keyboard.press("Tab")
                if page.evaluate("at => document.activeElement.matches(at)", selector):
                    return
            raise AssertionError(f"{selector} is not reached with Tab")

        page.locator("body").press("Tab")
        expect(page.locator(".skip")).to_be_focused()
        address = page.url
        page.keyboard.press("Enter")
        expect(page.locator("#findings-title")).to_be_focused()
        assert page.url == address
        page.locator(".skip").focus()
        tab_to("#pictures li:nth-child(2) .open")
        page.keyboard.press("Enter")
        expect(page.locator("#stage-title")).to_be_focused()
        answer = answer_on_stage(page, page_server)
        tab_to("input[type=range]")
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowLeft")
        tab_to("#findings .open")
        page.keyboard.press("Enter")
        expect(page.locator("#reasons h3")).to_contain_text("Why")
        page.keyboard.press("a")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("r")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("c")
        expect(page.get_by_role("combobox", name="Class")).to_be_focused()
        tab_to("input[type=number]")
        page.keyboard.press("ControlOrMeta+a")
        page.keyboard.type("3")
        page.keyboard.press("Enter")
        tab_to("#sentence")
        page.keyboard.type("seen with the keyboard")
        tab_to("#save")
        page.keyboard.press("Enter")
        expect(page.locator("#verdict-said")).to_contain_text("Saved")
        tab_to("#next-picture")
        page.keyboard.press("Enter")
        expect(page.locator("#stage-title")).to_be_focused()
        expect(page.locator("#stage-title")).not_to_have_text(answer["picture"]["file_name"])
        tab_to("#findings .open")
        page.keyboard.press("Enter")
        tab_to("#findings .judge-accept")
        page.keyboard.press("Enter")
        expect(page.locator("#findings .finding.accept")).to_have_count(1)
        expect(page.locator("#findings .judge-accept").first).to_be_focused()
        tab_to("[role=tab]")
        page.keyboard.press("ArrowRight")
        expect(page.locator("#tab-cases")).to_be_focused()
        expect(page.locator(".case").first).to_be_visible()

        stored = page_server.client.get(f"/v1/inspections/{answer['id']}/verdict").json()
        assert [one["decision"] for one in stored["decisions"]] == ["accept", "reject", "correct"]
        assert stored["decisions"][2]["box"][0] == 3
        assert stored["sentence"] == "seen with the keyboard"


def test_a_picture_from_the_camera(browser, page_server, tmp_path):
    """What the camera shows is what is inspected; paused, the film stands still; closed, the camera is let go."""
    with opened(browser, page_server.address, permissions=["camera"]) as page:
        page.get_by_role("button", name="Camera", exact=True).click()
        video = page.locator("video")
        expect(video).to_be_visible()
        page.get_by_role("button", name="Pause").click()
        assert video.evaluate("video => video.paused")
        page.get_by_role("button", name="Resume").click()
        assert not video.evaluate("video => video.paused")
        page.get_by_role("button", name="Take the picture").click()
        expect(page.locator("#pictures > .done")).to_have_count(1)
        expect(page.locator("#stage-title")).to_contain_text("camera-")
        page.get_by_role("button", name="Close the camera").click()
        assert page.evaluate("document.querySelector('video')?.srcObject ?? null") is None
        answer = answer_on_stage(page, page_server)
        content = page_server.client.get(f"/v1/inspections/{answer['id']}/picture").content
        (tmp_path / "taken.jpg").write_bytes(content)
        with Image.open(tmp_path / "taken.jpg") as taken:
            assert colours_at(taken, GREEN) == (0, 0, *taken.size)


def test_no_camera_is_one_sentence(browser, page_server):
    """Refused by the user, and on an address that is not secure."""
    with opened(browser, page_server.address) as page:
        refusal = "() => Promise.reject(new DOMException('no', 'NotAllowedError'))"
        page.evaluate(f"() => {{ navigator.mediaDevices.getUserMedia = {refusal}; }}")
        page.get_by_role("button", name="Camera", exact=True).click()
        expect(page.locator("#camera")).to_contain_text("The camera was refused.")
        page.get_by_role("button", name="Close the camera").click()
        page.evaluate("Object.defineProperty(window, 'isSecureContext', {value: false})")
        page.get_by_role("button", name="Camera", exact=True).click()
        expect(page.locator("#camera")).to_contain_text("only to a page on https or on this machine itself")


def test_the_shell_works_without_a_network(browser, page_server):
    """Once visited, the page opens without the server and says what it cannot do; a picture waits to be tried again."""
    with browser.new_context(locale="en-GB") as context:
        page = context.new_page()
        page.goto(page_server.address)
        page.evaluate("navigator.serviceWorker.ready.then(() => true)")
        expect(page.locator("#versions")).not_to_be_empty()
        context.set_offline(True)
        page.reload()
        expect(page.locator("h1")).to_contain_text("zerostart")
        expect(page.locator("#offline")).to_contain_text("No connection to the server")
        page.set_input_files("#files", [picture(34)])
        expect(page.locator("#pictures > .failed")).to_contain_text("cannot be reached")
        context.set_offline(False)
        expect(page.locator("#offline")).to_be_hidden(timeout=15_000)
        page.locator("#pictures").get_by_role("button", name="Try again").click()
        expect(page.locator("#pictures > .done")).to_have_count(1)


def test_a_token_is_asked_for_once_and_a_bare_server_says_what_it_lacks(browser, tmp_path):
    """A wrong token is asked for again, the right one opens pictures and stays in this tab; without models the page works."""
    with live_server(tmp_path, "--token", TOKEN, ready=False) as server:
        context = browser.new_context(locale="en-GB", service_workers="block")
        page = context.new_page()
        page.goto(server.address)
        for value in ("wrong", TOKEN):
            expect(page.get_by_role("dialog")).to_be_visible()
            expect(page.get_by_text("The server refused this token")).to_be_visible(visible=value == TOKEN)
            page.get_by_label("Token", exact=True).fill(value)
            page.get_by_role("button", name="Use it").click()
        for target in ("repro", "retrieval", "tagging"):
            expect(page.locator("#missing")).to_contain_text(f"`make {target}`", timeout=60_000)
        give(page, picture(35))
        expect(page.locator("svg.picture-svg image")).to_have_attribute("href", re.compile("^blob:"))
        expect(page.locator("#findings")).to_contain_text("no detector")
        page.reload()
        expect(page.locator("#missing")).not_to_be_empty()
        expect(page.get_by_role("dialog")).to_be_hidden()
        assert page.evaluate("Object.values(sessionStorage)") == [TOKEN]
        assert page.evaluate("Object.values(localStorage).includes('a-token-of-the-tests')") is False
        context.close()
