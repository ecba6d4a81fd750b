"""The stages of dvc.yaml and pipelines/*/dvc.yaml, one file each: `python -m stages.NAME`.

Run as a module, a stage imports this file before its own imports, and with it the package that pins the kernels (kernels.py):
later, NumPy and PyTorch would have chosen theirs.
"""

import zerostart  # noqa: F401
