"""Scores that others published against the accuracies they published beside them: the metrics on known ground."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from bnao.config.settings import NetworkConfig
from bnao.data.tables import SIZE_COLUMNS, Rows
from bnao.errors import ConfigError, DataError
from bnao.metrics import FIGURES, Estimate, mean_ranks, pairwise_accuracy, rank_agreement, spearman
from bnao.run import round_off
from bnao.space.genotype import Genotype
from bnao.space.spaces import SearchSpace
from bnao.streams import stream
from bnao.studies.ranking import SIZE_COUNTS, counted_sizes


@frozen(eq=False)
class Agreement:
    """Agreement of one column of scores with the truth.

    Attributes:
        column: of scores.
        figures: each with its interval, by name.
        of_draws: pairwise accuracy within random draws: mean, and standard deviation from draw to draw.
        gained_by_size: Spearman's rho of size and ranks gained under the scores; None where there are no sizes, or
            nobody gains.
    """

    column: str
    figures: dict[str, Estimate]
    of_draws: tuple[float, float]
    gained_by_size: float | None


@frozen(eq=False)
class AgreementStudy:
    """Published scores against a published truth.

    Attributes:
        table: its name.
        truth: the column of accuracies.
        n: genotypes.
        draw: genotypes of a random draw.
        draws: how many.
        agreements: one a column of scores.
    """

    table: str
    truth: str
    n: int
    draw: int
    draws: int
    agreements: tuple[Agreement, ...]

    def to_json(self) -> dict[str, Any]:
        """Return plain data, as in study.json."""
        columns = [
            {
                "column": one.column,
                "pairwise_accuracy_of_draws": round_off(one.of_draws[0]),
                "deviation_of_draws": round_off(one.of_draws[1]),
                "ranks_gained_by_size": None if one.gained_by_size is None else round_off(one.gained_by_size),
                **{name: estimate.to_entry() for name, estimate in one.figures.items()},
            }
            for one in self.agreements
        ]
        about = {"table": self.table, "truth": self.truth, "n": self.n, "draw": self.draw, "draws": self.draws}
        return {"kind": "agreement", **about, "columns": columns}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> AgreementStudy:
        """Read the object that ``to_json`` wrote."""
        agreements = tuple(
            Agreement(
                entry["column"],
                {name: Estimate.from_entry(entry[name]) for name in FIGURES if name in entry},
                (float(entry["pairwise_accuracy_of_draws"]), float(entry["deviation_of_draws"])),
                entry["ranks_gained_by_size"],
            )
            for entry in content["columns"]
        )
        return cls(
            content["table"], content["truth"], int(content["n"]), int(content["draw"]), int(content["draws"]),
            agreements,
        )  # fmt: skip


def study_agreement(
    rows: Rows,
    truth_column: str,
    score_columns: Sequence[str],
    *,
    space: SearchSpace | None = None,
    among: Sequence[Genotype] | None = None,
    draw: int = 50,
    draws: int = 1000,
    resamples: int = 1000,
) -> AgreementStudy:
    """Compare columns of scores with a column of accuracies.

    Args:
        rows: the table.
        truth_column: its accuracies.
        score_columns: one or more.
        space: of the table's genotypes; then their live parameters are a ranking beside the others, and what partial
            tau is given. None: the genotypes are not read, and partial tau is given the table's column of sizes, if
            there is one.
        among: only these genotypes of the space are looked at; None: all rows.
        draw, draws: so many random draws of so many genotypes get a pairwise accuracy each, as the paper's 50 do.
        resamples: behind each interval.

    Raises:
        DataError: a column is missing, a number is not finite, or a genotype of ``among`` has no row.
        ConfigError: fewer genotypes than a draw has.
    """
    for column in (truth_column, *score_columns):
        rows.column("accuracies and scores", column)
    chosen: NDArray[np.int64] = np.arange(len(rows.rows))
    if among is not None:
        assert space is not None
        place = {genotype: index for index, genotype in reversed(list(enumerate(rows.genotypes(space))))}
        missing = [genotype for genotype in among if genotype not in place]
        if missing:
            raise DataError(
                f"{rows.path} has no row for {len(missing)} of the {len(among)} genotypes; the first is {missing[0]}"
            )
        chosen = np.array([place[genotype] for genotype in among])
    n = len(chosen)
    if n < draw:
        raise ConfigError(f"a draw has {draw} genotypes, and there are {n}; ask for fewer")
    truth = rows.numbers(rows.column("truth", truth_column))[chosen]
    size_name = next((name for name in SIZE_COLUMNS if name in rows.columns), None)
    sizes = None if size_name is None else rows.numbers(size_name, positive=True)[chosen]
    live = None
    if space is not None:
        network = NetworkConfig(space=space.name, nodes=space.nodes)
        of_rows = rows.genotypes(space)
        genotypes = [of_rows[index] for index in chosen]
        counted = counted_sizes(genotypes, network)
        live = counted["live-parameters"]
        sizes = counted["parameters"] if sizes is None else sizes
    scores_of = {column: rows.numbers(rows.column("scores", column))[chosen] for column in score_columns}
    for name, count in ((SIZE_COUNTS["parameters"], sizes), (SIZE_COUNTS["live-parameters"], live)):
        if count is not None:
            scores_of.setdefault(name, count)
    drawn = [stream(0, "agreement draws", index).choice(n, draw, replace=False) for index in range(draws)]
    agreements = []
    for column, scores in scores_of.items():
        each = [pairwise_accuracy(scores[some], truth[some]) for some in drawn]
        gained = math.nan if sizes is None else spearman(sizes, mean_ranks(scores) - mean_ranks(truth))
        agreements.append(
            Agreement(
                column,
                rank_agreement(scores, truth, size=sizes if live is None else live, resamples=resamples),
                (float(np.mean(each)), float(np.std(each, ddof=1))),
                None if math.isnan(gained) else gained,
            )
        )
    return AgreementStudy(rows.path.stem, truth_column, n, draw, draws, tuple(agreements))
