"""Memory that a process holds."""

import sys

import numpy as np
import pytest

from bnao.memory import forget_peak, held_memory, peak_memory


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux states what a process holds now")
def test_a_peak_that_was_forgotten_begins_anew():
    for _ in range(2):
        if not forget_peak():
            pytest.skip("this system keeps the peak")
        before = held_memory()
        assert peak_memory() < before + 32 * 2**20

        np.ones(8 * 2**20)  # 64 MiB, which are freed at once

        assert peak_memory() > before + 60 * 2**20
        assert held_memory() < before + 32 * 2**20
