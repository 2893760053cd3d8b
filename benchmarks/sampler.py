"""Draws a second of the proportional sampler, from pools of 1,000 and of 1,000,000, on one core."""

import json
import platform
import statistics
import time

import numpy as np

from bnao import ProportionalSampler

DRAWS = 1_000_000
REPEATS = 7


def rate(pool):
    """Draws a second from a pool of so many, the median of several repetitions."""
    sizes = np.random.default_rng(0).uniform(3e5, 9e5, pool)
    sampler = ProportionalSampler(range(pool), sizes, seed=0)
    seconds = []
    for repeat in range(REPEATS):
        start = time.perf_counter()
        sampler.draw(DRAWS, start=repeat * DRAWS)
        seconds.append(time.perf_counter() - start)
    return round(DRAWS / statistics.median(seconds))


def main():
    print(
        json.dumps(
            {
                "benchmark": "sampler",
                "draws": DRAWS,
                "draws_per_second_from_1000": rate(1_000),
                "draws_per_second_from_1000000": rate(1_000_000),
                "python": platform.python_version(),
                "numpy": np.__version__,
            }
        )
    )


if __name__ == "__main__":
    main()
