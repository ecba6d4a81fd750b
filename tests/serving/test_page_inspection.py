"""The inspection page in chromium against a live server: what is shown is what the API says, and a verdict comes back."""

import math
import re

import pytest
from browser_sample import answer_on_stage, boxes_drawn, give, move_slider, needs_chromium, picture
from playwright.sync_api import expect

pytestmark = needs_chromium


def boxes_of(answer: dict, engine: str, threshold: float | None = None) -> dict:
    """As the API gives them, from a threshold on (default: the chosen one)."""
    limit = answer["thresholds"][engine] if threshold is None else threshold
    found = {one["id"]: pytest.approx(one["box"], abs=1e-6) for one in answer["detections"][engine] if one["score"] >= limit}
    assert found
    return found


def test_boxes_are_those_of_the_api(page, page_server):
    """Of both detectors, alone and side by side, in pixels of the picture."""
    give(page, picture(1))
    answer = answer_on_stage(page, page_server)
    assert boxes_drawn(page) == boxes_of(answer, "refined")
    page.get_by_text("Baseline", exact=True).first.click()
    assert boxes_drawn(page, "baseline") == boxes_of(answer, "baseline")
    expect(page.locator("figure")).to_have_count(1)
    page.get_by_text("Side by side").click()
    assert boxes_drawn(page) == boxes_of(answer, "refined")
    assert boxes_drawn(page, "baseline") == boxes_of(answer, "baseline")


def test_the_threshold_slider_asks_nobody(page, page_server):
    """What is shown follows the scores without a request; the threshold chosen on val is marked, and one click away."""
    give(page, picture(2))
    answer = answer_on_stage(page, page_server)
    steps = {math.floor(100 * one["score"] + add) / 100 for one in answer["detections"]["refined"] for add in (0, 1)}
    asked = []
    page.on("request", lambda request: asked.append(request.url) if "/static/icons/" not in request.url else None)
    for value in (answer["floor"], *steps, 1):
        move_slider(page, value)
        at = page.locator("figure input[type=range]").evaluate("input => input.valueAsNumber")
        assert set(boxes_drawn(page)) == {one["id"] for one in answer["detections"]["refined"] if one["score"] >= at}
        expect(page.locator("#findings .finding")).to_have_count(len(boxes_drawn(page)))
    expect(page.locator("#findings")).to_contain_text("Nothing found at this threshold")
    slider, mark = page.locator(".slider").bounding_box(), page.locator(".slider .mark").bounding_box()
    part = (answer["thresholds"]["refined"] - answer["floor"]) / (1 - answer["floor"])
    assert mark["x"] + mark["width"] / 2 == pytest.approx(slider["x"] + 10 + (slider["width"] - 20) * part, abs=1)
    page.get_by_role("button", name=re.compile("val")).click()
    assert boxes_drawn(page) == boxes_of(answer, "refined")
    assert asked == []


def test_reasons_are_the_logits_and_sentences_of_the_api(page, page_server):
    """Detector, class head and text of each class, and their sum, to two decimals; the finding's class first."""
    give(page, picture(3))
    answer = answer_on_stage(page, page_server)
    best = max(answer["detections"]["refined"], key=lambda one: one["score"])
    page.locator("#findings .open").first.click()
    rows = [row.inner_text().replace("−", "-").split() for row in page.locator(".logits tbody tr").all()]
    assert rows[0][0] == best["class"]
    assert {row[0] for row in rows} == set(answer["classes"])
    for name, *shown in rows:
        parts = [best["logits"][part][name] for part in ("detector", "head", "text")]
        assert [float(value) for value in shown] == pytest.approx([*parts, sum(parts)], abs=0.0051)
    assert page.locator(".sentences li").all_inner_texts() == answer["sentences"][best["class"]]
    # The same finding is chosen by its box.
    expect(page.locator(f".box[data-id='{best['id']}']")).to_have_class(re.compile("selected"))


def test_six_views_show_what_each_found(page, page_server):
    """A view that is off hides its findings at once; looking again with the others asks for these alone."""
    page.locator("summary", has_text="How to look").click()
    page.locator("#tiling").select_option("6")
    give(page, picture(4, (320, 240)))
    answer = answer_on_stage(page, page_server)
    assert len(answer["views"]) == 6
    expect(page.locator(".chip[aria-pressed=true]")).to_have_count(6)
    views = {one["id"]: one["view"] for one in answer["detections"]["refined"]}
    for finding, view in ((finding, views[finding]) for finding in boxes_drawn(page)):
        expect(page.locator(f"#findings li[data-id='{finding}']")).to_contain_text(view.replace("_", " "))
    page.locator(".chip", has_text="whole").click()
    assert boxes_drawn(page).keys() == {one for one in boxes_of(answer, "refined") if views[one] != "whole"}
    with page.expect_response(re.compile("/v1/inspections$")) as again:
        page.get_by_role("button", name="Look again with these views only").click()
    assert again.value.json()["views"] == answer["views"][1:]
    expect(page.locator(".chip")).to_have_count(5)
    page.get_by_role("button", name="Look again with all views").click()
    expect(page.locator(".chip")).to_have_count(6)


