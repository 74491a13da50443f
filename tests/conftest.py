"""Run the whole test suite with shapes and types checked: the hook must come before effunet."""

import os

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

from jaxtyping import install_import_hook

install_import_hook("effunet", "typecheck.check")
