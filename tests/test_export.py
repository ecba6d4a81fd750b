"""Exported graphs give what the detector gives, in their own runtime and at any batch size; what does not is not kept."""

import argparse
import json

import numpy as np
import onnx
import pytest
import torch
from official_checkpoint import SIZE, calm_weights, write_config
from refined_sample import random_fusion, refined_sample, run_command, settings, write_pipeline
from tiny_detector import CLASSES, QUERIES, random_pixels

from zerostart import export as export_module
from zerostart import score as score_module
from zerostart.detector.official.checkpoint import rename_weights
from zerostart.detector.official.config import read_official_config
from zerostart.detector.official.conversion import convert
from zerostart.errors import InputError
from zerostart.inference.export_graph import Graph, write_onnx
from zerostart.inference.exported import open_export
from zerostart.inference.refined_detector import RefinedDetector
from zerostart.method.merged_views import merge_queries


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pipeline")
    write_pipeline(folder)
    return folder


@pytest.fixture(scope="module")
def exports(pipeline):
    """Folder of each export, made by the command."""
    formats = [("onnx", "fp32"), ("onnx", "fp16"), ("onnx", "int8"), ("openvino", "fp32"), ("safetensors", "fp32")]
    for kind, precision in formats:
        sentence = run_command(
            export_module, pipeline, "--format", kind, "--precision", precision, "--out", f"{kind}-{precision}"
        )
        assert "largest difference to the detector on 3 images of val" in sentence
    return pipeline


@pytest.mark.parametrize("kind", ["onnx-fp32", "openvino-fp32", "safetensors-fp32"])
@pytest.mark.parametrize("count", [1, 3])
def test_any_batch_size_gives_the_detectors_own_numbers(exports, kind, count):
    exported, images = open_export(exports / kind), (255 * random_pixels(count)).to(torch.uint8)
    boxes, scores, labels = exported.run(images.numpy())
    assert boxes.shape == (count, QUERIES * 3, 4) and labels.dtype == np.int64
    expected_boxes, expected, expected_labels = (tensor.numpy() for tensor in Graph(refined_sample())(images))
    np.testing.assert_allclose(scores, expected, atol=1e-5)
    sure = expected > 0
    np.testing.assert_array_equal(labels[sure], expected_labels[sure])
    np.testing.assert_allclose(boxes[sure], expected_boxes[sure], atol=1e-5)


@pytest.mark.parametrize("kind", ["onnx-fp32", "onnx-fp16", "onnx-int8", "openvino-fp32", "safetensors-fp32"])
def test_metadata_and_score(exports, kind):
    about = open_export(exports / kind).metadata
    assert about["classes"] == ["crack", "dent", "scratch"] and about["threshold"] == {"baseline": 0.3, "refined": 0.2}
    assert about["image_size"] == 64 and "RGB" in about["input"] and about["dataset"] == "parts"
    assert f"{kind} on test: mAP 0." in run_command(score_module, exports, kind)


def test_reduced_precision_is_smaller_and_near(exports):
    images = (255 * random_pixels(2)).to(torch.uint8).numpy()
    whole = (exports / "onnx-fp32/model.onnx").stat().st_size
    expected = open_export(exports / "onnx-fp32").run(images)[1]
    for precision in ("fp16", "int8"):
        assert (exports / f"onnx-{precision}/model.onnx").stat().st_size < whole
        difference = np.abs(open_export(exports / f"onnx-{precision}").run(images)[1] - expected).max()
        assert 0 < difference < 0.05


def test_the_text_is_folded_away(exports):
    model = onnx.load(exports / "onnx-fp32/model.onnx")
    shapes = [list(tensor.dims) for tensor in model.graph.initializer]
    assert [64, 3] in shapes  # D_v×K
    assert not [shape for shape in shapes if shape in ([3, 8], [8, 64], [64, 8])]  # no K×D_t, no projection


