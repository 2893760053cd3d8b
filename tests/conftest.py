"""What the tests share: a small data set, and the folder of those that are too large for the repository."""

import pathlib

import numpy as np
import pytest
from hypothesis import settings

from bnao.data.dataset import Dataset
from bnao.streams import stream

# what other tests run in processes of their own
collect_ignore = ["rank_program.py", "replica_program.py"]

# the contract's assertions tell their values as a test's own do
pytest.register_assert_rewrite("bnao.testing")

# a busy machine makes single examples slow, which says nothing about bnao
settings.register_profile("bnao", deadline=None)
settings.load_profile("bnao")


@pytest.fixture(scope="session")
def shared_data() -> pathlib.Path:
    folder = pathlib.Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"needs the data sets and tables in {folder}")
    return folder


@pytest.fixture(scope="session")
def tiny_dataset() -> Dataset:
    """120 train, 40 dev and 40 test images of 12 x 12 x 3 in 4 classes that a few steps of training tell apart."""
    colours = np.array([[170, 100, 100], [100, 170, 100], [100, 100, 170], [130, 130, 60]])
    parts = []
    for part, n in (("train", 120), ("dev", 40), ("test", 40)):
        labels = np.arange(n) % len(colours)
        noise = stream(0, f"tiny {part}").normal(0, 50, (n, 12, 12, 3))
        parts += [np.clip(colours[labels][:, None, None] + noise, 0, 255).astype(np.uint8), labels]
    return Dataset("tiny", *parts, ("reddish", "greenish", "bluish", "yellowish"))
