"""Seconds and memory of one first-order DARTS step by a supernet's mixtures: the slope of a dev batch, then an update.

    python benchmarks/mixture_step.py --channels 16 --cells 2 --image 32 --batch 64
    python benchmarks/mixture_step.py ... --yardstick benchmarks/naive_darts.py   # and the ratios to it

prints one JSON line; where the machine does other work too, compare the seconds of the CPU. The batches are made
beforehand, as the yardstick's are.
"""

import resource
import statistics
import time

import numpy as np
from pairs import ratios, step_command


def measure(
    backend: str, channels: int, cells: int, image: int, batch: int, steps: int, seed: int
) -> dict[str, object]:
    """Return median seconds of a step, after one that warms up, and the process's peak of memory."""
    from bnao import NetworkConfig, SearchConfig, load_backend
    from bnao.data.dataset import Dataset
    from bnao.protocols import Mixture, Pass
    from bnao.space.mixture import mixture_shape
    from bnao.space.spaces import SPACES
    from bnao.streams import stream

    rng = stream(seed, "benchmark")
    few = {}
    for part in ("train", "dev", "test"):
        few[f"x_{part}"] = np.zeros((20, image, image, 3), np.uint8)
        few[f"y_{part}"] = np.arange(20) % 10
    dataset = Dataset(name="noise", class_names=tuple("0123456789"), **few)
    network = NetworkConfig(space="darts", channels=channels, cells=cells, share_over="source")
    loaded = load_backend(backend)
    supernet = loaded.supernet(SearchConfig(network=network), dataset).supernet
    shape = mixture_shape(SPACES["darts"])

    def given(**options: object) -> Pass:
        powers = np.exp(1e-3 * rng.standard_normal(shape))
        images = rng.standard_normal((batch, image, image, 3), np.float32)
        mixture = Mixture(powers / powers.sum(-1, keepdims=True))
        return Pass(mixture, images, rng.integers(10, size=batch), **options)

    times, busy = [], []
    for _ in range(1 + steps):
        dev, train = given(learn=False, slope="used"), given()
        began, used = time.perf_counter(), time.process_time()
        supernet.step([dev], rate=0.025)
        supernet.step([train], rate=0.025)
        times.append(time.perf_counter() - began)
        busy.append(time.process_time() - used)
    return {
        "seconds_per_step": statistics.median(times[1:]),
        "cpu_seconds_per_step": statistics.median(busy[1:]),
        "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "backend": backend,
        **loaded.versions(),
    }


def main() -> None:
    figures = ("seconds_per_step", "cpu_seconds_per_step", "peak_memory_mib")
    step_command(
        __doc__, __file__, measure, "naive_darts.py",
        sizes={
            "channels": (16, 2), "cells": (2, 1), "image": (32, 8), "batch": (64, 2), "steps": (3, 1), "seed": (0, 0),
        },
        compare=lambda ours, theirs, pairs: ratios(ours, theirs, figures, pairs),
    )  # fmt: skip


if __name__ == "__main__":
    main()
