"""The one exception for bad input, and the wrapper that turns it into a sentence and an exit code."""

import sys
from collections.abc import Callable


class InputError(ValueError):
    """Bad input from the user: one clear sentence naming the file, the record and what was expected."""


def run_stage(main: Callable[[], str]) -> None:
    """Run a stage and print the one line it returns; an :class:`InputError` becomes one sentence and exit code 1.

    Everything else keeps its traceback: it is a defect of ours, not of the input.
    """
    try:
        print(main())
    except InputError as error:
        sys.exit(f"error: {error}")
