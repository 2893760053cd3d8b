"""bnao in PyTorch: supernet, stand-alone network and NAO controller."""

from bnao.backends import check_alone

check_alone("torch", "tensorflow")

from bnao.backends.torch.backend import BACKEND  # noqa: E402  # only now

__all__ = ["BACKEND"]
