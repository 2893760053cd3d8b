"""The engine Keras computes with, TensorFlow or JAX: chosen by the user, checked here before anything is built.

bnao never sets KERAS_BACKEND: Keras reads it (or its own keras.json) when it is imported, and so does all that
follows. Every other module of this adapter imports this one first.
"""

from __future__ import annotations

import importlib.util
import os

from bnao.backends import hint
from bnao.errors import BackendError

#: the engines bnao's networks were built for, and the extra that installs each
ENGINES = {"tensorflow": "keras", "jax": "jax"}


def check_engine(engine: str) -> str:
    """The engine's name, if bnao knows it and it is installed.

    Raises:
        BackendError: it is another, or is not installed; the message says what to set or install.
    """
    if engine not in ENGINES:
        instead = "bnao has a backend of its own for it, --backend torch; or " if engine == "torch" else ""
        raise BackendError(f"Keras' engine is {engine!r}; {instead}set KERAS_BACKEND to {' or '.join(ENGINES)}")
    if importlib.util.find_spec(engine) is None:
        raise BackendError(f"Keras' engine is {engine!r}, which is not installed; try: {hint(ENGINES[engine])}")
    return engine


if "KERAS_BACKEND" in os.environ:  # before Keras fails to import it in its own words
    check_engine(os.environ["KERAS_BACKEND"])

import keras  # noqa: E402  # only now


def check_layout(layout: str) -> None:
    """Raises BackendError if Keras' images are not (height, width, channels)."""
    if layout != "channels_last":
        raise BackendError(
            f"Keras' image_data_format is {layout!r}; bnao's networks in Keras need 'channels_last' "
            f"(keras.json, or keras.config.set_image_data_format)"
        )


#: what Keras computes with: "tensorflow" or "jax"
ENGINE = check_engine(str(keras.backend.backend()))
check_layout(keras.config.image_data_format())
