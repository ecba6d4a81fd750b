"""Is all that a pipeline starts from right? `python -m zerostart.preflight`, seconds before anything that takes minutes.

Parameters, card, prompts, text encoder and baseline are read and put together as the stages will do it; nothing is written.
`make repro` begins with it, and dvc.yaml puts it in front of two commands (DVC starts the second of a list only if the first
succeeds). `features`, the expensive stage, depends on neither prompts nor text encoder, so that a changed word does not
compute it anew; and DVC runs in any order what does not depend on each other. A stage of its own for these checks would have
to be `always_changed`, and `dvc status` would call every checkout stale. `decoder_tuning` has its launcher from params.yaml,
and a shell reads it: there `params` alone are checked.
"""

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

from zerostart.ablation.params import load_ablation_params
from zerostart.datasets.cards import load_card
from zerostart.detector.baselines import find_baseline, write_baseline
from zerostart.errors import InputError, run_stage
from zerostart.language.prompts import expand_prompts, load_prompts
from zerostart.language.text_encoders import class_embeddings, load_text_encoder
from zerostart.novel.kinds import PURPOSES, has_facts, load_kinds
from zerostart.novel.params import load_novel_params, of_dataset
from zerostart.params import Params, load_params
from zerostart.retrieval.contexts import load_words
from zerostart.retrieval.params import load_retrieval_params
from zerostart.tagging.cards import load_tag_card
from zerostart.tagging.params import load_tagging_params

PIPELINES = ("experiment", "params", "ablation", "novel", "retrieval", "tagging")


def check_experiment(params: Params) -> None:
    """Raise InputError where a stage of the main pipeline would, for anything that is there before it is run."""
    card = load_card(params.dataset)
    path = f"data/prompts/{card.prompts}.yaml"
    sentences = expand_prompts(load_prompts(path), card.classes, params.prompt_set, path)
    baseline = find_baseline(params.baseline, params.dataset)
    with TemporaryDirectory() as scratch:
        write_baseline(baseline, card.classes, Path(scratch))
    class_embeddings(load_text_encoder(params.text_encoder), sentences)


def check(pipeline: str, dataset: str | None) -> str:
    """Check one of the pipelines; returns what was found right."""
    if pipeline == "tagging":
        load_tagging_params(dataset or "toolbox")
        load_tag_card(dataset or "toolbox")
        return "parameters, card"
    if pipeline == "retrieval":
        load_words(load_retrieval_params().language)
        return "parameters, words"
    if pipeline == "ablation":
        load_ablation_params()
        load_card(dataset or "synthetic")
        return "parameters, card"
    if pipeline == "novel":
        card = load_card(dataset or "synthetic")
        of_dataset(load_novel_params(), card.name)
        for purpose in PURPOSES:
            load_kinds(purpose)
        if has_facts(card.name) and len(card.classes) < 3:
            raise InputError(
                f"data/captions/facts.yaml: the {len(card.classes)} classes of {card.name} make {len(card.classes) // 2}"
                f" division with two of them held out; at least 2 are expected for an interval"
            )
        return "parameters, card, kinds of mark"
    params = load_params()
    if pipeline == "params":
        return "parameters"
    check_experiment(params)
    return "parameters, card, prompts, text encoder, baseline"


def main() -> str:
    parser = argparse.ArgumentParser(prog="python -m zerostart.preflight", description="Check what a pipeline starts from.")
    parser.add_argument("pipeline", choices=PIPELINES, nargs="?", default="experiment")
    parser.add_argument("dataset", nargs="?", help="of the ablation, or of the tagger")
    arguments = parser.parse_args()
    if not Path("params.yaml").is_file():
        raise InputError("params.yaml: no such file here; the root of a checkout is expected")
    return f"checked: {check(arguments.pipeline, arguments.dataset)}"


if __name__ == "__main__":
    run_stage(main)
