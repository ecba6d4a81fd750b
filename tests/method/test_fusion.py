"""The refinement's formula, its starting point, and what can matter in it."""

import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from zerostart.method.fusion import TAU_RANGE, Fusion, FusionConfig
from zerostart.params import Params, load_params

DEFAULTS = load_params(Path(__file__).parents[2] / "params.yaml")
CLASSES, VISUAL, TEXT = ["a", "b", "c", "d"], 16, 24
VARIANTS = {
    "linear": {},
    "mlp": {"projector": "mlp"},
    "per-class alpha": {"alpha_per_class": True},
    "centred": {"center_similarity": True},
    "xavier": {"weight_init": "xavier"},
}


def params(**changes) -> Params:
    return DEFAULTS.model_copy(update=changes)


def fusion(text_dim=TEXT, visual_dim=VISUAL, classes=CLASSES, text=None, **changes) -> Fusion:
    chosen = params(**changes)
    if text is None:
        text = torch.randn(len(classes), text_dim, generator=torch.Generator().manual_seed(7))
    config = FusionConfig.from_params(chosen, list(classes), visual_dim, text_dim)
    return Fusion(config, text).initialize(chosen).eval()


@pytest.fixture
def queries():
    """Features 3×5×D_v and baseline logits 3×5×K."""
    generator = torch.Generator().manual_seed(3)
    return torch.randn(3, 5, VISUAL, generator=generator), torch.randn(3, 5, len(CLASSES), generator=generator)


def plain_similarity(module: Fusion, hidden: torch.Tensor) -> torch.Tensor:
    """S as the paper writes it, with the projected queries formed."""
    return F.normalize(module.projector(hidden), dim=-1) @ F.normalize(module.text, dim=-1).T / module.log_tau.exp()


def perturbed(module: Fusion) -> Fusion:
    """Away from the starting point: no weight, bias or alpha is zero."""
    generator = torch.Generator().manual_seed(11)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=generator)
    return module


@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS)
def test_alpha_zero_is_the_baseline_bit_for_bit(changes, queries):
    assert torch.equal(fusion(**changes)(*queries), queries[1])
    assert not torch.equal(fusion(**changes, alpha_init=0.1)(*queries), queries[1])


@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS)
def test_refined_logits_are_the_formula(changes, queries):
    module = perturbed(fusion(**changes))
    hidden, base = queries
    similarity = plain_similarity(module, hidden)
    if module.config.center_similarity:
        similarity = similarity - similarity.mean(dim=-1, keepdim=True)
    expected = base + hidden @ module.head_delta.weight.T + module.head_delta.bias + module.alpha * similarity
    torch.testing.assert_close(module(hidden, base), expected, rtol=1e-5, atol=1e-5)


def test_linear_similarity_and_its_gradients_equal_the_plain_formula(queries):
    """The fast path never forms W h; compared in both precisions."""
    for dtype, tolerance in ((torch.float32, 1e-5), (torch.float64, 1e-12)):
        module = perturbed(fusion()).to(dtype)
        module.text = F.normalize(module.text, dim=1)  # to unit length in this precision
        hidden = queries[0].to(dtype).requires_grad_()
        wanted = [hidden, *module.projector.parameters(), module.log_tau]
        weights = torch.randn(3, 5, len(CLASSES), dtype=dtype, generator=torch.Generator().manual_seed(5))
        fast, plain = module.similarity(hidden), plain_similarity(module, hidden)
        torch.testing.assert_close(fast, plain, rtol=tolerance, atol=tolerance)
        gradients = (torch.autograd.grad((similarity * weights).sum(), wanted) for similarity in (fast, plain))
        for own, peer in zip(*gradients, strict=True):
            torch.testing.assert_close(own, peer, rtol=tolerance, atol=tolerance * peer.abs().max().item())


def test_a_query_without_a_projection_has_similarity_zero():
    """F.normalize of 0 is 0; the fast path must not divide by 0 either, nor in its gradient."""
    module = fusion()
    hidden = torch.zeros(2, VISUAL, requires_grad=True)
    similarity = module.similarity(hidden)
    assert torch.equal(similarity, torch.zeros(2, len(CLASSES)))
    assert torch.isfinite(torch.autograd.grad(similarity.sum(), hidden)[0]).all()


def test_replace_is_the_similarity_alone(queries):
    module = fusion(mode="replace")
    hidden, base = queries
    assert torch.equal(module(hidden, base), module.similarity(hidden))
    assert torch.equal(module(hidden, base), module(hidden, base + 1))
    delta = perturbed(fusion(mode="replace"))
    expected = plain_similarity(delta, hidden) + delta.head_delta(hidden)
    torch.testing.assert_close(delta(hidden, base), expected, rtol=1e-5, atol=1e-5)


