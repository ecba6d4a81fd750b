"""What the API answers, against the commands and the Python interface of the same models."""

import asyncio
import contextlib
import hashlib
import json

import numpy as np
import pytest
from live_server import encoded
from PIL import Image
from pydantic import TypeAdapter
from refined_sample import refined_sample, run_command
from served_sample import CASES, noise
from tiny_detector import CLASSES

from zerostart import predict
from zerostart.datasets.pictures import TURNS
from zerostart.retrieval.case_search import open_search
from zerostart.serving import wire
from zerostart.serving.guards import SameOriginAndToken
from zerostart.serving.parts import version
from zerostart.tagging.answer.tagger import Tagger

TILINGS = {"1": "none", "6": "six", "grid": "grid"}


def found_by_predict(checkout, content, name, tiling):
    """Rows of both engines down to the lowest score that the server sends."""
    (checkout / name).write_bytes(content)
    out = f"p-{name}-{tiling}"
    arguments = ("--detector", "both", "--threshold", 0.05, "--tiling", TILINGS[tiling], "--out", out)
    run_command(predict, checkout, name, *arguments)
    return {engine: json.loads((checkout / out / f"{engine}.json").read_text()) for engine in ("baseline", "refined")}


def corners(row):
    left, top, width, height = row["bbox"]
    return [left, top, left + width, top + height]


def same_detections(answer, rows):
    for engine, expected in rows.items():
        found = answer["detections"][engine]
        assert len(found) == len(expected) > 0
        # Nearly equal scores may change places between runtimes: each is compared with its nearest.
        apart = np.abs(np.array([d["box"] for d in found])[:, None] - [corners(row) for row in expected]).max(axis=2)
        order = apart.argmin(axis=0)
        assert sorted(order) == list(range(len(found)))
        found = [found[index] for index in order]
        np.testing.assert_allclose([d["box"] for d in found], [corners(row) for row in expected], atol=0.01)
        np.testing.assert_allclose([d["score"] for d in found], [row["score"] for row in expected], atol=1e-4)
        assert [d["class"] for d in found] == [row["category"] for row in expected]
        for one, row in zip(found, expected, strict=True):
            assert one["logits"].keys() == row["logits"].keys()
            for part, logits in row["logits"].items():
                assert one["logits"][part] == pytest.approx(logits, abs=1e-3)


@pytest.mark.parametrize("tiling", TILINGS)
def test_boxes_are_those_of_predict(server, checkout, tiling):
    content = encoded(noise((200, 150), seed=1))
    answer = server.inspect(content, tiling=tiling).json()
    same_detections(answer, found_by_predict(checkout, content, "plain.png", tiling))


