"""Run the whole test suite with shapes and types checked: the hook must come before effunet."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

import typecheck
from hypothesis import settings

# How long an example takes says how busy the machine is, and nothing of the code.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
os.environ.setdefault("MPLBACKEND", "Agg")
# One thread a process: pytest runs one process a core.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# What the tests leave in a cache goes with them; matplotlib's list of fonts takes long to make.
_cache = tempfile.mkdtemp(prefix="effunet-tests-")
atexit.register(shutil.rmtree, _cache, ignore_errors=True)
os.environ.setdefault("MPLCONFIGDIR", str(Path.home() / ".cache" / "matplotlib"))
os.environ["XDG_CACHE_HOME"] = _cache

typecheck.install()
