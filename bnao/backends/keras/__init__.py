"""bnao in Keras 3, on TensorFlow or JAX: supernet, stand-alone network and NAO controller.

With PyTorch as Keras' engine there are the sampler's batches alone, ``BalancedBatches`` and ``ArchitectureValidation``;
all else is refused in a line.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from bnao.backends.keras.engines import check_engine, chosen_engine

if chosen_engine() == "torch":

    def __getattr__(name: str) -> Any:
        """Import what needs no engine of bnao's."""
        if name in _OF_ANY_ENGINE:
            return getattr(import_module(f"{__name__}.{_OF_ANY_ENGINE[name]}"), name)
        if name in __all__:
            check_engine("torch")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

else:
    from bnao.backends.keras.engine import ENGINE  # isort: skip  # before Keras itself
    from bnao.backends.keras.backend import BACKEND
    from bnao.backends.keras.batches import BalancedBatches
    from bnao.backends.keras.model import Supernet
    from bnao.backends.keras.optimizer import PathSGD
    from bnao.backends.keras.tf_data import balanced
    from bnao.backends.keras.validation import ArchitectureValidation

_OF_ANY_ENGINE = {"ArchitectureValidation": "validation", "BalancedBatches": "batches", "balanced": "tf_data"}

__all__ = ["BACKEND", "ENGINE", "ArchitectureValidation", "BalancedBatches", "PathSGD", "Supernet", "balanced"]
