"""How fast a study on nas-bench-201 trains and scores, and the share of the time that is not convolutions.

    python benchmarks/study.py [--cells 500 --images 1000 --steps 100 --threads 1]

prints one JSON line. Time outside convolutions is what PyTorch's profiler does not count to a convolution, forward or
backward, of the whole time that a step or a scoring takes.
"""

import argparse
import json
import time
from collections.abc import Callable

import numpy as np
from arguments import refusals, whole
from torch.profiler import ProfilerActivity, profile

from bnao import NetworkConfig, SearchConfig, load_backend
from bnao.config.settings import MachineConfig, TrainingConfig
from bnao.data.dataset import Dataset
from bnao.space.spaces import SPACES
from bnao.streams import stream


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sizes = (("cells", 500, 1), ("images", 1000, 64), ("steps", 100, 1), ("channels", 16, 2), ("threads", 1, 1))
    for name, default, least in sizes:
        parser.add_argument(f"--{name}", type=whole(least), default=default)
    a = parser.parse_args()
    with refusals(parser):
        print(json.dumps({**measure(a), **vars(a)}))


def measure(a: argparse.Namespace) -> dict[str, float]:
    """The figures of one supernet that is trained and scores."""
    rng = stream(0, "benchmark")
    x = rng.integers(0, 256, (a.images, 32, 32, 3), dtype=np.uint8)
    y = np.arange(a.images) % 10
    names = tuple("0123456789")
    dataset = Dataset(name="noise", class_names=names, x_train=x, y_train=y, x_dev=x, y_dev=y, x_test=x, y_test=y)
    config = SearchConfig(
        network=NetworkConfig(space="nas-bench-201", channels=a.channels, cells=1),
        training=TrainingConfig(drop_path_keep=1.0),
        machine=MachineConfig(threads=a.threads),
    )
    supernet = load_backend("torch").supernet(config, dataset)
    pool = SPACES["nas-bench-201"].random_genotypes(a.cells, rng)

    def seconds(of: Callable[[], object]) -> float:
        start = time.perf_counter()
        of()
        return time.perf_counter() - start

    def train() -> None:
        for _ in supernet.train(pool, np.arange(a.steps) % len(pool), round_index=0):
            pass

    def outside(of: Callable[[], object]) -> float:
        with profile(activities=[ProfilerActivity.CPU]) as profiled:
            total = seconds(of)
        convolutions = sum(e.self_cpu_time_total for e in profiled.key_averages() if "convolution" in e.key)
        return 1 - convolutions / 1e6 / total

    supernet.score(pool[:2])
    trained, scored = seconds(train), seconds(lambda: supernet.score(pool))
    few = pool[:20]
    return {
        "trained_images_per_second": a.steps * 64 / trained,
        "scored_images_per_second": len(pool) * a.images / scored,
        "seconds_to_score": scored,
        "share_outside_convolutions_training": outside(train),
        "share_outside_convolutions_scoring": outside(lambda: supernet.score(few)),
    }


if __name__ == "__main__":
    main()
