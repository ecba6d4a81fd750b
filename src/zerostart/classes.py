"""Classes that come as sentences: `python -m zerostart.classes add|exclude|repair|judge|list|remove`.

python -m zerostart.classes add "star-shaped crack" --text "several thin dark jagged lines that meet in a point" --to synthetic
python -m zerostart.classes exclude --text "a thick bright chalk line with a grainy surface" --to synthetic
python -m zerostart.predict IMAGES --added
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from transformers import Deimv2ForObjectDetection

from zerostart.datasets.cards import load_card
from zerostart.detector.model import load_detector
from zerostart.device import default_device
from zerostart.errors import InputError, run_stage
from zerostart.language.text_encoders import TextEncoder, load_text_encoder
from zerostart.novel.additions import add_class, ignore, load_additions, remove_class
from zerostart.novel.fingerprint import fingerprint
from zerostart.novel.judged_classes import judge_added, table
from zerostart.novel.labelled import look_at_labelled, shots_of
from zerostart.novel.repair import repair, report
from zerostart.novel.rows import SavedVocabulary, load_vocabulary
from zerostart.novel.sentences import check_sentence, remarks
from zerostart.outputs import check_sheet


def main() -> str:
    args = _arguments()
    commands = {"add": _add, "exclude": _exclude, "repair": _repair, "judge": _judge, "list": _list, "remove": _remove}
    return commands[args.command](args)


def _add(args: argparse.Namespace) -> str:
    card, vocabulary = load_card(args.to), _vocabulary(args.to)
    name = args.name.strip()
    if not name:
        raise InputError("the new class has no name; one is expected")
    if name in card.classes:
        raise InputError(f"'{name}' is a class of {args.to} already; a new name is expected (`repair` changes its sentence)")
    _read_sentences(name, args.text, vocabulary)
    shots, boxes = None, 0
    if args.shots:
        detector = _detector(args.to, vocabulary)
        shots, boxes = shots_of(args.shots, args.images, name, list(card.classes), detector, vocabulary.settings["regions"])
    files = add_class(args.to, name, args.text, shots)
    shown = ""
    if shots is not None:
        shown = f", with {len(shots)} labelled boxes"
        shown += f" of {boxes}: no query covers the others" if len(shots) < boxes else ""
    count = len(card.classes) + len({*card.new, name})
    return (
        f"{files.prompts}, {files.card}: '{name}' added{shown}; {count} classes now, one row of {len(vocabulary.mean)} weights"
        f" more. `python -m zerostart.predict IMAGES --added` looks for it"
    )


def _exclude(args: argparse.Namespace) -> str:
    _read_sentences("what is ignored", args.text, _vocabulary(args.to))
    files = ignore(args.to, args.text)
    return f"{files.prompts}: ignored from now on; `python -m zerostart.predict IMAGES --added` follows it"


def _repair(args: argparse.Namespace) -> str:
    card, vocabulary = load_card(args.to), _vocabulary(args.to)
    if args.name not in card.classes:
        raise InputError(f"'{args.name}' is no class of {args.to} ({', '.join(card.classes)}); `add` adds a new one")
    if args.out is not None:
        check_sheet(args.out)
    encoder = _read_sentences(args.name, args.text, vocabulary)
    found = repair(args.to, args.name, args.text, vocabulary, encoder)
    return report(found, args.out)


def _judge(args: argparse.Namespace) -> str:
    vocabulary, additions = _vocabulary(args.to), load_additions(args.to)
    if not additions.new:
        raise InputError(f"{args.to} has no new class; `python -m zerostart.classes add` adds one")
    labelled = look_at_labelled(args.file, args.images, _detector(args.to, vocabulary), vocabulary.settings["regions"])
    judged = judge_added(labelled.looks, additions, vocabulary, load_text_encoder(vocabulary.settings["text_encoder"]))
    if not judged:
        raise InputError(f"{args.file}: has no box of a new class ({', '.join(additions.new)}); such boxes are expected")
    return table(judged)


def _list(args: argparse.Namespace) -> str:
    additions = load_additions(args.to)
    shots = {name: f" ({len(few)} labelled boxes)" for name, few in additions.shots.items()}
    new = [f"{name}{shots.get(name, '')}: {' / '.join(said)}" for name, said in additions.new.items()]
    return "\n".join([*(new or ["no new class"]), *(f"ignored: {sentence}" for sentence in additions.ignore)])


def _remove(args: argparse.Namespace) -> str:
    files = remove_class(args.to, args.name)
    return f"{files.card}, {files.prompts}: '{args.name}' removed"


def _vocabulary(dataset: str) -> SavedVocabulary:
    folder = Path("models/vocabulary") / dataset
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; `make novel DATASET={dataset}` learns the vocabulary that sentences need")
    return load_vocabulary(folder)


def _detector(dataset: str, vocabulary: SavedVocabulary) -> Deimv2ForObjectDetection:
    detector = load_detector(f"data/baselines/{dataset}", vocabulary.settings["classes"])
    if fingerprint(detector) != vocabulary.settings["detector"]:
        raise InputError(f"data/baselines/{dataset}: not the detector that the vocabulary was learned on; `make novel` does it")
    return detector.to(default_device())


def _read_sentences(name: str, sentences: Sequence[str] | None, vocabulary: SavedVocabulary) -> TextEncoder:
    """Check sentences, say what was understood of them, and return the encoder."""
    if not sentences:
        raise InputError(f"'{name}' has no sentence; --text with a description of what it looks like is expected")
    encoder = load_text_encoder(vocabulary.settings["text_encoder"])
    for sentence in sentences:
        check_sentence(name, sentence, encoder)
    for sentence in sentences:
        print("\n".join(remarks(sentence, vocabulary.settings["language"])))
    return encoder


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m zerostart.classes", description="Classes that come as sentences.")
    commands = parser.add_subparsers(dest="command", required=True)
    made = {
        "add": commands.add_parser("add", help="a new class, or other sentences for one"),
        "exclude": commands.add_parser("exclude", help="what shall not be taken for a class"),
        "repair": commands.add_parser("repair", help="what another sentence would change for a class that the detector knows"),
        "judge": commands.add_parser("judge", help="how well the new classes are found in labelled pictures"),
        "list": commands.add_parser("list", help="what was added"),
        "remove": commands.add_parser("remove", help="take a new class away"),
    }
    for name in ("add", "repair", "remove"):
        made[name].add_argument("name")
    for name in ("add", "exclude", "repair"):
        made[name].add_argument(
            "--text", action="append", metavar="SENTENCE", help="what it looks like; may be given several times"
        )
    made["add"].add_argument("--shots", type=Path, metavar="FILE", help="COCO JSON with 1 to 20 labelled boxes of it")
    made["judge"].add_argument("file", type=Path, metavar="COCO.json")
    for name in ("add", "judge"):
        made[name].add_argument("--images", type=Path, help="where the images of the COCO file lie; default: beside it")
    made["repair"].add_argument("--out", type=Path, metavar="PNG", help="draw the detections that move most")
    for command in made.values():
        command.add_argument("--to", required=True, metavar="DATASET")
    return parser.parse_args()


if __name__ == "__main__":
    run_stage(main)
