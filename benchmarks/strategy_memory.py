"""Memory that an update of each strategy takes, each measured in a process of its own, as ``bnao stability`` does.

    python benchmarks/strategy_memory.py --data cifar10.npz --image-size 16 --channels 8 --threads 1

prints one JSON line a strategy, of its preset ``quick`` in the space of NAS-Bench-201: bytes held before the first
update, at most in updates, and at most with looks and scores (``bnao.footprint``).
"""

import argparse
import json

from arguments import file, refusals, whole


def measure(strategies: list[str], data: str, image_size: int, channels: int, threads: int) -> None:
    """Print the footprint of each strategy."""
    from bnao.config.settings import MachineConfig
    from bnao.config.stability import StabilityConfig
    from bnao.footprint import measure_footprint
    from bnao.stability import search_config

    config = StabilityConfig(
        methods=tuple(strategies), space="nas-bench-201", data=data, image_size=image_size, channels=channels,
        machine=MachineConfig(threads=threads),
    )  # fmt: skip
    for name in strategies:
        found = measure_footprint(search_config(config, name, 0))
        print(json.dumps({"strategy": name, "channels": channels, **found.to_json()}), flush=True)


def main() -> None:
    from bnao.strategies.methods import METHODS

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("strategies", nargs="*", default=list(METHODS), help="names of bnao strategies; all by default")
    parser.add_argument("--data", type=file, required=True, help="an .npz file of images (docs/images.md)")
    parser.add_argument("--image-size", type=whole(8), default=16)
    parser.add_argument("--channels", type=whole(2), default=8)
    parser.add_argument("--threads", type=whole(1), default=1)
    chosen = parser.parse_args()
    with refusals(parser):
        measure(chosen.strategies, chosen.data, chosen.image_size, chosen.channels, chosen.threads)


if __name__ == "__main__":
    main()
