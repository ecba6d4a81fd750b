"""Is a person's sentence one that can be understood? What it says, and which of its words no caption has."""

import difflib

from zerostart.errors import InputError
from zerostart.language.text_encoders import TextEncoder
from zerostart.novel.captions import Words, load_words, tokens
from zerostart.novel.texts import understood, unknown_words, vocabulary_words

SMALL_WORDS = """
a an and any are as at by for from in into is it its like of on one or other out some that the their there this to very which
with de con del el en la las lo los o que se sin su un una unos unas y
"""
STOP_WORDS = frozenset(SMALL_WORDS.split())


def check_sentence(name: str, sentence: str, encoder: TextEncoder) -> None:
    """Raise InputError for an empty sentence and for one that the encoder would cut."""
    if not sentence.strip():
        raise InputError(f"'{name}' has no sentence; a description of what it looks like is expected")
    if not encoder.fits(sentence):
        raise InputError(
            f"the sentence of '{name}' is longer than the text encoder '{encoder.name}' reads; a shorter one is expected"
        )


def remarks(sentence: str, language: str) -> list[str]:
    """What was understood of a sentence, and warnings: of words that no caption has, with the nearest ones that some have."""
    words = load_words(language)
    meant = ", ".join(f"{key} ({', '.join(hits)})" for key, hits in understood(sentence, words).items())
    lines = [f"understood: {meant}" if meant else "warning: no attribute word was understood; the class will hardly be found"]
    if unknown := [word for word in unknown_words(sentence, words) if word not in STOP_WORDS]:
        said = ", ".join(with_nearest(word, words) for word in unknown)
        lines.append(f"warning: no caption has the words {said}; they act through the text encoder alone, if at all")
    if len(set(tokens(sentence)) - STOP_WORDS) < 2:
        lines.append("warning: two or more words that describe the mark make it far easier to tell")
    return lines


def with_nearest(word: str, words: Words) -> str:
    """A word, and in brackets up to three like it that some caption has."""
    near = difflib.get_close_matches(word, vocabulary_words(words), 3, 0.75)
    return f"{word} (near: {', '.join(near)})" if near else word
