"""``bnao study agreement``: published scores against published accuracies."""

from __future__ import annotations

from pathlib import Path

import click

from bnao.cli.reports import agreement_report
from bnao.cli.studies import Output, study_folder, study_options
from bnao.config.settings import SPACE_NAMES
from bnao.config.table_studies import AgreementConfig
from bnao.data.tables import read_rows
from bnao.errors import RunError
from bnao.provenance import keep_study
from bnao.run import read_json, understanding
from bnao.space.genotype import Genotype
from bnao.space.spaces import SPACES, parse_in
from bnao.studies.agreement import AgreementStudy, agreement_study
from bnao.studies.ranking import RESULT


@click.command("agreement")
@click.argument("table", type=click.Path(path_type=Path))
@click.option("--truth-column", required=True, help="Column of accuracies.")
@click.option(
    "--score-column", "columns", multiple=True, required=True, help="Column of scores; as often as there are."
)
@click.option("--among", type=click.Path(path_type=Path), help="Only the genotypes of this study.")
@click.option("--space", type=click.Choice(SPACE_NAMES), default="nao", show_default=True, help="With --among: theirs.")
@click.option("--draw", type=click.IntRange(min=2), default=50, show_default=True, help="Genotypes of a random draw.")
@click.option("--draws", type=click.IntRange(min=2), default=1000, show_default=True, help="How many of these.")
@click.option("--resamples", type=click.IntRange(min=100), default=1000, show_default=True, help="Of the bootstrap.")
@study_options()
def command(
    table: Path,
    truth_column: str,
    columns: tuple[str, ...],
    among: Path | None,
    space: str,
    draw: int,
    draws: int,
    resamples: int,
    output: Output,
) -> None:
    """Compare the scores in a TABLE with the accuracies beside them: a check of the metrics on known ground."""
    config = AgreementConfig(
        table=str(table), truth_column=truth_column, score_columns=",".join(columns),
        among=None if among is None else str(among), draw=draw, draws=draws, resamples=resamples,
    )  # fmt: skip

    def study() -> AgreementStudy:
        found = agreement_study(
            read_rows(table), truth_column, columns,
            space=SPACES[space], among=None if among is None else _genotypes_of(among),
            draw=draw, draws=draws, resamples=resamples,
        )  # fmt: skip
        with study_folder(output.folder, config) as run:
            keep_study(run, found.to_json(), config, data=table.name)
        return found

    output.told(study, agreement_report)


def _genotypes_of(study: Path) -> list[Genotype]:
    path = study / RESULT if study.is_dir() else study
    content = read_json(path)
    with understanding(path):
        if content["kind"] != "ranking":
            raise RunError(f"{path} is a study of kind {content['kind']!r}; --among takes one of kind 'ranking'")
        return [parse_in(content["space"], entry["genotype"]) for entry in content["genotypes"]]