def test_parameter_counts():
    """256·512 weights + 512 biases = 131,584; with alpha and tau 131,586; the head has 6·256 + 6 = 1,542."""
    module = fusion(text_dim=512, visual_dim=256, classes="uvwxyz")
    assert sum(parameter.numel() for parameter in module.projector.parameters()) == 131_584
    assert sum(module.get_parameter(name).numel() for name in module.fusion_parameters()) == 131_586
    assert sum(module.get_parameter(name).numel() for name in module.head_parameters()) == 1_542
    everything = [*module.fusion_parameters(), *module.head_parameters()]
    assert everything == [name for name, _ in module.named_parameters()]
    assert fusion(alpha_per_class=True).alpha.shape == (len(CLASSES),)


@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS)
def test_at_alpha_zero_only_alpha_and_the_head_have_a_gradient(changes, queries):
    module = fusion(**changes)
    module(*queries).square().sum().backward()
    assert all(torch.equal(p.grad, torch.zeros_like(p)) for p in [*module.projector.parameters(), module.log_tau])
    assert module.alpha.grad.abs().min() > 0
    assert module.head_delta.weight.grad.abs().min() > 0


@pytest.mark.parametrize("changes", [{}, {"projector": "mlp"}], ids=["linear", "mlp"])
def test_the_similarity_at_the_start_does_not_depend_on_sigma_but_its_gradient_does(changes, queries):
    """W is scaled before a normalisation: S stays, and its gradient is proportional to 1/sigma."""
    similarities, gradients = [], []
    for sigma in (0.002, 0.02, 2.0):
        module = fusion(sigma=sigma, **changes)
        similarity = module.similarity(queries[0])
        similarities.append(similarity)
        gradients.append(sigma * torch.autograd.grad(similarity[..., 0].sum(), module.projector[-1].weight)[0])
    for other in (1, 2):
        torch.testing.assert_close(similarities[other], similarities[0], rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(gradients[other], gradients[0], rtol=1e-3, atol=1e-5)


def test_rotating_text_and_projection_together_changes_nothing(queries):
    """Only the cosines between the classes can matter."""
    generator = torch.Generator().manual_seed(2)
    rotation = torch.linalg.qr(torch.randn(TEXT, TEXT, generator=generator)).Q
    module = perturbed(fusion())
    rotated = fusion(text=module.text @ rotation.T)
    rotated.load_state_dict(module.state_dict() | {"text": module.text @ rotation.T})
    with torch.no_grad():
        rotated.projector[0].weight.copy_(rotation @ module.projector[0].weight)
        rotated.projector[0].bias.copy_(rotation @ module.projector[0].bias)
    torch.testing.assert_close(rotated(*queries), module(*queries), rtol=1e-5, atol=1e-5)
    alone = fusion(text=module.text @ rotation.T)
    alone.load_state_dict(module.state_dict() | {"text": module.text @ rotation.T})
    assert not torch.allclose(alone(*queries), module(*queries), atol=1e-2)


def test_only_directions_of_the_text_embeddings_matter(queries):
    text = torch.randn(len(CLASSES), TEXT, generator=torch.Generator().manual_seed(7))
    scaled = fusion(text=text * torch.tensor([[1.0], [3.0], [0.1], [20.0]]))
    torch.testing.assert_close(scaled.similarity(queries[0]), fusion(text=text).similarity(queries[0]))


def test_a_centred_similarity_sums_to_zero(queries):
    centred, raw = fusion(center_similarity=True).similarity(queries[0]), fusion().similarity(queries[0])
    assert centred.sum(dim=-1).abs().max() < 1e-5
    assert raw.sum(dim=-1).abs().max() > 1
    differences = [similarity[..., 1:] - similarity[..., :1] for similarity in (centred, raw)]
    torch.testing.assert_close(*differences, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("tau", TAU_RANGE)
def test_tau_learns_from_either_end_of_its_range(tau, queries):
    module = fusion(tau=tau, alpha_init=1.0)
    module.similarity(queries[0]).square().sum().backward()
    assert module.log_tau.grad.abs() > 0


def test_the_start_depends_on_the_seed_alone():
    torch.manual_seed(1)
    first = fusion(seed=4).state_dict()
    torch.manual_seed(2)
    second, other = fusion(seed=4).state_dict(), fusion(seed=5).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["projector.0.weight"], other["projector.0.weight"])
    assert fusion(seed=4, tau=0.5).tau.item() == pytest.approx(0.5)


def test_the_starting_weights_have_the_chosen_spread():
    weight = fusion(text_dim=512, visual_dim=256, sigma=0.05).projector[0].weight
    assert weight.std().item() == pytest.approx(0.05, rel=0.02)  # 131,072 draws: 0.2 % is one standard error
    xavier = fusion(text_dim=512, visual_dim=256, weight_init="xavier").projector[0].weight
    bound = math.sqrt(6 / (512 + 256))  # Glorot and Bengio 2010, equation 16
    assert 0.99 * bound < xavier.abs().max().item() <= bound


def test_dropout_acts_in_training_only(queries):
    module = fusion(projector="mlp", dropout=0.5)
    assert torch.equal(module.similarity(queries[0]), module.similarity(queries[0]))
    module.train()
    assert not torch.equal(module.similarity(queries[0]), module.similarity(queries[0]))


def test_embeddings_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"shape \(3, 24\); \(4, 24\)"):
        fusion(text=torch.ones(3, TEXT))
