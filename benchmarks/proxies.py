"""How zero-cost scores order the cells of NAS-Bench-201, against their trained accuracy.

    python benchmarks/proxies.py --table nasbench201.csv --data cifar10.npz [--cells 300 --channels 16 --stack 5]

scores random cells of the table and writes a JSON file (--out): each cell's truth, live size and scores. It prints one
line for each score, live size and their sums of ranks: Kendall's tau over all cells, in the better half by truth, and
beyond live size (partial), and precision among the best tenth, with 95 % bootstrap intervals over cells.
``--of FILE`` counts the figures of such a file again and scores nothing.
"""

import argparse
import json
import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from arguments import file, refusals, whole
from numpy.typing import NDArray

from bnao import (
    DataConfig,
    NetworkConfig,
    ProxiesConfig,
    fuse,
    load_backend,
    load_dataset,
    rank_agreement,
    zero_cost_scores,
)
from bnao.config.proxies import PROXIES
from bnao.config.settings import MachineConfig
from bnao.data.tables import read_truth
from bnao.space.spaces import SPACES
from bnao.streams import stream

FIGURES = ("kendall_tau", "tau_in_better_half", "partial_tau_given_size", "precision_in_top_tenth")
JOINED = (
    ("live size", "jacob_cov"),
    ("live size", "jacob_cov", "naswot"),
    ("live size", "jacob_cov", "synflow"),
    ("live size", "jacob_cov", "naswot", "synflow"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--of", type=file, help="a file that this script wrote")
    parser.add_argument("--table", type=file)
    parser.add_argument("--column", default="c10_test_200")
    parser.add_argument("--data", type=file)
    sizes = (("cells", 300, 20), ("channels", 16, 2), ("stack", 5, 1), ("batch", 64, 2), ("repeats", 1, 1))
    for name, default, least in (*sizes, ("seed", 0, 0), ("threads", 1, 1)):
        parser.add_argument(f"--{name}", type=whole(least), default=default)
    parser.add_argument("--out", type=Path, default=Path("proxies.json"))
    a = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    with refusals(parser):
        if a.of is None:
            if a.table is None or a.data is None:
                parser.error("give --table and --data, or --of")
            content = scored(a)
        else:
            content = json.loads(Path(a.of).read_text(encoding="utf-8"))
        content["figures"] = {name: figures_of(*way) for name, way in ways(content["cells"]).items()}
        text = json.dumps({name: value for name, value in content.items() if name != "cells"}, indent=1)
        # a line a cell
        cells = ",\n  ".join(json.dumps(cell) for cell in content["cells"])
        a.out.write_text(f'{text[:-2]},\n "cells": [\n  {cells}\n ]\n}}\n', encoding="utf-8")
        for name, figures in content["figures"].items():
            shown = (
                f"{figures[figure]['value']:.3f} [{figures[figure]['low']:.3f}, {figures[figure]['high']:.3f}]"
                if figures[figure]["value"] is not None
                else "-"
                for figure in FIGURES
            )
            print(f"{name:<36}", *shown, sep="  ")


def scored(a: argparse.Namespace) -> dict[str, Any]:
    """Score random cells of the table."""
    truth = read_truth(Path(a.table), SPACES["nas-bench-201"], a.column)
    cells = list(truth)
    chosen = stream(a.seed, "cells").choice(len(cells), a.cells, replace=False)
    genotypes = [cells[index] for index in sorted(chosen.tolist())]
    config = ProxiesConfig(
        seed=a.seed,
        proxies=",".join(PROXIES),
        batch=a.batch,
        repeats=a.repeats,
        network=NetworkConfig(space="nas-bench-201", channels=a.channels, cells=a.stack),
        data=DataConfig(data=a.data),
        machine=MachineConfig(threads=a.threads),
    )
    dataset = load_dataset(config.data)
    start = time.monotonic()

    def told(event: dict[str, Any]) -> None:
        if event["event"] == "probed" and event["genotype"] % 20 == 0:
            logging.info("%d/%d  %.0f s", event["genotype"], event["of"], time.monotonic() - start)

    found = zero_cost_scores(genotypes, config, load_backend("torch"), dataset, listen=told)
    about = {name: getattr(a, name) for name in ("channels", "stack", "batch", "repeats", "seed", "column")}
    return {
        **about,
        "data": dataset.describe(),
        "seconds": round(time.monotonic() - start, 1),
        "cells": [{"truth": truth[entry.genotype], **entry.to_json()} for entry in found],
    }


def ways(cells: Sequence[Mapping[str, Any]]) -> dict[str, tuple[NDArray[np.float64], ...]]:
    """Each way of ranking the cells by its name: its scores, the truth and live size, shape (n,)."""
    truth, size = (np.array([cell[name] for cell in cells], np.float64) for name in ("truth", "live_parameters"))
    parts = {"live size": size} | {
        name: np.array([np.nan if (mean := cell["proxies"][name]["mean"]) is None else mean for cell in cells])
        for name in cells[0]["proxies"]
    }
    joined = {" + ".join(names): fuse({name: parts[name] for name in names}).values for names in JOINED}
    # what is not defined ranks last
    alone = {name: np.where(np.isnan(part), -np.inf, part) for name, part in parts.items()}
    return {name: (scores, truth, size) for name, scores in (alone | joined).items()}


def figures_of(
    scores: NDArray[np.float64], truth: NDArray[np.float64], size: NDArray[np.float64]
) -> dict[str, dict[str, float | None]]:
    """The figures of one way of ranking, rounded."""
    found = rank_agreement(scores, truth, size=size)
    return {
        name: {end: None if value is None else round(value, 3) for end, value in found[name].to_json().items()}
        for name in FIGURES
    }


if __name__ == "__main__":
    main()
