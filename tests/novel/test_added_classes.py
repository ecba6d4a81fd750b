"""Classes that come as sentences, beside a small refined detector."""

import numpy as np
import pytest
import torch
from novel_sample import encoder, vocabulary
from refined_sample import refined_sample
from tiny_detector import CLASSES

from zerostart.detector.pixels import pixel_values
from zerostart.errors import InputError
from zerostart.export import largest_difference
from zerostart.inference.export_graph import Graph, write_onnx
from zerostart.inference.exported import FILES, open_export
from zerostart.inference.refined_detector import Seen
from zerostart.novel.added import AddedDetector, _ignoring
from zerostart.novel.additions import Additions
from zerostart.novel.regions import look_at_regions
from zerostart.novel.rows import load_vocabulary, save_vocabulary
from zerostart.novel.sentences import check_sentence, remarks

NEW = {"star crack": ("dark jagged lines that meet in a point",)}
ADDED = Additions(NEW, (), {})


@pytest.fixture
def pixels():
    return torch.from_numpy(np.random.default_rng(0).integers(0, 255, (2, 3, 64, 64), dtype=np.uint8))


def feature_count(detector, pixels) -> int:
    seen = look_at_regions(detector.detector, pixel_values(pixels))
    return seen["hidden"].shape[2] + seen["regions"].shape[2]


def test_known_classes_stay_bit_identical(pixels):
    detector = refined_sample()
    pixels = torch.nn.functional.interpolate(pixels, detector.image_size)
    size = feature_count(detector, pixels)
    before = detector.look(pixels)
    after = AddedDetector(detector, ADDED, vocabulary(size), encoder()).look(pixels)
    queries, known = before.scores.shape[1:]
    assert torch.equal(after.scores[:, :queries, :known], before.scores)
    assert torch.equal(after.boxes[:, :queries], before.boxes)
    assert not after.scores[:, :queries, known:].any()
    assert not after.scores[:, queries:, :known].any()
    new = after.scores[:, queries:, known]
    assert new.max() > 0 and new.max() <= 1
    torch.testing.assert_close((after.base + after.delta + after.text)[:, queries:, known].sigmoid(), new, atol=1e-5, rtol=0)


def test_a_new_class_is_found_by_its_name(pixels):
    detector = refined_sample()
    pixels = torch.nn.functional.interpolate(pixels, detector.image_size)
    added = AddedDetector(detector, ADDED, vocabulary(feature_count(detector, pixels)), encoder())
    assert added.settings.classes == (*CLASSES, "star crack")
    found = added.find(pixels, threshold=0.0)
    assert any((one.labels == len(CLASSES)).any() for one in found)


def test_what_is_ignored_only_lowers_scores(pixels):
    detector = refined_sample()
    pixels = torch.nn.functional.interpolate(pixels, detector.image_size)
    ignoring = Additions({}, NEW["star crack"], {})
    before = detector.look(pixels).scores
    after = AddedDetector(detector, ignoring, vocabulary(feature_count(detector, pixels)), encoder()).look(pixels).scores
    after = after[:, : before.shape[1]]
    assert (after <= before).all() and (after < before).any()


def test_what_is_ignored_is_ignored_in_its_place():
    """Two plain queries fit a description by 0.9 and 0.2; what lies on the first, on the second, elsewhere."""
    plain = torch.tensor([[[0.2, 0.2, 0.2, 0.2], [0.7, 0.7, 0.2, 0.2]]])
    boxes = torch.cat([plain, torch.tensor([[[0.2, 0.6, 0.2, 0.2]]])], dim=1)
    nothing = torch.zeros(1, 3, 2)
    seen = Seen(boxes, torch.full((1, 3, 2), 0.5), nothing, nothing, nothing)
    scores = _ignoring(seen, plain, torch.tensor([[0.9, 0.2]])).scores
    torch.testing.assert_close(scores[0, :, 0], torch.tensor([0.05, 0.4, 0.5]))


def test_a_new_class_is_an_object_first(pixels):
    """Where the words fit every query, its score is the frozen detector's own best one."""
    detector = refined_sample()
    pixels = torch.nn.functional.interpolate(pixels, detector.image_size)
    anything = vocabulary(feature_count(detector, pixels))
    anything.settings["shift"] = -1e6
    added = AddedDetector(detector, ADDED, anything, encoder())
    views = added.look_at_views(pixels)
    new = added.merged(views).scores[:, -views.plain["logits"].shape[1] :, len(CLASSES)]
    torch.testing.assert_close(new, views.plain["logits"].sigmoid().amax(dim=2))


