"""The next items of a loop are made while the present one is worked on."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from typing import TypeVar

Item = TypeVar("Item")
Made = TypeVar("Made")


def in_order(pool: Executor, make: Callable[[Item], Made], items: Iterable[Item], ahead: int) -> Iterator[Made]:
    """`make` of each item, in their order, as `pool.map` gives it, with at most `ahead` that were not asked for yet.

    With a pool of one worker the calls of `make` are in order too. What one raises is raised where its item is asked for.
    """
    pending: deque[Future[Made]] = deque()
    for item in items:
        pending.append(pool.submit(make, item))
        if len(pending) > ahead:
            yield pending.popleft().result()
    while pending:
        yield pending.popleft().result()
