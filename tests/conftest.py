"""Settings of all tests."""

import os

from hypothesis import settings

# An example's time says more about what else the machine does than about the code.
settings.register_profile("zerostart", deadline=None)
settings.load_profile("zerostart")

# Workers side by side share the cores: threads of their libraries would only wait for each other.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
