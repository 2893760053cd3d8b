"""bnao in Keras 3, on TensorFlow or JAX: supernet, stand-alone network and NAO controller."""

from bnao.backends.keras.engine import ENGINE  # isort: skip  # before Keras itself
from bnao.backends.keras.backend import BACKEND
from bnao.backends.keras.batches import BalancedBatches
from bnao.backends.keras.model import Supernet
from bnao.backends.keras.optimizer import PathSGD
from bnao.backends.keras.tf_data import balanced
from bnao.backends.keras.validation import ArchitectureValidation

__all__ = ["BACKEND", "ENGINE", "ArchitectureValidation", "BalancedBatches", "PathSGD", "Supernet", "balanced"]
