"""Seconds of one epoch of the NAO controller's training on random genotypes of the space nao.

    python benchmarks/controller_epoch.py --sequences 1000
    python benchmarks/controller_epoch.py --sequences 1000 --yardstick naive_controller.py   # and the ratio to it

prints one JSON line. The sequences are counted without swapped copies, as in the yardstick; the batch is 100.
"""

import argparse
import json
import statistics
import time

from arguments import file, refusals, whole
from pairs import ratio


def measure(backend: str, sequences: int, epochs: int, threads: int | None, seed: int) -> dict[str, object]:
    """Median seconds of an epoch, after one that warms up."""
    from bnao import load_backend
    from bnao.config.settings import ControllerConfig, MachineConfig, SearchConfig
    from bnao.space.spaces import SPACES
    from bnao.streams import stream

    loaded, space = load_backend(backend), SPACES["nao"]
    genotypes = space.random_genotypes(sequences, stream(seed, "benchmark"))
    scores = stream(seed, "benchmark scores").random(sequences)
    config = ControllerConfig(epochs=1 + epochs, swaps=1)
    controller = loaded.controller(SearchConfig(seed=seed, controller=config, machine=MachineConfig(threads=threads)))
    times, last = [], time.perf_counter()
    for _ in controller.fit(genotypes, scores, round_index=0):
        now = time.perf_counter()
        times.append(now - last)
        last = now
    return {
        "seconds_per_epoch": statistics.median(times[1:]),
        "parameters": controller.parameters,
        "backend": backend,
        "threads": threads,
        **loaded.versions(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default, least in (("sequences", 1000, 2), ("epochs", 7, 1), ("seed", 0, 0)):
        parser.add_argument(f"--{name}", type=whole(least), default=default)
    parser.add_argument("--backend", default="torch", choices=("torch", "keras"))
    parser.add_argument("--threads", type=whole(1), help="CPU threads of ours; else the framework's own choice")
    parser.add_argument("--yardstick", type=file, help="path of naive_controller.py")
    parser.add_argument("--pairs", type=whole(1), default=3)
    chosen = vars(parser.parse_args())
    yardstick, pairs = chosen.pop("yardstick"), chosen.pop("pairs")
    with refusals(parser):
        ours = {**measure(**chosen), "sequences": chosen["sequences"]}
    if yardstick is not None:
        options = [text for name, value in chosen.items() if value is not None for text in (f"--{name}", str(value))]
        same = ["--sequences", str(chosen["sequences"])]
        ours |= ratio([__file__, *options], [yardstick, *same], "seconds_per_epoch", pairs)
    print(json.dumps(ours))


if __name__ == "__main__":
    main()