def test_similar_cases_are_those_of_the_api(page, page_server):
    """Of a finding, of the picture, of a sentence; filtered by zone and by the inspected part."""
    give(page, picture(5))
    answer = answer_on_stage(page, page_server)
    best = max(answer["detections"]["refined"], key=lambda one: one["score"])
    asked = {"inspection": answer["id"], "k": 5}

    def expect_cases(**given):
        hits = page_server.client.get("/v1/cases", params=given).json()["hits"]
        assert hits
        expect(page.locator(".case .context")).to_have_text([hit["context"] for hit in hits])
        expect(page.locator(".case img[src^=blob]")).to_have_count(len(hits))

    page.get_by_role("tab", name="Similar cases").click()
    expect(page.locator("#cases")).to_contain_text("Choose a finding first")
    page.locator("#findings .open").first.click()
    expect_cases(**asked, detection=best["id"])
    page.get_by_label("the whole picture", exact=True).check(force=True)
    expect_cases(**asked)
    page.get_by_label("Zone").select_option("rear_bumper")
    expect_cases(**asked, zone="rear_bumper")
    page.get_by_label("Zone").select_option("any")
    page.locator("summary", has_text="How to look").click()
    page.get_by_label("Inspected part").fill("part-B")
    page.get_by_label("Inspected part").press("Tab")
    page.get_by_label("Only those of my part").check()
    expect_cases(**asked, part="part-B")
    page.get_by_label("Only those of my part").uncheck()
    page.get_by_label("a sentence", exact=True).check(force=True)
    page.get_by_role("searchbox").fill("a dent on the hood")
    page.get_by_role("searchbox").press("Enter")
    expect_cases(text="a dent on the hood", k=5)


def test_tags_at_the_thresholds_of_val_and_as_published(page, page_server):
    """A tag is marked as given exactly where its score reaches the threshold in use; the engines are asked by name."""
    give(page, picture(6))
    page.get_by_role("tab", name="Tags").click()
    for engine in ("standard", "hd"):
        with page.expect_response(re.compile("/v1/inspections$")) as again:
            page.locator("#tags .chip", has_text=engine).click()
        tags = again.value.json()["tags"]
        expect(page.locator("#tags")).to_contain_text(f"Answered by {engine}")
        for label, kind in (("as chosen on val", "in_use"), ("as published", "published")):
            page.get_by_label(label).check(force=True)
            expected = {tag for tag, score in tags["scores"].items() if score >= tags["thresholds"][kind][tag]}
            given = page.locator(".tag-table tr.chosen th").all_inner_texts()
            assert {text.replace("given", "").split()[0] for text in given} == expected
        page.get_by_label("as chosen on val").check(force=True)


def test_a_verdict_is_saved_and_shown_again(page, page_server):
    """Accept, reject, correct class and box, add a box, say a sentence: as the API stores it, and after a reload."""
    give(page, picture(7))
    answer = answer_on_stage(page, page_server)
    ranked = sorted(answer["detections"]["refined"], key=lambda one: -one["score"])
    first, second, third = (one["id"] for one in ranked[:3])
    other = next(name for name in answer["classes"] if name != ranked[2]["class"])

    def row(finding):
        return page.locator(f"#findings li[data-id='{finding}']")

    row(first).get_by_role("button", name="Accept").click()
    row(second).get_by_role("button", name="Reject").click()
    row(third).get_by_role("button", name="Correct").click()
    page.get_by_role("combobox", name="Class").select_option(other)
    for side, value in (("left", 10), ("top", 20), ("right", 90), ("bottom", 100)):
        page.get_by_label(side, exact=True).fill(str(value))
    page.get_by_role("button", name="Done").click()
    page.get_by_role("button", name="Add a finding").click()
    page.get_by_role("combobox", name="Class").select_option("dent")
    page.get_by_label("What is it?").fill("a shallow one")
    page.get_by_role("button", name="Done").click()
    page.get_by_label("A sentence on this picture").fill("two marks <b>beside</b> each other")
    expect(page.locator("#verdict-said")).to_have_text("Not saved yet")
    page.get_by_role("button", name="Save verdict").click()
    expect(page.locator("#verdict-said")).to_contain_text("Saved as verdict")

    stored = page_server.client.get(f"/v1/inspections/{answer['id']}/verdict").json()
    assert {one["detection"]: one for one in stored["decisions"]} == {
        first: {"detection": first, "decision": "accept"},
        second: {"detection": second, "decision": "reject"},
        third: {"detection": third, "decision": "correct", "class": other, "box": [10, 20, 90, 100]},
    }
    # A new box starts as a quarter of the picture, 160 by 120 pixels, in its middle.
    assert stored["added"] == [{"class": "dent", "box": [60, 45, 100, 75], "sentence": "a shallow one"}]
    assert stored["sentence"] == "two marks <b>beside</b> each other"

    page.reload()
    expect(row(first)).to_have_class(re.compile("accept"))
    expect(row(second)).to_have_class(re.compile("reject"))
    expect(row(third)).to_contain_text(f"{ranked[2]['class']} → {other}")
    expect(page.locator("#findings")).to_contain_text("a shallow one")
    expect(page.get_by_label("A sentence on this picture")).to_have_value("two marks <b>beside</b> each other")
    expect(page.locator("#verdict-said")).to_contain_text("Saved as verdict")
    assert boxes_drawn(page)[third] == [10, 20, 90, 100]
    assert [60, 45, 100, 75] in boxes_drawn(page).values()


