"""Picture and text as one vector, by hand."""

import numpy as np
import pytest

from zerostart.errors import InputError
from zerostart.retrieval.embedding.mixing import mix
from zerostart.retrieval.params import MixParams

PICTURE, TEXT = np.array([[1.0, 0.0]], np.float32), np.array([[0.0, 1.0]], np.float32)


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [("average", [2**-0.5, 2**-0.5]), ("weighted", [0.6, 0.8]), ("image", [1, 0]), ("text", [0, 1])],
)
def test_strategies(strategy, expected):
    mixed = mix(PICTURE, TEXT, MixParams(strategy=strategy, alpha=3, beta=4))
    np.testing.assert_allclose(mixed, [expected], rtol=1e-6)
    assert mixed.dtype == np.float32


def test_vectors_that_cancel_each_other_are_refused():
    with pytest.raises(InputError, match=r"gives case 0 a vector of length 0"):
        mix(PICTURE, -PICTURE, MixParams(strategy="average", alpha=1, beta=1))