def test_a_longer_chain_than_the_graph_follows_costs_one_query_its_place():
    """Boxes in a row, each overlapping its neighbours only: every second one leads, however long the row."""
    count = 40
    centres = torch.linspace(0.1, 0.9, count)
    boxes = torch.stack([centres, torch.full((count,), 0.5), torch.full((count,), 0.05), torch.full((count,), 0.2)], 1)
    scores = torch.linspace(0.9, 0.5, count)[:, None]
    exact = merge_queries(boxes[None, None], scores[None, None], 0.3)
    assert (exact.scores > 0).sum() == count / 2
    assert torch.equal(exact.best[0, : count // 2], torch.arange(0, count, 2))
    enough = merge_queries(boxes[None, None], scores[None, None], 0.3, rounds=count)
    assert torch.equal(enough.scores, exact.scores)


def test_a_graph_that_differs_is_not_kept(pipeline, monkeypatch):
    class Wrong(Graph):
        def forward(self, *inputs):
            boxes, scores, labels = super().forward(*inputs)
            return boxes + 0.01, scores, labels

    monkeypatch.setattr(export_module, "write_onnx", lambda graph, path: write_onnx(Wrong(graph.refined), path))
    with pytest.raises(InputError, match=r"differs from the detector by 0\.01 on real images; at most 0\.001"):
        run_command(export_module, pipeline, "--format", "onnx", "--out", "wrong")
    assert not list(pipeline.glob("*wrong*")) and not list(pipeline.glob(".tmp*"))


FOR_OPENVINO = argparse.Namespace(format="openvino", precision="fp32")


def test_the_tiny_vit_runs_in_openvino_and_onnxruntime_at_any_batch_size(tmp_path):
    """It has no register tokens: an empty tensor of them is nothing that OpenVINO reads."""
    weights = rename_weights(calm_weights("s", len(CLASSES)))
    config = read_official_config(write_config(tmp_path, "s", num_classes=len(CLASSES)))
    detector = RefinedDetector(convert(config, weights, CLASSES, "s"), random_fusion(192), settings())
    images = (255 * random_pixels(3, size=SIZE)).to(torch.uint8)
    for out, arguments in (("a", FOR_OPENVINO), ("b", argparse.Namespace(format="onnx", precision="fp32"))):
        (folder := tmp_path / out).mkdir()
        sentence = export_module.export(detector, [images, images[:1]], iter(()), folder, arguments)
        assert "on 4 images of val" in sentence  # within the command's tolerance, at other sizes than the traced batch's
        scores = open_export(folder).run(images.numpy())[1]
        np.testing.assert_allclose(scores, Graph(detector)(images)[1].numpy(), atol=1e-3)


def test_what_a_runtime_cannot_read_is_one_sentence(tmp_path, monkeypatch):
    def strange(graph, path):
        value = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
        node = onnx.helper.make_node("Strange", ["x"], ["y"])
        result = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1])
        opset = [onnx.helper.make_opsetid("", 18)]
        onnx.save(onnx.helper.make_model(onnx.helper.make_graph([node], "g", [value], [result]), opset_imports=opset), path)

    monkeypatch.setattr(export_module, "write_onnx", strange)
    with pytest.raises(InputError, match=r"OpenVINO cannot read the graph of this detector \(.*Strange.*\)") as refused:
        export_module.export(refined_sample(), [], iter(()), tmp_path, FOR_OPENVINO)
    assert "\n" not in str(refused.value)


def test_the_check_looks_at_each_image_once(monkeypatch):
    """However many merges are right: the detector's pass is what takes minutes."""
    graph, images = Graph(refined_sample()), (255 * random_pixels(2)).to(torch.uint8)
    expected, passes = [tensor.numpy() for tensor in graph(images)], []
    graph.refined.detector.register_forward_pre_hook(lambda *_: passes.append(1))
    assert export_module.largest_difference(graph, lambda _: expected, [images, images]) == 0
    assert len(passes) == 2


