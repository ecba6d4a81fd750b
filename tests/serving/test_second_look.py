"""A picture that is looked at twice: every look keeps its number, and a verdict is on the look whose detections it names."""

import pytest
from live_server import encoded
from served_sample import noise


def looks(server, seed):
    """The same picture looked at whole, then in six views, without being sent again."""
    first = server.inspect(encoded(noise((160, 120), seed)), name="part.png", tiling="1").json()
    second = server.client.post("/v1/inspections", files={"id": (None, first["id"]), "tiling": (None, "6")})
    assert second.status_code == 200, second.text
    return first, second.json()


def test_a_known_picture_is_looked_at_again_by_its_id(page_server):
    first, second = looks(page_server, 50)
    assert second["id"] == first["id"] and second["picture"] == first["picture"]
    assert len(second["views"]) == 6 and second["number"] > first["number"]
    whole = page_server.inspect(encoded(noise((160, 120), 50)), tiling="6").json()
    assert second["detections"] == whole["detections"]


def test_every_look_is_kept_under_its_number(page_server):
    first, second = looks(page_server, 51)
    address = f"/v1/inspections/{first['id']}"
    assert page_server.client.get(address).json() == second
    assert page_server.client.get(address, params={"number": first["number"]}).json() == first
    other = page_server.inspect(encoded(noise((90, 70), 52))).json()
    assert page_server.client.get(address, params={"number": other["number"]}).status_code == 404


def test_a_verdict_is_on_the_look_that_it_names(page_server):
    """An id that only the first look has is unknown to the newest one, and known with the first one's number."""
    first, second = looks(page_server, 53)
    names = [{one["id"] for found in answer["detections"].values() for one in found} for answer in (first, second)]
    only = sorted(names[0] ^ names[1])
    assert only, "both looks found equally many; another seed is needed"
    of, other = (first, second) if only[0] in names[0] else (second, first)
    body = {"decisions": [{"detection": only[0], "decision": "accept"}]}
    address = f"/v1/inspections/{first['id']}/verdict"
    assert page_server.client.post(address, json=body | {"number": other["number"]}).status_code == 422
    assert page_server.client.post(address, json=body | {"number": of["number"]}).status_code == 201
    assert page_server.client.get(address).json()["number"] == of["number"]


@pytest.mark.parametrize("fields", [{"id": "0" * 64}, {"id": "../verdicts.sqlite"}])
def test_an_unknown_id_is_one_sentence(page_server, fields):
    answer = page_server.client.post("/v1/inspections", files={name: (None, value) for name, value in fields.items()})
    assert answer.status_code == 404
    assert answer.json()["error"] == "the store has no picture with this `id`"


def test_a_picture_and_an_id_are_too_much(page_server):
    first, _ = looks(page_server, 54)
    both = {"picture": ("part.png", encoded(noise())), "id": (None, first["id"])}
    assert page_server.client.post("/v1/inspections", files=both).status_code == 422
