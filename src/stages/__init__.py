"""The stages of dvc.yaml and pipelines/*/dvc.yaml, one file each: `python -m stages.NAME`.

Importing the package first is what `-m` is for: the library prepares the process before NumPy and torch are loaded.
"""

import zerostart  # noqa: F401
