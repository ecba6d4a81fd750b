"""With its corrections the detector computes what the official code computes; without any of them it does not."""

import copy
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from official_outputs import OFFICIAL, SIX, distance, needs_official, official
from tiny_detector import random_pixels, tiny_detector
from torch import nn
from transformers import Deimv2ForObjectDetection
from transformers.models.deimv2.modeling_deimv2 import Deimv2AIFILayer

from zerostart.detector.official.checkpoint import load_official, read_official_checkpoint
from zerostart.detector.variants import variant_config
from zerostart.errors import InputError


@pytest.fixture(scope="module")
def atto():
    return official("atto")


@pytest.fixture(scope="module")
def n():
    return official("n")


@needs_official
@pytest.mark.parametrize("variant", ["atto", "n"])
def test_equals_the_official_implementation(variant, request):
    assert distance(*request.getfixturevalue(variant)) < 1e-5


def embed_positions_in_every_layer(model):
    model.model.decoder.query_pos_head._forward_hooks.clear()


def use_relu_in_the_box_heads(model):
    decoder = model.model.decoder
    for head in (*decoder.bbox_embed, decoder.pre_bbox_head, model.model.enc_bbox_head):
        head.act = nn.ReLU()


def use_relu_in_the_quality_estimator(model):
    for estimator in model.model.decoder.lqe_layers:
        estimator.reg_conf.act = nn.ReLU()


def project_before_the_selection(model):
    width = model.config.d_model
    model.model.enc_output = nn.Sequential(nn.Linear(width, width), nn.LayerNorm(width)).requires_grad_(False)
    model.model.enc_output[0].weight.copy_(torch.eye(width))
    model.model.enc_output[0].bias.zero_()


def leave_out_the_encoders_positions(model):
    for module in model.modules():
        if isinstance(module, Deimv2AIFILayer):
            module.eval_size = model.config.eval_size


@needs_official
@pytest.mark.parametrize(
    ("variant", "undo"),
    [
        ("atto", use_relu_in_the_box_heads),
        ("atto", use_relu_in_the_quality_estimator),
        ("atto", project_before_the_selection),
        ("n", project_before_the_selection),
        ("n", leave_out_the_encoders_positions),
    ],
)
def test_without_a_correction_the_official_outputs_are_missed(variant, undo, request):
    model, *reference = request.getfixturevalue(variant)
    model = copy.deepcopy(model).requires_grad_(False)
    undo(model)
    assert distance(model, *reference) > 1e-4


@pytest.mark.parametrize(
    "undo",
    [
        embed_positions_in_every_layer,
        use_relu_in_the_box_heads,
        use_relu_in_the_quality_estimator,
        project_before_the_selection,
    ],
)
def test_every_correction_changes_the_outputs(undo):
    """Also the first one, which the official reference cannot show: its random weights hardly refine the boxes."""
    model, pixels = tiny_detector().requires_grad_(False), random_pixels()
    output = model(pixel_values=pixels)
    undo(model)
    assert distance(model, pixels[:1], output.logits[:1], output.pred_boxes[:1]) > 1e-4


@needs_official
def test_without_the_corrections_the_official_weights_do_not_fit():
    model = Deimv2ForObjectDetection(variant_config("atto", SIX, image_size=320, num_queries=100))
    with pytest.raises(InputError, match=r"'model\.enc_output\.0\.weight' is missing"):
        load_official(model, read_official_checkpoint(OFFICIAL / "atto.pth"), "atto.pth")


def query_positions(model, pixels):
    """What every decoder layer is given as the queries' positions, and the initial reference points."""
    seen = []

    def see(_module, _args, kwargs):
        seen.append(kwargs["position_embeddings"])

    hooks = [layer.register_forward_pre_hook(see, with_kwargs=True) for layer in model.model.decoder.layers]
    with torch.no_grad():
        start = model(pixel_values=pixels).init_reference_points.sigmoid()
    for hook in hooks:
        hook.remove()
    return seen, start


def test_query_positions_are_those_of_the_initial_boxes_in_every_layer():
    model = tiny_detector()
    seen, start = query_positions(model, random_pixels())
    assert len(seen) == 3
    assert all(torch.equal(positions, seen[0]) for positions in seen)
    x = start  # the MLP, by hand: two hidden layers with SiLU, then a linear one
    with torch.no_grad():
        for index, layer in enumerate(model.model.decoder.query_pos_head.layers):
            x = torch.nn.functional.silu(layer(x)) if index < 2 else layer(x)
    torch.testing.assert_close(seen[0], x.clamp(-10, 10))
    other, _ = query_positions(model, random_pixels(seed=1))
    assert not torch.equal(other[0], seen[0])  # once per forward pass, not once for ever


def test_the_port_itself_embeds_the_refined_boxes():
    seen, _ = query_positions(tiny_detector(corrected=False), random_pixels())
    assert not torch.equal(seen[0], seen[1])


def test_two_threads_in_one_detector_keep_their_query_positions_apart():
    model, inputs = tiny_detector(), [random_pixels(seed=seed) for seed in (0, 1)]
    both_here, waited = threading.Barrier(2, timeout=60), threading.local()

    def meet(*_) -> None:  # both threads stand before their first embedding of positions
        if not getattr(waited, "once", False):
            waited.once = True
            both_here.wait()

    def look(pixels: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            return model(pixel_values=pixels).logits

    with ThreadPoolExecutor(2, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        alone = [pool.submit(look, pixels).result() for pixels in inputs]
        hook = model.model.decoder.query_pos_head.register_forward_pre_hook(meet)
        together = list(pool.map(look, inputs))
        hook.remove()
    assert all(torch.equal(one, other) for one, other in zip(alone, together, strict=True))
