"""engines: choose on val the thresholds of both engines and the limits of `auto`."""

import numpy as np
import torch

from zerostart.errors import dataset_argument, run_stage
from zerostart.outputs import stage_folder
from zerostart.tagging.answer.novelty import best_limit, fit_home, novelty, stored_features
from zerostart.tagging.answer.rules import ENGINES, EngineThresholds, Rules, save_rules, side_limit
from zerostart.tagging.answer.windows import WINDOWS, merged, stored_window_scores
from zerostart.tagging.engine.phases import open_domains, open_engine
from zerostart.tagging.judging.scores import best_thresholds
from zerostart.tagging.params import TaggingParams, load_tagging_params
from zerostart.tagging.pictures.store import ImageStore

VAL_OF = {"standard": "academic", "hd": "real"}
"""The domain whose val chooses an engine's thresholds: the one that it is made for."""


def main() -> str:
    dataset = dataset_argument()
    params = load_tagging_params(dataset)
    torch.set_num_threads(params.threads)
    stores = open_domains(dataset)
    tags = stores["academic"].tags
    thresholds = {engine: _thresholds(dataset, engine, stores[VAL_OF[engine]], params) for engine in ENGINES}
    standard, size = open_engine(dataset, "standard", tags)
    home = fit_home(stored_features(standard, stores["academic"], stores["academic"].of_split("train"), size))
    away = {
        domain: novelty(home, stored_features(standard, store, store.of_split("val"), size)) for domain, store in stores.items()
    }
    sides = {domain: store.shapes[store.splits < 2].max(axis=1) for domain, store in stores.items()}  # not those of test
    rules = Rules(
        tags=tags,
        longest=params.data.longest,
        use=params.engines.thresholds,
        thresholds=thresholds,
        tiling=params.tiling,
        novelty_limit=best_limit(away["academic"], away["real"]),
        side_limit=side_limit(sides["academic"], sides["real"]),
    )
    with stage_folder(f"models/tagging/{dataset}/rules") as folder:
        save_rules(rules, home, folder)
    return f"models/tagging/{dataset}/rules: " + "; ".join(
        f"{engine} " + ", ".join(f"{tag} {value:.2f}" for tag, value in zip(tags, found.val_1, strict=True))
        for engine, found in thresholds.items()
    )


def _thresholds(dataset: str, engine: str, store: ImageStore, params: TaggingParams) -> EngineThresholds:
    model, size = open_engine(dataset, engine, store.tags)
    val = store.of_split("val")
    published = {"standard": params.engines.published_standard, "hd": params.engines.published_hd}[engine]
    scores = stored_window_scores(model, store, val, size, len(WINDOWS), params.tiling.overlap)

    def best(windows: np.ndarray) -> tuple[float, ...]:
        return tuple(best_thresholds(merged(windows, params.tiling.merge), store.targets[val], published).tolist())

    return EngineThresholds(published=published, val_1=best(scores[:, :1]), val_6=best(scores))


if __name__ == "__main__":
    run_stage(main)