def test_bad_targets_and_sources(pipeline, tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other/mine.txt").write_text("")
    for arguments, message in {
        ("--format", "onnx", "--out", tmp_path / "other"): "other: exists and is not empty; a new folder is expected",
        ("--format", "onnx", "--out", tmp_path / "other/mine.txt"): "mine.txt: is a file; a new folder is expected",
        ("--format", "safetensors", "--out", tmp_path / "other/mine.txt/x"): "mine.txt: is a file; a new folder is expected",
        ("--format", "safetensors", "--precision", "int8", "--out", tmp_path / "x"): "safetensors are written in fp32 only",
        ("--format", "openvino", "--precision", "int8", "--out", tmp_path / "x"): "OpenVINO loses too much",
        ("--format", "onnx", "--checkpoint", tmp_path, "--out", tmp_path / "x"): "not a readable fusion checkpoint",
    }.items():
        with pytest.raises(InputError, match=message):
            run_command(export_module, pipeline, *arguments)
    with pytest.raises(InputError, match=r"no model\.onnx, model\.xml, refined\.json there"):
        open_export(tmp_path)
    for name in ("model.onnx", "model.xml"):
        (tmp_path / name).write_text("damaged")
        with pytest.raises(InputError, match=f"{name}: not a readable export of zerostart"):
            open_export(tmp_path)
        (tmp_path / name).unlink()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (None, "not a readable export of zerostart"),
        ({"image_size": 96}, r"model\.onnx: its input is \[64, 64\] pixels, but its metadata say 96"),
        (
            {"classes": ["crack", "dent"]},
            r"the export is for the classes \['crack', 'dent'\], but the data set has \['crack', ",
        ),
        ({"classes": "crack"}, r"model\.onnx: not an export of zerostart: its metadata have no image_size and classes"),
    ],
)
def test_a_graph_of_other_metadata_is_not_scored(exports, tmp_path, change, message):
    """None: a graph of another program, which has none at all."""
    import onnx

    model = onnx.load(exports / "onnx-fp32/model.onnx")
    about = {entry.key: entry.value for entry in model.metadata_props}
    del model.metadata_props[:]
    if change is not None:
        onnx.helper.set_model_props(model, about | {"zerostart": json.dumps(json.loads(about["zerostart"]) | change)})
    onnx.save(model, tmp_path / "model.onnx")
    with pytest.raises(InputError, match=message):
        run_command(score_module, exports, tmp_path)


def test_a_graph_of_another_input_size_is_not_scored(exports, tmp_path):
    """As another program writes it: the input's size is not fixed."""
    import onnx

    model = onnx.load(exports / "onnx-fp32/model.onnx")
    for side in model.graph.input[0].type.tensor_type.shape.dim[2:]:
        side.dim_param = "side"
    onnx.save(model, tmp_path / "model.onnx")
    with pytest.raises(InputError, match=r"model\.onnx: its input is \['side', 'side'\] pixels, but its metadata say 64"):
        run_command(score_module, exports, tmp_path)


def test_a_graph_of_other_inputs_is_not_scored(exports, tmp_path):
    """Our metadata on another graph."""
    import onnx

    x, y = (onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 3, 64, 64]) for name in ("pixels", "y"))
    graph = onnx.helper.make_graph([onnx.helper.make_node("Relu", ["pixels"], ["y"])], "g", [x], [y])
    other = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    about = onnx.load(exports / "onnx-fp32/model.onnx").metadata_props
    onnx.helper.set_model_props(other, {entry.key: entry.value for entry in about})
    onnx.save(other, tmp_path / "model.onnx")
    with pytest.raises(InputError, match=r"model\.onnx: not an export of zerostart: from `pixels` of uint8 to boxes, scores"):
        run_command(score_module, exports, tmp_path)


def test_scoring_needs_the_same_classes(exports):
    exported = open_export(exports / "safetensors-fp32")
    coco = {"categories": [{"id": 0, "name": "other"}], "images": []}
    with pytest.raises(InputError, match="the export is for the classes"):
        score_module.score(exported, coco, exports, None)
