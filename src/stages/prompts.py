"""Stage `prompts`: turn the class descriptions into each class's sentences."""

from zerostart.datasets.cards import load_card
from zerostart.errors import run_stage
from zerostart.language.prompts import expand_prompts, load_prompts
from zerostart.outputs import write_json
from zerostart.params import load_params


def main() -> str:
    params = load_params()
    card = load_card(params.dataset)
    path = f"data/prompts/{card.prompts}.yaml"
    sentences = expand_prompts(load_prompts(path), card.classes, params.prompt_set, path)
    # A list, because the order of the classes is the card's and JSON objects are written with sorted keys.
    write_json(
        "data/prompts_expanded.json",
        [{"class": name, "sentences": texts} for name, texts in sentences.items()],
    )
    count = sum(len(texts) for texts in sentences.values())
    return f"prompts: {count} sentences for {len(sentences)} classes ({params.prompt_set})"


if __name__ == "__main__":
    run_stage(main)
