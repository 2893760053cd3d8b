"""Random genotypes of the space nao counted a second, parameters and multiply-adds, on one core."""

import json
import platform
import statistics
import time

import numpy as np

from bnao import NetworkConfig, count_multiply_adds, count_parameters
from bnao.space.spaces import SPACES
from bnao.streams import stream

GENOTYPES = 20_000
REPEATS = 7


def rate(count, pool, network):
    """Genotypes a second, the median of several repetitions."""
    seconds = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        count(pool, network)
        seconds.append(time.perf_counter() - start)
    return len(pool) / statistics.median(seconds)


def main():
    pool = SPACES["nao"].random_genotypes(GENOTYPES, stream(0, "benchmark"))
    network = NetworkConfig(channels=20, cells=3)
    print(
        json.dumps(
            {
                "benchmark": "model_size",
                "genotypes": GENOTYPES,
                "parameters_per_second": round(rate(count_parameters, pool, network)),
                "multiply_adds_per_second": round(rate(count_multiply_adds, pool, network)),
                "python": platform.python_version(),
                "numpy": np.__version__,
            }
        )
    )


if __name__ == "__main__":
    main()