@pytest.mark.parametrize("orientation", TURNS)
def test_boxes_of_turned_pictures_are_those_of_predict(server, checkout, orientation):
    """Boxes are in pixels of the upright picture, for every EXIF orientation."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(noise((120, 70), seed=2), "JPEG", exif=exif, quality=95)
    answer = server.inspect(content, "turned.jpg").json()
    assert answer["picture"]["width"] == (70 if orientation > 4 else 120)
    same_detections(answer, found_by_predict(checkout, content, f"turned{orientation}.jpg", "1"))
    shown = server.client.get(f"/v1/inspections/{answer['id']}/picture")
    assert shown.headers["content-type"] == "image/jpeg"


def test_the_torch_runtime_says_the_same(server, checkout):
    """In the process of the test, against the graphs of the server."""
    image = noise((90, 60), seed=3)
    answer = server.inspect(encoded(image), engine="refined", k=0, tags="none").json()
    own = refined_sample().detect([image], 0.05)[0]
    np.testing.assert_allclose([d["box"] for d in answer["detections"]["refined"]], own.boxes, atol=0.01)
    assert set(answer["detections"]) == {"refined"} and answer["cases"] is None and answer["tags"] is None


def test_chosen_views_are_looked_at_and_named(server):
    content = encoded(noise((200, 150), seed=1))
    answer = server.inspect(content, tiling="6", views="bottom_right, 0").json()
    assert answer["views"] == ["whole", "bottom_right"]
    views = {d["view"] for found in answer["detections"].values() for d in found}
    assert views <= {"whole", "bottom_right"} and "bottom_right" in views
    for found in answer["detections"].values():
        for one in found:
            if one["view"] == "bottom_right":  # 60 % of 200×150 pixels
                assert one["box"][0] >= 80 and one["box"][1] >= 60


def test_an_answer_says_what_it_was_made_with(server, checkout):
    content = encoded(noise(seed=4))
    answer = server.inspect(content, "../../etc/pass\u202ewd<script>.png", part="A-17").json()
    assert answer["id"] == hashlib.sha256(content).hexdigest()
    assert answer["picture"] == {"width": 80, "height": 48, "file_name": "passwd<script>.png"}
    with contextlib.chdir(checkout):
        assert answer["versions"]["tagger"] == version([checkout / "models/tagging/toolbox"])
    assert answer["classes"] == CLASSES and answer["critical"] == ["crack"] and answer["part"] == "A-17"
    assert answer["thresholds"] == {"baseline": 0.3, "refined": 0.2} and answer["missing"] == []
    assert server.client.get(f"/v1/inspections/{answer['id']}").json() == answer
    settings = server.client.get("/v1/settings").json()
    assert settings["versions"] == answer["versions"] and settings["engines"] == ["baseline", "refined"]


def test_cases_are_those_of_a_search(server, checkout):
    image = noise(seed=5)
    answer = server.inspect(encoded(image), k=4, zone="hood_center").json()
    with contextlib.chdir(checkout):
        search = open_search()
        whole = search.find(image, k=4, filters={"vehicle_zone": ["hood_center"]})
        one = answer["detections"]["refined"][0]
        left, top, right, bottom = one["box"]
        crop = image.crop((int(left), int(top), round(right), round(bottom)))
        near = search.find(crop, k=2, filters={"damage_type": ["dent", "crack"]}, source="PART-b")
        said = search.find(text="a dent", k=2)
    assert [hit["crop_id"] for hit in answer["cases"]["hits"]] == [hit.crop_id for hit in whole]
    assert [hit["distance"] for hit in answer["cases"]["hits"]] == pytest.approx([hit.distance for hit in whole], abs=1e-4)
    asked = {
        "inspection": answer["id"],
        "detection": one["id"],
        "k": 2,
        "damage": ["dent", "crack"],
        "part": "PART-b",
        "zone": "",
    }
    found = server.client.get("/v1/cases", params=asked).json()["hits"]
    assert [hit["crop_id"] for hit in found] == [hit.crop_id for hit in near] == ["00002-0"]
    assert found[0]["damage"] == ["dent", "crack"] and found[0]["zone"] == "rear_bumper"
    found = server.client.get("/v1/cases", params={"text": "a dent", "k": 2}).json()["hits"]
    assert [hit["crop_id"] for hit in found] == [hit.crop_id for hit in said]
    assert server.client.get(found[0]["picture"]).content == (checkout / "crops" / f"{said[0].crop_id}.jpg").read_bytes()


def test_filters_are_those_that_exist(server):
    filters = server.client.get("/v1/cases/filters").json()
    assert filters["zone"] == ["hood_center", "rear_bumper"] and filters["damage"] == ["crack", "deep_scratch", "dent"]
    assert filters["severity"] == ["minor", "severe", "unknown"] and filters["part"] == sorted(row["source"] for row in CASES)


@pytest.mark.parametrize("engine", ["standard", "hd", "auto"])
def test_tags_are_those_of_the_tagger(server, checkout, engine):
    image = noise((100, 70), seed=6)
    tags = server.inspect(encoded(image), tags=engine, k=0).json()["tags"]
    tagger = Tagger.load(checkout / "models/tagging/toolbox")
    own = tagger.tag(np.asarray(image), engine)
    assert tags["engine"] == own.engine and tags["novelty"] == pytest.approx(own.novelty, abs=1e-4) and tags["windows"] == 1
    assert tags["scores"] == pytest.approx(own.scores, abs=1e-4)
    assert [tag["tag"] for tag in tags["tags"]] == [tag.tag for tag in own.tags]
    assert set(tags["thresholds"]["in_use"].values()) == {0.4}
    assert set(tags["thresholds"]["published"].values()) == {0.3 if own.engine == "hd" else 0.5}


@pytest.mark.parametrize(
    "fields, sentence",
    [
        ({"engine": "best"}, "engine"),
        ({"views": "7"}, "0 to 5 or whole, top_left"),
        ({"k": "51"}, "less than or equal to 50"),
        ({"k": "many"}, "k"),
        ({"colour": "red"}, "engine, tiling, views"),
        ({"zone": "roof"}, "filter 'vehicle_zone': value 'roof' is unknown"),
    ],
)
def test_a_wrong_field_is_one_sentence(server, fields, sentence):
    answer = server.inspect(encoded(noise()), **fields)
    assert answer.status_code == 422 and sentence in answer.json()["error"]


def test_every_answer_forbids_what_a_page_does_not_need(server):
    for path in ("/", "/v1/settings", "/v1/inspections/none", "/nothing", "/metrics"):
        headers = server.client.get(path).headers
        assert "default-src 'self'" in headers["content-security-policy"] and "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff" and "access-control-allow-origin" not in headers


def test_a_foreign_page_is_not_answered(server):
    content = {"picture": ("a.png", encoded(noise()))}
    refused = server.client.post("/v1/inspections", files=content, headers={"Origin": "http://evil.example"})
    assert refused.status_code == 403
    rebound = server.client.get("/v1/settings", headers={"Host": "evil.example"})
    assert rebound.status_code == 403
    own = server.client.get("/v1/settings", headers={"Origin": server.address})
    assert own.status_code == 200


@pytest.mark.parametrize("token, status", [(None, 403), ("a-long-and-secret-token", 200)])
def test_with_a_token_a_proxy_keeps_its_name(token, status):
    """It passes on the name that the browser asked for; without a token that could be a foreign one that leads here."""
    seen = []

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def send(message):
        seen.append(message.get("status"))

    headers = [(b"host", b"line.example"), (b"origin", b"https://line.example"), (b"authorization", f"Bearer {token}".encode())]
    scope = {"type": "http", "method": "GET", "path": "/v1/settings", "headers": headers}
    asyncio.run(SameOriginAndToken(app, token)(scope, None, send))
    assert seen[0] == status


def test_answers_are_as_the_document_says(server):
    """Every field that is there, and no other."""
    answer = server.inspect(encoded(noise(seed=9)), tiling="6").json()
    path = f"/v1/inspections/{answer['id']}"
    server.client.post(f"{path}/verdict", json={"added": [{"class": "dent", "box": [1, 1, 9, 9]}]})
    for address, model in (
        (path, wire.Inspection),
        (f"{path}/verdict", wire.StoredVerdict),
        ("/v1/next", list[wire.Next]),
        ("/v1/cases?text=dent", wire.Cases),
        ("/v1/cases/filters", wire.CaseValues),
        ("/v1/settings", wire.ServerSettings),
        ("/readiness", wire.Ready),
    ):
        TypeAdapter(model).validate_python(server.client.get(address).json())


def test_metrics_are_in_the_text_format(server):
    server.client.get("/healthz")
    text = server.client.get("/metrics").text
    assert 'zerostart_requests_total{route="/healthz",method="GET",status="200"}' in text
    assert "zerostart_ready 1\n" in text and "# TYPE zerostart_request_seconds histogram" in text
