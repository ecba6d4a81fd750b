"""The arms of the ablation: every refinement that is compared, as one table."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from torch import Tensor, nn

from zerostart.ablation.control_heads import AffineCalibration, ExtraLinear, HeadDelta
from zerostart.method.fusion import Fusion, FusionConfig
from zerostart.params import Params


class Arm(NamedTuple):
    """One way to refine the logits; all that is not named here is equal between the arms."""

    group: str
    """`text`, `control text`, `no text` or `variant`."""
    text: str | None = None
    """Which class embeddings: a prompt set, or a control. None: there is no text in it."""
    changes: Mapping[str, Any] = MappingProxyType({})
    """Parameters (params.py) that differ."""
    untrained: tuple[str, ...] = ()
    """Parameters of the fusion that keep their starting value."""


ARMS = {
    "text_plain": Arm("text", "plain"),
    "text_descriptive": Arm("text", "descriptive"),
    "text_ensemble": Arm("text", "ensemble"),
    "shuffled": Arm("control text", "shuffled"),
    "same_cosines": Arm("control text", "same_cosines"),
    "isotropic": Arm("control text", "isotropic"),
    "one_hot": Arm("control text", "one_hot"),
    "random_words": Arm("control text", "random_words"),
    "no_text": Arm("no text"),
    "extra_linear": Arm("no text"),
    "affine": Arm("no text"),
    "alpha_zero": Arm("no text", "descriptive", untrained=("alpha",)),
    "alpha_0.1_xavier": Arm("variant", "descriptive", {"alpha_init": 0.1, "weight_init": "xavier"}),
    "replace": Arm("variant", "descriptive", {"mode": "replace"}),
    "centred": Arm("variant", "descriptive", {"center_similarity": True}),
    "mlp": Arm("variant", "descriptive", {"projector": "mlp"}),
    "alpha_per_class": Arm("variant", "descriptive", {"alpha_per_class": True}),
    "fixed_tau": Arm("variant", "descriptive", untrained=("log_tau",)),
}
TEXT, NO_TEXT = "text_descriptive", "no_text"
"""The arm of the question, whether language helps, and the control that it must beat first."""
EQUAL_BY_DESIGN = "same_cosines"


def build(name: str, params: Params, classes: list[str], visual_dim: int, text: Tensor) -> nn.Module:
    """The module of an arm at its starting point.

    text: K×D_t, the arm's embeddings; for an arm without text only the size D_t counts. params: with the run's seed.
    """
    if name == "no_text":
        return HeadDelta(visual_dim, len(classes))
    if name == "extra_linear":
        return ExtraLinear(visual_dim, len(classes), text.shape[1], params.sigma, params.seed)
    if name == "affine":
        return AffineCalibration(len(classes))
    changed = params.model_copy(update=ARMS[name].changes)
    config = FusionConfig.from_params(changed, classes, visual_dim, text.shape[1])
    return Fusion(config, text).initialize(changed)


def rates(name: str, module: nn.Module, params: Params, scale: float) -> tuple[dict[str, float], dict[str, float]]:
    """Learning rates of every parameter trained in phase 1 (warmup) and in phase 2 (head tuning), both times `scale`.

    Phase 1 leaves the class head's difference alone, unless there is nothing else to train.
    """
    trained = [key for key, _ in module.named_parameters() if key not in ARMS[name].untrained]
    head = [key for key in trained if key.startswith("head_delta")]
    rest = [key for key in trained if key not in head]
    warmup = dict.fromkeys(rest or head, scale * params.lr.warmup)
    tuning = dict.fromkeys(rest, scale * params.lr.fusion) | dict.fromkeys(head, scale * params.lr.head)
    return warmup, tuning


def same_structure(first: nn.Module, second: nn.Module) -> bool:
    """Whether both compute the same function of their parameters and buffers, and so can be trained as one batch."""
    configs = [getattr(module, "config", None) for module in (first, second)]
    return type(first) is type(second) and configs[0] == configs[1]
