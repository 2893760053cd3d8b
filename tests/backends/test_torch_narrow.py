"""Networks of few channels train, also where PyTorch's own strided 1x1 convolution would write beyond its memory."""

import os
import subprocess
import sys
import textwrap

import pytest

from bnao.space.spaces import SPACES

torch = pytest.importorskip("torch")

TRAINED = """
    import sys
    import numpy as np
    from bnao import backends
    from bnao.config.settings import MachineConfig, NetworkConfig, SearchConfig, TrainingConfig
    from bnao.data.dataset import Dataset
    from bnao.space.spaces import SPACES
    from bnao.streams import stream

    def images(n):
        return stream(0, "images").integers(0, 256, (n, 8, 8, 3)).astype(np.uint8), np.arange(n) % 4

    dataset = Dataset("narrow", *images(12), *images(8), *images(8), tuple("abcd"))
    for space in sys.argv[1:]:
        pool = SPACES[space].random_genotypes(3, stream(0, "narrow"))
        for channels in range(2, 9):
            config = SearchConfig(
                network=NetworkConfig(space=space, channels=channels, cells=1),
                training=TrainingConfig(batch_size=12),
                machine=MachineConfig(device="cpu", threads=1),
            )
            supernet = backends.load("torch").supernet(config, dataset)
            losses = [step.loss for step in supernet.train(pool, np.arange(3), round_index=0)]
            assert np.isfinite(losses).all(), (space, channels, losses)
            print(space, channels, flush=True)
"""


@pytest.mark.slow
def test_two_to_eight_channels_train_in_every_space_without_avx_512():
    # oneDNN, as on a CPU without AVX-512; a corrupted memory ends the process with SIGABRT or SIGSEGV
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(TRAINED), *SPACES],
        env={**os.environ, "ONEDNN_MAX_CPU_ISA": "AVX2", "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, timeout=900,
    )  # fmt: skip

    assert done.returncode == 0, (done.stdout[-100:], done.stderr[-1000:])
    assert len(done.stdout.splitlines()) == 7 * len(SPACES)
