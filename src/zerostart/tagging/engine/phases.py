"""What the stages `base` and `adaptation` share: stores, device, training, and the files they leave."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from zerostart.device import default_device
from zerostart.outputs import stage_folder, write_json, write_records
from zerostart.tagging.cards import load_tag_card
from zerostart.tagging.engine.model import load_engine, save_engine
from zerostart.tagging.engine.training import make_state, train, val_scores
from zerostart.tagging.params import PhaseParams, TaggingParams
from zerostart.tagging.pictures.store import ImageStore, open_store

DOMAINS = ("academic", "real")


def open_domains(dataset: str) -> dict[str, ImageStore]:
    """The stores of both domains of a data set."""
    tags = load_tag_card(dataset).tags
    return {domain: open_store(f"data/tagging/{dataset}/images/{domain}", tags) for domain in DOMAINS}


def open_engine(dataset: str, engine: str, tags: tuple[str, ...]) -> tuple[nn.Module, int]:
    """A trained engine of a data set, frozen, on the device; and the side of its input."""
    model, size = load_engine(f"models/tagging/{dataset}/{engine}", tags)
    return model.to(default_device()), size


def run_phase(
    dataset: str,
    engine: str,
    start: Callable[[tuple[str, ...]], nn.Module],
    phase: PhaseParams,
    main_domain: str,
    score: Callable[[dict[str, float]], float],
    params: TaggingParams,
) -> str:
    """Train an engine and write models/tagging/<dataset>/<engine>, and its curve and metrics.

    start: makes the model for the tags; score: of the val numbers, what picks the epoch.
    """
    torch.set_num_threads(params.threads)
    stores = open_domains(dataset)
    main, tags = stores[main_domain], stores[main_domain].tags
    torch.manual_seed(params.seed)
    state = make_state(start(tags).requires_grad_(True).to(default_device()), phase)

    def measure(model: nn.Module) -> dict[str, float]:
        row = val_scores(model, stores, phase.input_size)
        return row | {"score": score(row)}

    output = Path("models/tagging") / dataset / engine
    output.parent.mkdir(parents=True, exist_ok=True)
    resume = output.with_name(f".tmp-resume-{engine}.pt")
    replayed = stores["academic"] if main_domain != "academic" else None
    inputs = {
        "model": json.dumps(params.model.model_dump(), sort_keys=True),
        "start": _digest(state.model),
        "pictures": " ".join(store.digest() for store in stores.values()),
    }
    train(state, main, replayed, phase, params.seed, params.precision, measure, resume, inputs)
    state.model.load_state_dict(state.best)
    with stage_folder(output) as folder:
        save_engine(state.model, params.model, tags, phase.input_size, folder)
    write_records(f"plots/tagging/{dataset}/{engine}.csv", state.history)
    best = next(row for row in state.history if row["epoch"] == state.best_epoch)
    val = {name: value for name, value in best.items() if name not in ("epoch", "loss")}
    write_json(f"metrics/tagging/{dataset}/{engine}.json", {"best_epoch": state.best_epoch, "val": val})
    resume.unlink(missing_ok=True)
    before = state.history[0]
    return f"{output}: epoch {state.best_epoch} chosen; mAP on val " + ", ".join(
        f"{domain} {before[f'{domain}_mAP']:.3f} -> {best[f'{domain}_mAP']:.3f}" for domain in DOMAINS
    )


def _digest(model: nn.Module) -> str:
    digest = hashlib.sha256()
    for tensor in model.state_dict().values():
        digest.update(tensor.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
