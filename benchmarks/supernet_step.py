"""Seconds of one supernet training step: draw, batch, augmentation, forward, backward, clipping, update.

    python benchmarks/supernet_step.py --channels 20 --cells 3 --image 32 --batch 64
    python benchmarks/supernet_step.py ... --yardstick naive_supernet.py   # and the ratio to it

prints one JSON line. The genotypes of all steps are distinct random ones, as in the yardstick.
"""

import resource
import statistics
import time

import numpy as np
from pairs import ratio, step_command


def measure(
    backend: str, channels: int, cells: int, image: int, batch: int, steps: int, seed: int
) -> dict[str, object]:
    """Median seconds of a step, after two that warm up."""
    began = time.perf_counter()
    from bnao import NetworkConfig, ProportionalSampler, SearchConfig, count_parameters, load_backend
    from bnao.config.settings import TrainingConfig
    from bnao.data.dataset import Dataset
    from bnao.network.state import without_momenta
    from bnao.space.spaces import SPACES
    from bnao.streams import stream

    rng = stream(seed, "benchmark")

    def images(n: int) -> np.ndarray:
        return rng.integers(0, 256, (n, image, image, 3), dtype=np.uint8)

    def labels(n: int) -> np.ndarray:
        return np.arange(n) % 10

    parts = {"x_train": images(8 * batch), "y_train": labels(8 * batch)}
    for part in ("dev", "test"):
        parts |= {f"x_{part}": images(100), f"y_{part}": labels(100)}
    dataset = Dataset(name="noise", class_names=tuple("0123456789"), **parts)
    network = NetworkConfig(channels=channels, cells=cells)
    config = SearchConfig(network=network, training=TrainingConfig(batch_size=batch, learning_rate=0.1))
    loaded = load_backend(backend)
    supernet = loaded.supernet(config, dataset)
    pool = SPACES["nao"].random_genotypes(2 + steps, rng)
    sampler = ProportionalSampler(pool, count_parameters(pool, supernet.network), seed=seed, alpha=0.0)
    times, last = [], time.perf_counter()
    built = last - began
    for _ in supernet.train(pool, sampler.draw(2 + steps), round_index=0):
        now = time.perf_counter()
        times.append(now - last)
        last = now
    first = times[0] + built
    held = sum(value.size for value in without_momenta(supernet.state()).values())
    return {
        "seconds_per_step": statistics.median(times[2:]),
        "seconds_to_first_step": first,
        "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "parameters": held,
        "backend": backend,
        **loaded.versions(),
    }


def main() -> None:
    step_command(
        __doc__, __file__, measure, "naive_supernet.py",
        sizes={
            "channels": (20, 2), "cells": (3, 1), "image": (32, 8), "batch": (64, 2), "steps": (16, 1), "seed": (0, 0),
        },
        compare=lambda ours, theirs, pairs: ratio(ours, theirs, "seconds_per_step", pairs),
    )  # fmt: skip


if __name__ == "__main__":
    main()
