"""adaptation: train all layers of the `standard` engine on, with photos and replayed academic pictures; this is `hd`."""

from zerostart.errors import run_stage
from zerostart.tagging.cards import load_tag_card
from zerostart.tagging.model import load_engine
from zerostart.tagging.params import dataset_argument, load_tagging_params
from zerostart.tagging.phases import DOMAINS, run_phase


def main() -> str:
    dataset = dataset_argument()
    params, card = load_tagging_params(dataset), load_tag_card(dataset)
    return run_phase(
        dataset,
        "hd",
        lambda tags: load_engine(f"models/tagging/{dataset}/standard", card.tags)[0],
        params.adaptation,
        "real",
        lambda row: sum(row[f"{domain}_mAP"] for domain in DOMAINS) / len(DOMAINS),
        params,
    )


if __name__ == "__main__":
    run_stage(main)
