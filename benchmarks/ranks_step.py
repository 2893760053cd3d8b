"""Seconds of a supernet's step by several ranks, and of its exchange of gradients.

    torchrun --standalone --nproc-per-node 2 benchmarks/ranks_step.py --across batch --channels 20 --batch 64

prints one JSON line: of rank 0 the median step, the median of its sum over all ranks (waiting for the slowest included)
and of a sum of the same length that all begin together, and the bytes that are summed at most. Images are noise.
"""

import argparse
import json
import statistics
import time

import numpy as np
from arguments import whole


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--across", choices=("batch", "paths"), default="batch")
    parser.add_argument("--sync-norm", action="store_true")
    for name, value, least in (
        ("channels", 20, 2),
        ("cells", 3, 1),
        ("image", 32, 8),
        ("batch", 64, 2),
        ("steps", 16, 1),
    ):
        parser.add_argument(f"--{name}", type=whole(least), default=value)
    given = parser.parse_args()

    import torch

    from bnao import DataConfig, NetworkConfig, SearchConfig, load_backend
    from bnao.backends.torch.ranks import TorchRanks, join
    from bnao.config.ranks import RanksConfig
    from bnao.config.settings import TrainingConfig
    from bnao.data.dataset import Dataset
    from bnao.space.spaces import SPACES
    from bnao.streams import stream

    rng = stream(0, "benchmark")
    parts: dict[str, np.ndarray] = {}
    for part, n in (("train", 16 * given.batch), ("dev", 100), ("test", 100)):
        parts[f"x_{part}"] = rng.integers(0, 256, (n, given.image, given.image, 3), dtype=np.uint8)
        parts[f"y_{part}"] = np.arange(n) % 10
    ranks = join(SearchConfig(ranks=RanksConfig(across=given.across)))
    assert ranks is not None
    paths = ranks.count if given.across == "paths" else None
    config = SearchConfig(
        network=NetworkConfig(channels=given.channels, cells=given.cells),
        data=DataConfig(),
        training=TrainingConfig(batch_size=given.batch, learning_rate=0.1),
        ranks=RanksConfig(across=given.across, paths=paths, sync_norm=given.sync_norm),
    )
    supernet = load_backend("torch").supernet(config, Dataset(name="noise", class_names=tuple("0123456789"), **parts))
    sums: list[tuple[int, float]] = []

    def timed(self: TorchRanks, values: torch.Tensor) -> torch.Tensor:
        began = time.perf_counter()
        total = summed(self, values)
        sums.append((values.numel(), time.perf_counter() - began))
        return total

    summed, TorchRanks.sum = TorchRanks.sum, timed  # type: ignore[method-assign]
    pool = SPACES["nao"].random_genotypes(2 + given.steps, rng)
    drawn = np.arange((2 + given.steps) * (paths or 1)) % len(pool)
    steps, exchanges, last = [], [], time.perf_counter()
    for _ in supernet.train(pool, drawn, round_index=0):
        steps.append(time.perf_counter() - last)
        exchanges.append(sum(seconds for _, seconds in sums))
        most = max(length for length, _ in sums)
        sums.clear()
        last = time.perf_counter()
    alone = []
    for _ in range(20):
        ranks.numbers([0.0], 1)  # so that all begin together
        began = time.perf_counter()
        summed(ranks, torch.zeros(most))
        alone.append(time.perf_counter() - began)
    if ranks.rank == 0:
        step, exchange = statistics.median(steps[2:]), statistics.median(exchanges[2:])
        found = {"ranks": ranks.count, "seconds_per_step": step, "seconds_summing": exchange, "share": exchange / step}
        print(json.dumps({**found, "seconds_of_a_sum_begun_together": statistics.median(alone), "bytes": 4 * most}))


if __name__ == "__main__":
    main()
