"""What searches found, judged by a benchmark table: their best against their random pool and against the largest.

    python benchmarks/judged_searches.py RUN RUN RUN --table nasbench201.csv --column c10_test_200

prints one JSON line a search: mean accuracy by the table, in the table's units, of its best, of its best five, of its
first pool (random genotypes), of the five largest of all that it scored and of that pool, and the table's best;
Kendall's tau of its ranking and of sizes over all that it scored.
"""

import argparse
import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from arguments import file, folder, refusals, whole

from bnao.data.tables import read_truth
from bnao.errors import DataError
from bnao.metrics import kendall_tau
from bnao.space.spaces import space_named
from bnao.strategies.result import Ranked, read_result


def judged(run: str, table: Path, column: str, top: int) -> dict[str, object]:
    """Return the figures of one search."""
    found = read_result(Path(run))
    ranked = found.ranked
    truth = read_truth(table, space_named(found.space), column)
    if missing := [str(each.genotype) for each in ranked if each.genotype not in truth]:
        raise DataError(f"{table} has no row for {missing[0]}, which {run} scored")

    def mean(of: Iterable[Ranked]) -> float:
        return float(np.mean([truth[each.genotype] for each in of]))

    best_first = np.arange(len(ranked), 0, -1)
    accuracies = [truth[each.genotype] for each in ranked]
    sizes = [each.size for each in ranked]
    largest = sorted(ranked, key=lambda each: -each.size)
    return {
        "run": Path(run).name,
        "genotypes": len(ranked),
        "best": truth[found.best],
        "top": mean(ranked[:top]),
        "pool": mean(each for each in ranked if each.round == 1),
        "largest": mean(largest[:top]),
        "largest_of_pool": mean([each for each in largest if each.round == 1][:top]),
        "table": max(truth.values()),
        "tau": kendall_tau(best_first, accuracies),
        "tau_of_size": kendall_tau(sizes, accuracies),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", metavar="RUN", type=folder, help="folder of a finished bnao search")
    parser.add_argument("--table", type=file, required=True, help="CSV with every genotype's accuracy")
    parser.add_argument("--column", default="c10_test_200", help="column of the accuracies")
    parser.add_argument("--top", type=whole(1), default=5, help="how many of the best are meant")
    chosen = parser.parse_args()
    with refusals(parser):
        for run in chosen.runs:
            print(json.dumps(judged(run, Path(chosen.table), chosen.column, chosen.top)), flush=True)


if __name__ == "__main__":
    main()
