"""A correction that is open when something else is asked for, and a verdict that the server refused: nothing is lost."""

import re

import pytest
from browser_sample import answer_on_stage, give, needs_chromium, picture
from playwright.sync_api import expect

pytestmark = needs_chromium


def begin(page, value: int = 3) -> str:
    """Open the correction of the first finding and move its left side, without "Done"; returns the finding's id."""
    row = page.locator("#findings .finding").first
    finding = row.get_attribute("data-id")
    row.locator(".judge-correct").click()
    page.get_by_label("left", exact=True).fill(str(value))
    return finding


def stored_verdict(page_server, picture_id: str) -> dict:
    return page_server.client.get(f"/v1/inspections/{picture_id}/verdict").json()


def test_save_takes_an_open_correction_with_it(page, page_server):
    """What stands in the form is in the verdict; a new box without a class is asked for, and nothing is sent."""
    give(page, picture(60))
    answer = answer_on_stage(page, page_server)
    finding = begin(page)
    page.get_by_role("button", name="Save verdict").click()
    expect(page.locator("#verdict-said")).to_contain_text("Saved as verdict")
    (decision,) = stored_verdict(page_server, answer["id"])["decisions"]
    assert (decision["detection"], decision["decision"], decision["box"][0]) == (finding, "correct", 3)
    page.get_by_role("button", name="Add a finding").click()
    page.get_by_label("What is it?").fill("a shallow one")
    page.get_by_role("button", name="Save verdict").click()
    expect(page.get_by_role("combobox", name="Class")).to_be_focused()
    assert stored_verdict(page_server, answer["id"])["added"] == []
    page.get_by_role("combobox", name="Class").select_option("dent")
    page.get_by_role("button", name="Save verdict").click()
    expect(page.locator("form.edit")).to_have_count(0)
    expect(page.locator("#verdict-said")).to_contain_text("Saved as verdict")
    (added,) = stored_verdict(page_server, answer["id"])["added"]
    assert (added["class"], added["sentence"]) == ("dent", "a shallow one")


@pytest.mark.parametrize("way, seed", [("next", 62), ("list", 64), ("again", 66)])
def test_an_open_correction_outlives_what_takes_its_place(page, page_server, way, seed):
    """The next picture, another of the list, a new look: the correction is in the verdict, and is saved from there."""
    give(page, picture(seed), picture(seed + 1))
    answer = answer_on_stage(page, page_server)
    title = page.locator("#stage-title").inner_text()
    finding = begin(page)
    if way == "next":
        page.locator("#next-picture").click()
    elif way == "list":
        page.locator("#pictures > li:not(.current) .open").click()
    else:
        page.locator("summary", has_text="How to look").click()
        with page.expect_response(re.compile("/v1/inspections$")):
            page.locator("#again").click()
    if way != "again":
        expect(page.locator("#stage-title")).not_to_have_text(title)
        expect(page.locator("#findings .correct")).to_have_count(0)
        page.locator("#pictures .open", has_text=title).click()
    expect(page.locator("#findings .correct")).to_have_count(1)
    page.get_by_role("button", name="Save verdict").click()
    expect(page.locator("#verdict-said")).to_contain_text("Saved as verdict")
    (decision,) = stored_verdict(page_server, answer["id"])["decisions"]
    assert (decision["detection"], decision["decision"], decision["box"][0]) == (finding, "correct", 3)


def test_a_correction_that_changed_nothing_decides_nothing(page):
    """Opened and left for another picture, it is no `accept`."""
    give(page, picture(80), picture(81))
    page.locator("#findings .judge-correct").first.click()
    page.locator("#pictures > li:not(.current) .open").click()
    page.locator("#pictures > li:not(.current) .open").click()
    expect(page.locator("#findings .finding")).not_to_have_count(0)
    expect(page.locator("#findings").locator(".accept, .correct")).to_have_count(0)


def test_a_verdict_that_failed_is_said_beside_its_picture(page):
    """Another picture that came on the stage meanwhile has no part in it; back at the first, it stands there."""
    give(page, picture(82), picture(83))
    held = []
    page.route("**/verdict", lambda route: held.append(route) if route.request.method == "POST" else route.continue_())
    page.get_by_label("A sentence on this picture").fill("looked at")
    with page.expect_request(lambda request: request.method == "POST"):
        page.get_by_role("button", name="Save verdict").click()
    page.locator("#pictures > li:not(.current) .open").click()
    expect(page.locator("#save")).to_be_enabled()
    with page.expect_response(re.compile("/verdict$")):
        held[0].fulfill(status=507, body='{"error": "no room left"}')
    expect(page.locator("#pictures > li:not(.current)")).to_contain_text("verdict not saved")
    expect(page.locator("#verdict-said")).not_to_contain_text("no room left")
    page.locator("#pictures > li:not(.current) .open").click()
    expect(page.locator("#verdict-said")).to_have_text("no room left")
