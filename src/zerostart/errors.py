"""The one exception for bad input, and the wrapper that turns it into a sentence and an exit code."""

import sys
import time
from collections.abc import Callable


class InputError(ValueError):
    """Bad input from the user: one clear sentence naming the file, the record and what was expected."""


def run_stage(main: Callable[[], str]) -> None:
    """Run a stage, print its line and how long it took; an :class:`InputError` becomes one sentence and exit code 1.

    Everything else keeps its traceback: it is a defect of ours, not of the input.
    """
    started = time.monotonic()
    try:
        line = main()
        seconds = time.monotonic() - started
        print(line if seconds < 1 else f"{line} [{seconds:.0f} s]")
    except InputError as error:
        sys.exit(f"error: {error}")
