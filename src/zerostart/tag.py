"""Tag pictures: `python -m zerostart.tag IMAGE|FOLDER --engine standard|hd|auto --tiling 6|1`."""

import argparse
import json
import sys
from pathlib import Path

from zerostart.errors import InputError, run_stage
from zerostart.outputs import rounded
from zerostart.tagging.answer.tagger import Answer, Tagger
from zerostart.tagging.pictures.decoding import UnreadableError, decode
from zerostart.tagging.pictures.sources import images_in


def main(arguments: list[str] | None = None) -> None:
    """Print the answers as they are, for other programs too: nothing is added about the time that it took."""
    options = _parser().parse_args(arguments)
    if options.threshold is not None and not 0 <= options.threshold <= 1:
        raise InputError(f"--threshold {options.threshold:g}; a number in 0..1 is expected")
    paths = _pictures(options.picture)
    tagger = Tagger.load(options.models)
    answers = {}
    for path in paths:
        try:
            image = decode(path, tagger.rules.longest)
        except UnreadableError as reason:
            if options.picture.is_file():
                raise InputError(f"{path}: {reason}") from None
            print(f"{path}: left out, {reason}", file=sys.stderr)
            continue
        answers[path] = tagger.tag(image, options.engine, options.tiling, options.threshold)
    if not answers:
        raise InputError(f"{options.picture}: none of its {len(paths)} images can be read")
    if options.json:
        print(json.dumps({path.as_posix(): _plain(answer) for path, answer in answers.items()}, indent=1))
    else:
        print("\n".join(f"{path}: {_sentence(answer)}" for path, answer in answers.items()))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m zerostart.tag", description="Tags of pictures, with scores.")
    parser.add_argument("picture", type=Path, metavar="IMAGE|FOLDER")
    parser.add_argument("--models", type=Path, default=Path("models/tagging/toolbox"), help="both engines and their rules")
    parser.add_argument("--engine", choices=("standard", "hd", "auto"), default="auto")
    parser.add_argument("--tiling", type=int, choices=(1, 6), help="windows of each picture; default: as in params.yaml")
    parser.add_argument("--threshold", type=float, help="one for all tags, in 0..1; default: the engine's own")
    parser.add_argument("--json", action="store_true")
    return parser


def _pictures(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise InputError(f"{path}: no such file or folder; an image or a folder of images is expected")
    if found := images_in(path):
        return found
    raise InputError(f"{path}: no image in it; an image or a folder of images is expected")


def _sentence(answer: Answer) -> str:
    said = ", ".join(f"{tag} {score:.2f} ({window})" for tag, score, window in answer.tags) or "no tag"
    return f"{said} [{answer.engine}, novelty {answer.novelty:.1f}]"


def _plain(answer: Answer) -> dict:
    return rounded(answer._asdict() | {"tags": [tag._asdict() for tag in answer.tags]})


if __name__ == "__main__":
    run_stage(main)
