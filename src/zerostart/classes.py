"""Add a class to a trained detector by a sentence, or say what it shall ignore: `python -m zerostart.classes add|ignore|list`.

python -m zerostart.classes add "star crack" --text "several thin dark jagged lines that meet in a point" --to synthetic
python -m zerostart.classes exclude --text "a thick bright chalk line with a grainy surface" --to synthetic
python -m zerostart.predict IMAGES --added data/classes/synthetic.yaml
"""

import argparse
from pathlib import Path

from zerostart.datasets.cards import load_card
from zerostart.errors import InputError, run_stage
from zerostart.language.text_encoders import load_text_encoder
from zerostart.novel.added import check_sentence, classes_path, load_added, remarks, save_added
from zerostart.novel.rows import load_vocabulary


def main() -> str:
    args = _arguments()
    card, path = load_card(args.to), classes_path(args.to)
    added = load_added(path)
    if args.command == "list":
        new = "; ".join(f"{name}: {' / '.join(said)}" for name, said in added.new.items()) or "no new class"
        return f"{path}: {new}. Ignored: {'; '.join(added.ignore) or 'nothing'}"
    settings = load_vocabulary(Path(f"models/vocabulary/{args.to}")).settings
    encoder = load_text_encoder(settings["text_encoder"])
    name = args.name if args.command == "add" else "what is ignored"
    if not args.text:
        raise InputError(f"'{name}' has no sentence; --text with a description of what it looks like is expected")
    if args.command == "add" and name in card.classes:
        raise InputError(f"'{name}' is a class of {args.to} already; a new name is expected")
    for sentence in args.text:
        check_sentence(name, sentence, encoder)
        for line in remarks(sentence, settings["language"]):
            print(line)
    if args.command == "add":
        added = added.model_copy(update={"new": {**added.new, name: tuple(args.text)}})
    else:
        added = added.model_copy(update={"ignore": (*added.ignore, *(s for s in args.text if s not in added.ignore))})
    save_added(added, path)
    return f"{path}: {name} added; `python -m zerostart.predict IMAGES --added {path}` looks for it"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m zerostart.classes", description="Classes that come as sentences.")
    commands = parser.add_subparsers(dest="command", required=True)
    add = commands.add_parser("add", help="a new class")
    add.add_argument("name")
    exclude = commands.add_parser("exclude", help="what shall not be taken for a class")
    listed = commands.add_parser("list", help="what was added")
    for command in (add, exclude):
        command.add_argument(
            "--text", action="append", metavar="SENTENCE", help="what it looks like; may be given several times"
        )
    for command in (add, exclude, listed):
        command.add_argument("--to", required=True, metavar="DATASET")
    return parser.parse_args()


if __name__ == "__main__":
    run_stage(main)
