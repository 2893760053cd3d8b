"""Images a second when a pool is scored, against forward passes of a plain network of the same arithmetic.

    python benchmarks/scoring.py --yardstick naive_supernet.py [--genotypes 100 --images 1000]

prints one JSON line. The plain network is the yardstick's, given the same genotypes and ready batches of 500 images:
no data, no argmax, no bookkeeping (but drop path's masks, which it always makes).
"""

import argparse
import importlib.util
import json
import statistics
import time

import numpy as np
import torch
from arguments import file, refusals, whole

from bnao import NetworkConfig, SearchConfig, load_backend
from bnao.backends.torch.supernet import images_of
from bnao.data.dataset import Dataset
from bnao.space.spaces import SPACES
from bnao.streams import stream


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sizes = (("genotypes", 100, 1), ("images", 1000, 10), ("channels", 8, 2), ("cells", 1, 1), ("image", 32, 8))
    for name, default, least in sizes:
        parser.add_argument(f"--{name}", type=whole(least), default=default)
    parser.add_argument("--yardstick", type=file, required=True, help="path of naive_supernet.py")
    a = parser.parse_args()
    with refusals(parser):
        print(json.dumps({**measure(a), **{name: value for name, value in vars(a).items() if name != "yardstick"}}))


def measure(a: argparse.Namespace) -> dict[str, float]:
    """Images a second of both, and the median of their ratios."""
    rng = stream(0, "benchmark")
    x = rng.integers(0, 256, (a.images, a.image, a.image, 3), dtype=np.uint8)
    y = np.arange(a.images) % 10
    names = tuple("0123456789")
    dataset = Dataset(name="noise", class_names=names, x_train=x, y_train=y, x_dev=x, y_dev=y, x_test=x, y_test=y)
    config = SearchConfig(network=NetworkConfig(channels=a.channels, cells=a.cells))
    supernet = load_backend("torch").supernet(config, dataset)
    pool = SPACES["nao"].random_genotypes(a.genotypes, rng)

    specification = importlib.util.spec_from_file_location("yardstick", a.yardstick)
    yardstick = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(yardstick)
    plain = yardstick.Supernet(a.channels, a.cells)
    cells = SPACES["nao"].encode(pool).reshape(len(pool), 2, -1).tolist()
    batches = [
        images_of(dataset.normalised(part), supernet.supernet.net.device).contiguous()
        for part in np.array_split(x, max(1, round(a.images / 500)))
    ]

    def seconds(of) -> float:
        start = time.perf_counter()
        of()
        return time.perf_counter() - start

    @torch.inference_mode()
    def forward() -> None:
        for batch in batches:
            for genotype in cells:
                plain(batch, genotype, 1.0)

    supernet.score(pool[:5])
    times = [(seconds(lambda: supernet.score(pool)), seconds(forward)) for _ in range(3)]
    total = a.genotypes * a.images
    return {
        "images_per_second": total / statistics.median(ours for ours, _ in times),
        "plain_images_per_second": total / statistics.median(theirs for _, theirs in times),
        "ratio": statistics.median(theirs / ours for ours, theirs in times),
    }


if __name__ == "__main__":
    main()
