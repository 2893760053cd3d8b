"""Seconds of one training epoch of the NAO controller, the sequences seen once each.

    python benchmarks/controller_epoch.py --sequences 1000
    python benchmarks/controller_epoch.py --sequences 1000 --yardstick naive_controller.py   # and the ratio to it

prints one JSON line.
"""

import argparse
import json
import statistics
import time

from pairs import ratio


def measure(sequences: int, epochs: int) -> dict[str, object]:
    """Median seconds of an epoch, after two that warm up."""
    from bnao.backends.torch.controller import NaoController
    from bnao.config import ControllerConfig
    from bnao.space import SPACES
    from bnao.streams import stream

    space = SPACES["nao"]
    rng = stream(0, "benchmark")
    genotypes = space.random_genotypes(sequences, rng)
    controller = NaoController(space, ControllerConfig(epochs=2 + epochs, swaps=1), seed=0)
    times, last = [], time.perf_counter()
    for _ in controller.fit(genotypes, rng.random(sequences), round=0):
        now = time.perf_counter()
        times.append(now - last)
        last = now
    return {"seconds_per_epoch": statistics.median(times[2:]), "parameters": controller.parameters}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sequences", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--yardstick", help="path of naive_controller.py")
    parser.add_argument("--pairs", type=int, default=5)
    a = parser.parse_args()
    if a.yardstick is None:
        print(json.dumps({**measure(a.sequences, a.epochs), "sequences": a.sequences}))
        return
    options = ["--sequences", str(a.sequences)]
    figures = ratio(
        [__file__, *options, "--epochs", str(a.epochs)], [a.yardstick, *options], "seconds_per_epoch", a.pairs
    )
    print(json.dumps({**figures, "sequences": a.sequences}))


if __name__ == "__main__":
    main()
