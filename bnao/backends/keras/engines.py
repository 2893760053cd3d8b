"""The engines that Keras may compute with: which one is chosen, and whether bnao's networks know it."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from pathlib import Path

from bnao.backends import hint
from bnao.errors import BackendError

#: the engines bnao's networks were built for, and the extra that installs each
ENGINES = {"tensorflow": "keras", "jax": "jax"}


def chosen_engine() -> str:
    """Return the engine that Keras has, or will have once it is imported: KERAS_BACKEND, or what keras.json says."""
    if (keras := sys.modules.get("keras")) is not None:
        return str(keras.backend.backend())
    if wanted := os.environ.get("KERAS_BACKEND"):  # an empty one is none, to Keras too
        return wanted
    home = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")
    try:
        return str(json.loads((home / "keras.json").read_text(encoding="utf-8")).get("backend", "tensorflow"))
    except (OSError, ValueError, AttributeError):
        return "tensorflow"


def check_engine(engine: str) -> str:
    """Return the engine's name, if bnao's networks know it and it is installed.

    Raises:
        BackendError: it is another, or is not installed; the message says what to set or install.
    """
    if engine not in ENGINES:
        instead = "bnao has a backend of its own for it, --backend torch; or " if engine == "torch" else ""
        raise BackendError(f"Keras' engine is {engine!r}; {instead}set KERAS_BACKEND to {' or '.join(ENGINES)}")
    if importlib.util.find_spec(engine) is None:
        raise BackendError(f"Keras' engine is {engine!r}, which is not installed; try: {hint(ENGINES[engine])}")
    return engine