def test_the_exported_graph_finds_the_new_class_as_well(pixels, tmp_path):
    """For any number of images; it was traced with two."""
    detector = refined_sample(test_flips="none")
    pixels = torch.nn.functional.interpolate(pixels, detector.image_size)
    additions = Additions(NEW, ("a chalk line",), {})
    added = AddedDetector(detector, additions, vocabulary(feature_count(detector, pixels)), encoder())
    graph = Graph(added)
    write_onnx(graph, tmp_path / FILES["onnx"])
    assert largest_difference(graph, open_export(tmp_path).run, [pixels, pixels[:1]]) < 1e-4


def test_clashes_and_strangers_are_refused(pixels):
    detector = refined_sample()
    with pytest.raises(InputError, match="'dent' is a class that the detector knows"):
        AddedDetector(detector, Additions({"dent": ("a hollow",)}, (), {}), vocabulary(10), encoder())
    with pytest.raises(InputError, match="learned beside the classes a, b"):
        AddedDetector(detector, ADDED, vocabulary(10, ["a", "b"]), encoder())


def test_a_row_is_standardised_over_the_reference():
    mine = vocabulary(6)
    row, offset = mine.row(encoder().encode(["a line"]))
    features = np.random.default_rng(1).standard_normal((20000, 6)) + mine.mean
    scores = features @ row + offset
    assert abs(scores.mean()) < 0.05 and abs(scores.std() - 1) < 0.05


def test_a_vocabulary_comes_back_as_it_was(tmp_path):
    save_vocabulary(vocabulary(4), tmp_path)
    assert load_vocabulary(tmp_path).settings == vocabulary(4).settings
    with pytest.raises(InputError, match="make novel"):
        load_vocabulary(tmp_path / "none")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x93NUMPY", "half", "an array", "another"])
def test_a_damaged_vocabulary_is_one_sentence(tmp_path, content):
    save_vocabulary(vocabulary(4), tmp_path)
    path = tmp_path / "vocabulary.npz"
    whole = path.read_bytes()
    if content == "an array":
        with path.open("wb") as file:
            np.save(file, np.zeros(3))
    elif content == "another":
        np.savez(path, matrix=np.zeros(3))
    else:
        path.write_bytes(whole[: len(whole) // 2] if content == "half" else content)
    with pytest.raises(InputError, match=r"vocabulary\.npz: not a vocabulary that can be read \(.+`make novel` learns one"):
        load_vocabulary(tmp_path)


def test_another_detector_s_vocabulary_is_refused():
    mine = vocabulary(10)
    mine.settings["detector"] = "0" * 16
    with pytest.raises(InputError, match="another detector's features"):
        AddedDetector(refined_sample(), ADDED, mine, encoder())


def test_with_many_labelled_boxes_the_sentence_hardly_counts():
    """Along the first axis the sentence, along the second the boxes; the captions' space keeps both apart."""
    mine = vocabulary(2)._replace(
        matrix=np.eye(2), text_mean=np.zeros(2), mean=np.zeros(2), deviation=np.ones(2), reference_mean=np.zeros(2)
    )
    said, shown = np.array([[1.0, 0.0]]), np.array([[0.0, 3.0]])
    np.testing.assert_allclose(mine.row(said)[0], [1, 0])
    np.testing.assert_allclose(mine.row(said, shown)[0], [0.5**0.5, 0.5**0.5])
    np.testing.assert_allclose(mine.row(said, np.repeat(shown, 20, axis=0))[0], np.array([1, 20]) / 401**0.5)


def test_bad_sentences_are_refused_and_strange_words_named():
    with pytest.raises(InputError, match="has no sentence"):
        check_sentence("star crack", "  ", encoder())
    with pytest.raises(InputError, match="longer than"):
        check_sentence("star crack", "long " * 20, encoder())
    said = remarks("a rusty crater", "en")
    assert "tint brown (rusty)" in said[0] and "crater" in said[1]
    assert "no attribute word" in remarks("glurb wimsey", "en")[0]
    assert "brwon (near: brown)" in remarks("a brwon spot", "en")[1]