def test_what_to_label_next_is_the_servers_list(page, page_server):
    """In its order; a picture that was judged leaves it; one of the list opens on the stage."""
    give(page, picture(8), picture(9))

    def expected():
        return page_server.client.get("/v1/next", params={"limit": 20}).json()

    expect(page.locator("#next .name")).to_have_text([one["file_name"] for one in expected()])
    first = expected()[0]
    page.locator("#next .open").first.click()
    expect(page).to_have_url(re.compile(first["id"]))
    expect(page.locator("#stage-title")).to_have_text(first["file_name"])
    page.get_by_label("A sentence on this picture").fill("looked at")
    page.get_by_role("button", name="Save verdict").click()
    expect(page.locator("#verdict-said")).to_contain_text("Saved")
    expect(page.locator("#next .name")).to_have_text([one["file_name"] for one in expected()])
    assert first["id"] not in {one["id"] for one in expected()}


@pytest.mark.parametrize("name", ["<script>window.bad=1<_script>.png", "<img src=x onerror='window.bad=1'>.png"])
def test_a_file_name_is_text(page, name):
    """Markup in it is shown as it is, in the list and as the title, and nothing of it runs."""
    give(page, picture(10, name=name))
    expect(page.locator("#pictures .name")).to_have_text(name)
    expect(page.locator("#stage-title")).to_have_text(name)
    page.reload()
    expect(page.locator("#stage-title")).to_contain_text("png")
    assert page.evaluate("window.bad") is None
    assert page.locator("#pictures script, #pictures img, #stage-title > *, #next img").count() == 0


def test_forty_files_two_at_a_time(page):
    """The rest is left out with a sentence; each has its own failure and is tried again alone."""
    page.evaluate("""() => {
      window.pending = window.most = 0;
      const open = XMLHttpRequest.prototype.open;
      XMLHttpRequest.prototype.open = function (...given) {
        window.most = Math.max(window.most, ++window.pending);
        for (const end of ["load", "error"]) this.addEventListener(end, () => { window.pending -= 1; });
        open.apply(this, given);
      };
    }""")
    files = [picture(100 + number, (40, 30)) for number in range(41)]
    files[3] = {"name": "broken.png", "mimeType": "image/png", "buffer": b"no picture"}
    page.set_input_files("#files", files)
    expect(page.locator("#pictures > li")).to_have_count(40)
    expect(page.locator("#intake-said")).to_contain_text("1 was left out")
    expect(page.locator("#pictures > .done")).to_have_count(39, timeout=60_000)
    assert page.evaluate("window.most") == 2
    failed = page.locator("#pictures > .failed")
    expect(failed).to_have_count(1)
    expect(failed).to_contain_text("broken.png")
    with page.expect_request(re.compile("/v1/inspections$")):
        failed.get_by_role("button", name="Try again").click()
    expect(failed).to_have_count(1)
    failed.get_by_role("button", name="Remove from the list").click()
    expect(page.locator("#pictures > li")).to_have_count(39)


def test_a_busy_server_is_asked_again(page):
    """After as many seconds as its 503 names; another failure is the inspector's to repeat."""
    answers = [(503, {"Retry-After": "1"}, '{"error": "all places are taken"}'), (500, {}, "<h1>no JSON</h1>")]

    def refuse(route):
        if not answers:
            return route.continue_()
        status, headers, body = answers.pop(0)
        return route.fulfill(status=status, headers=headers, body=body)

    page.route("**/v1/inspections", refuse)
    page.set_input_files("#files", [picture(11)])
    expect(page.locator("#pictures > .busy")).to_contain_text("again in 1 s")
    expect(page.locator("#pictures > .failed")).to_contain_text("status 500")
    page.locator("#pictures").get_by_role("button", name="Try again").click()
    expect(page.locator("#pictures > .done")).to_have_count(1)
