"""bnao in PyTorch: supernet, stand-alone network and NAO controller."""

from bnao.backends.torch.backend import BACKEND

__all__ = ["BACKEND"]
