"""Run the whole test suite with shapes and types checked: the hook must come before effunet."""

import os

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
os.environ.setdefault("MPLBACKEND", "Agg")
# One thread a process: pytest runs one process a core.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from jaxtyping import install_import_hook

install_import_hook("effunet", "typecheck.check")
