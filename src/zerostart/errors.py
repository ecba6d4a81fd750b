"""The one exception for bad input, and the wrapper of stages and commands that turns what goes wrong into a sentence."""

import errno
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool

from zerostart.interruptions import STOPPED, forks_end_with_us, stoppable

DEFECT = "this is a defect of zerostart and not of your input: please report it, with the lines above"

NATIVE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)
"""Failures of the disk."""


LONGEST = 4000
"""Characters of a sentence on the terminal."""


class InputError(ValueError):
    """Bad input from the user: one clear sentence naming the file, the record and what was expected."""


def shown(value: object, most: int = 80, quoted: bool = True) -> str:
    """A value of a user's file inside a sentence: no longer than `most`, and nothing in it can act on a terminal.

    quoted: as Python writes it; a text stands as it is otherwise.
    """
    try:
        text = value if isinstance(value, str) and not quoted else repr(value)
    except (ValueError, RecursionError):  # a number of 5,000 digits, a list in a list in a list ...
        text = f"<{type(value).__name__} too large to be shown>"
    return printable(text, most)


def printable(text: str, most: int = LONGEST) -> str:
    """Escape control characters (but line ends), half surrogates and what turns the direction of writing; cut the middle."""
    if len(text) > most:
        text = f"{text[: most // 2]}…{text[len(text) - most // 3 :]}"
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)


def run_stage(main: Callable[[], str | None]) -> None:
    """Run a stage or a command, print its line, if it has one, and how long it took.

    Bad input (:class:`InputError`) and surroundings that do not hold (disk, memory, a closed pipe) become one sentence and exit
    code 1; Ctrl-C and SIGTERM one line and exit code 130, after everything half-written was removed. Anything else keeps its
    traceback: it is a defect of ours.
    """
    started = time.monotonic()
    try:
        with stoppable():
            forks_end_with_us()
            for stream in (sys.stdout, sys.stderr):  # a file's name need not be text in this terminal's encoding
                if getattr(stream, "errors", None) != "backslashreplace" and hasattr(stream, "reconfigure"):
                    stream.reconfigure(errors="backslashreplace")
            line = main()
            seconds = time.monotonic() - started
            if line is not None:
                print(line if seconds < 1 else f"{line} [{seconds:.0f} s]", flush=True)
            sys.stdout.flush()
    except InputError as error:
        sys.exit(f"error: {printable(str(error))}")
    except KeyboardInterrupt:
        print(STOPPED, file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        # the interpreter would flush standard output once more at exit, and complain
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit("error: what reads the output was closed before the end")
    except OSError as error:
        sys.exit(f"error: {printable(_described(error))}")
    except BrokenProcessPool:
        sys.exit("error: a process that it started was ended from outside, as by a machine short of memory; run it again")
    except MemoryError as error:
        sys.exit(f"error: not enough memory ({error or 'no size given'}); a smaller batch_size or a larger machine is expected")
    except Exception as error:
        if described := _native(error):
            sys.exit(f"error: {described}")
        error.add_note(DEFECT)
        raise


def _described(error: OSError) -> str:
    """For example `out/model.safetensors: No space left on device`."""
    named = [str(name) for name in (error.filename, error.filename2) if name is not None]
    return ": ".join([*named[:1], error.strerror or str(error)])


def _native(error: Exception) -> str | None:
    """A failure of the disk that a library reports as an exception of its own, or hides behind one, or None.

    For example safetensors, FAISS and PyTorch; Optuna's journal, whose lock then cannot be given back.
    """
    before = error.__context__
    while before is not None:
        if isinstance(before, OSError) and before.errno in NATIVE:
            return printable(_described(before))
        before = before.__context__
    message = str(error)
    reasons = [os.strerror(code) for code in NATIVE if os.strerror(code) in message or f"os error {code})" in message]
    if "unexpected pos" in message:  # torch.save compares what it has written with what there is, and names no reason
        reasons.append("only a part could be written, as on a full disk")
    return ", ".join([*reasons[:1], *getattr(error, "__notes__", [])[:1]]) if reasons else None


def dataset_argument() -> str:
    """The data set that a stage is run for, its only argument; raises InputError."""
    if len(sys.argv) != 2:
        raise InputError(f"usage: python {sys.argv[0]} DATASET")
    return sys.argv[1]
