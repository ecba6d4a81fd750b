"""adaptation: train all layers of the `standard` engine on, with photos and replayed academic pictures; this is `hd`."""

from zerostart.errors import dataset_argument, run_stage
from zerostart.tagging.engine.phases import DOMAINS, open_engine, run_phase
from zerostart.tagging.params import load_tagging_params


def main() -> str:
    dataset = dataset_argument()
    params = load_tagging_params(dataset)
    return run_phase(
        dataset,
        "hd",
        lambda tags: open_engine(dataset, "standard", tags)[0],
        params.adaptation,
        "real",
        lambda row: sum(row[f"{domain}_mAP"] for domain in DOMAINS) / len(DOMAINS),
        params,
    )


if __name__ == "__main__":
    run_stage(main)
