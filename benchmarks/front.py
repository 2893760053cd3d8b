"""Hypervolume of what searches on a benchmark table find, for a front of score and multiply-adds and for the score.

    python benchmarks/front.py --table nasbench201.csv

prints one JSON line a controller and objective: mean and standard deviation over the seeds of the hypervolume of the
genotypes looked up, as a share of that of the whole table, against a score of 10 (chance of ten classes, in percent)
and the most multiply-adds of the space; and the mean of the best score.
"""

import argparse
import json
import statistics
from pathlib import Path

from arguments import file, refusals, whole

CONTROLLERS = ("random", "evolution", "ageing-evolution", "local-search", "ridge")
LOWEST = 10.0


def measure(table: Path, column: str, seeds: int, queries: int) -> None:
    """Print what each controller finds with and without a front."""
    from bnao.backends.table import TableSupernet
    from bnao.config.settings import ControllerConfig, NetworkConfig, SearchConfig
    from bnao.data.tables import read_table
    from bnao.network.size import count_multiply_adds
    from bnao.pareto import hypervolume
    from bnao.space.spaces import SPACES
    from bnao.strategies.front import Front
    from bnao.strategies.registry import make_controller
    from bnao.strategies.rounds import search

    network = NetworkConfig(space="nas-bench-201", channels=16, cells=5)
    rows = read_table(table, SPACES["nas-bench-201"], column, None)
    supernet = TableSupernet(rows.genotypes, rows.scores, network)
    costs = count_multiply_adds(rows.genotypes, network)
    reference = LOWEST, float(costs.max())
    whole_table = hypervolume(rows.scores, costs, reference)
    rounds = 1 + max(0, queries - 50) // 25
    for name in CONTROLLERS:
        for pareto in (None, "multiply-adds"):
            areas, best = [], []
            for seed in range(seeds):
                config = SearchConfig(
                    seed=seed, rounds=rounds, pool=50, new=25, n_seeds=10, rerank_epochs=0, network=network,
                    pareto=pareto, controller=ControllerConfig(controller=name),
                )  # fmt: skip
                ranked = search(config, supernet, make_controller(config)).ranked
                areas.append(Front.of(ranked, "multiply-adds").hypervolume_against(*reference) / whole_table)
                best.append(max(entry.score for entry in ranked))
            spread = statistics.stdev(areas) if seeds > 1 else None
            print(
                json.dumps({
                    "controller": name, "pareto": pareto, "queries": len(ranked), "seeds": seeds,
                    "hypervolume": round(statistics.fmean(areas), 5), "sd": spread and round(spread, 5),
                    "best": round(statistics.fmean(best), 3),
                }),
                flush=True,
            )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=file, required=True, help="CSV file of NAS-Bench-201 (docs/tables.md)")
    parser.add_argument("--column", default="c10_valid_200", help="of its scores")
    parser.add_argument("--seeds", type=whole(1), default=5)
    parser.add_argument("--queries", type=whole(50), default=200)
    chosen = parser.parse_args()
    with refusals(parser):
        measure(Path(chosen.table), chosen.column, chosen.seeds, chosen.queries)


if __name__ == "__main__":
    main()
