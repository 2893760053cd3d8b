"""bnao in Keras 3, on TensorFlow or JAX: supernet, stand-alone network and NAO controller."""

from bnao.backends.keras.engine import ENGINE

__all__ = ["ENGINE"]
