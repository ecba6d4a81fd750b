"""Where things stand on the picture: upright whatever its EXIF orientation, boxes at their pixels, handles that move them."""

import io

import pytest
from browser_sample import answer_on_stage, boxes_drawn, colours_at, give, needs_chromium
from live_server import encoded
from PIL import Image
from playwright.sync_api import expect
from served_sample import noise

from zerostart.datasets.pictures import ORIENTATION, TURNS

pytestmark = needs_chromium
SIZE = (320, 200)
MARKS = {(255, 0, 255): (40, 20, 120, 60), (0, 255, 255): (250, 110, 280, 190)}
"""Colour of a patch -> its box in the upright picture; off-centre, so that no turn puts one on itself."""
UNDONE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""EXIF 2.3, table of tag 274: what is stored for each orientation, from the upright picture."""


def upright(seed: int) -> Image.Image:
    image = noise(SIZE, seed).point(lambda value: 60 + value // 4)  # grey enough to tell the marks from it
    for colour, box in MARKS.items():
        image.paste(colour, box)
    return image


def stored(orientation: int, seed: int = 20) -> dict:
    turned = upright(seed) if orientation == 1 else upright(seed).transpose(UNDONE[orientation])
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return {"name": f"turned-{orientation}.png", "mimeType": "image/png", "buffer": encoded(turned, exif=exif)}


def marks_on_screen(page, hide: str) -> dict:
    """Colour -> box in pixels of the screen, with the drawn boxes out of the way."""
    page.evaluate("at => document.querySelectorAll(at).forEach(part => { part.style.visibility = 'hidden'; })", hide)
    image = Image.open(io.BytesIO(page.screenshot()))
    page.evaluate("at => document.querySelectorAll(at).forEach(part => { part.style.visibility = ''; })", hide)
    return {colour: colours_at(image, colour) for colour in MARKS}


def screen_box(page, selector: str) -> list[float]:
    """The geometry of a rectangle of the SVG on the screen, without its stroke."""
    script = """selector => { const element = document.querySelector(selector);
      const box = element.getBBox(), at = element.getScreenCTM();
      const [a, b] = [new DOMPoint(box.x, box.y), new DOMPoint(box.x + box.width, box.y + box.height)]
        .map(point => point.matrixTransform(at));
      return [a.x, a.y, b.x, b.y]; }"""
    return page.evaluate(script, selector)


@pytest.mark.parametrize("orientation", [1, *TURNS])
def test_a_turned_picture_is_upright_with_its_boxes(page, page_server, orientation):
    """A box given in the upright picture's pixels lies on the mark that it names, and all findings are the API's."""
    give(page, stored(orientation))
    answer = answer_on_stage(page, page_server)
    assert (answer["picture"]["width"], answer["picture"]["height"]) == SIZE
    added = [{"class": answer["classes"][0], "box": box} for box in MARKS.values()]
    page_server.client.post(f"/v1/inspections/{answer['id']}/verdict", json={"added": added}).raise_for_status()
    page.reload()
    expect(page.locator(".box.added")).to_have_count(len(MARKS))
    found = {one["id"]: one["box"] for one in answer["detections"]["refined"]}
    drawn = boxes_drawn(page)
    for number, (colour, box) in enumerate(MARKS.items()):
        place = next(key for key, value in drawn.items() if value == list(box))
        mark = marks_on_screen(page, ".boxes")[colour]
        assert screen_box(page, f".box[data-id='{place}'] .line") == pytest.approx(mark, abs=2), number
    ours = {key: value for key, value in drawn.items() if key in found}
    assert ours == {key: pytest.approx(found[key], abs=1e-6) for key in ours}
    assert len(ours) == sum(one["score"] >= answer["thresholds"]["refined"] for one in answer["detections"]["refined"])


def test_a_box_is_corrected_by_mouse_and_by_keys(page, page_server):
    """Dragging a corner or the box moves it by as many picture pixels; arrows by one, with Shift by ten; never outside."""
    give(page, stored(1, seed=21))
    answer = answer_on_stage(page, page_server)
    page.get_by_role("button", name="Add a finding").click()
    page.get_by_role("combobox", name="Class").select_option(answer["classes"][1])
    svg = page.locator("svg.picture-svg").bounding_box()
    scale = svg["width"] / SIZE[0]

    def drag(start, end):
        page.mouse.move(svg["x"] + start[0] * scale, svg["y"] + start[1] * scale)
        page.mouse.down()
        page.mouse.move(svg["x"] + end[0] * scale, svg["y"] + end[1] * scale, steps=4)
        page.mouse.up()

    def sides():
        return [float(page.get_by_label(side, exact=True).input_value()) for side in ("left", "top", "right", "bottom")]

    drag((50, 40), (150, 120))  # on the free picture: a new box
    assert sides() == pytest.approx([50, 40, 150, 120], abs=0.6)
    drag((150, 120), (170, 140))  # its last corner
    assert sides() == pytest.approx([50, 40, 170, 140], abs=1.2)
    drag((110, 90), (90, 80))  # the box
    assert sides() == pytest.approx([30, 30, 150, 130], abs=1.8)
    for side, value in (("left", 30), ("top", 30), ("right", 150), ("bottom", 130)):
        page.get_by_label(side, exact=True).fill(str(value))
    page.get_by_role("application", name="Box").focus()
    for key in ("ArrowRight", "ArrowDown", "Shift+ArrowRight"):
        page.keyboard.press(key)
    assert sides() == [41, 31, 161, 131]
    page.get_by_role("application", name="Corner bottom right").focus()
    page.keyboard.press("Shift+ArrowUp")
    page.keyboard.press("ArrowLeft")
    assert sides() == [41, 31, 160, 121]
    page.get_by_role("application", name="Corner top left").focus()
    for _ in range(6):
        page.keyboard.press("Shift+ArrowLeft")
    assert sides() == [0, 31, 160, 121]
    page.get_by_role("button", name="Done").click()
    page.get_by_role("button", name="Save verdict").click()
    expect(page.locator("#verdict-said")).to_contain_text("Saved")
    stored_verdict = page_server.client.get(f"/v1/inspections/{answer['id']}/verdict").json()
    assert stored_verdict["added"] == [{"class": answer["classes"][1], "box": [0, 31, 160, 121]}]


def test_escape_leaves_everything_as_it_was(page, page_server):
    """A correction that is given up changes neither the box nor the verdict, and the keyboard is where it was."""
    give(page, stored(3, seed=22))
    before = boxes_drawn(page)
    row = page.locator("#findings .finding").first
    row.get_by_role("button", name="Correct").click()
    page.get_by_label("left", exact=True).fill("1")
    page.keyboard.press("Escape")
    assert boxes_drawn(page) == before
    expect(row.locator(".open")).to_be_focused()
    expect(page.locator("#verdict-count")).to_contain_text("0 of")


def test_enlarged_the_box_stays_on_its_mark(page, page_server):
    """Zoom changes the screen, not the picture's pixels."""
    give(page, stored(6, seed=23))
    box = boxes_drawn(page)
    first = next(iter(box))
    before = screen_box(page, f".box[data-id='{first}'] .line")
    page.get_by_role("button", name="Enlarge").click()
    page.get_by_role("button", name="Enlarge").click()
    after = screen_box(page, f".box[data-id='{first}'] .line")
    assert after[2] - after[0] == pytest.approx(2 * (before[2] - before[0]), rel=0.01)
    assert boxes_drawn(page) == box
    page.get_by_role("button", name="Whole picture").click()
    assert screen_box(page, f".box[data-id='{first}'] .line") == pytest.approx(before, abs=0.5)
