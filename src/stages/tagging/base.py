"""base: train the `standard` engine on the academic pictures: `python -m stages.tagging.base DATASET`."""

from zerostart.errors import dataset_argument, run_stage
from zerostart.tagging.engine.model import build_tagger
from zerostart.tagging.engine.phases import run_phase
from zerostart.tagging.params import load_tagging_params


def main() -> str:
    dataset = dataset_argument()
    params = load_tagging_params(dataset)
    return run_phase(
        dataset,
        "standard",
        lambda tags: build_tagger(params.model, len(tags)),
        params.base,
        "academic",
        lambda row: row["academic_mAP"],  # photos must not choose it: their gap is what is measured
        params,
    )


if __name__ == "__main__":
    run_stage(main)
