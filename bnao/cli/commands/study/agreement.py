"""``bnao study agreement``: published scores against published accuracies."""

from __future__ import annotations

from pathlib import Path

import click

from bnao.cli.options import SectionedCommand, given_settings, options_of
from bnao.cli.studies import Output, study_folder, study_options
from bnao.cli.study_reports import agreement_report
from bnao.config.fields import build
from bnao.config.table_studies import AgreementConfig
from bnao.data.tables import read_rows
from bnao.errors import RunError
from bnao.provenance import keep_study
from bnao.run import read_json, understanding
from bnao.space.genotype import Genotype
from bnao.space.spaces import SPACES, parse_in
from bnao.studies.agreement import AgreementStudy, study_agreement
from bnao.studies.ranking import RESULT

# the table is an argument, and the columns are options that must be there
_GIVEN_APART = (("table",), ("truth_column",), ("score_columns",))


@click.command("agreement", cls=SectionedCommand, params=options_of(AgreementConfig, "Study", without=_GIVEN_APART))
@click.argument("table")
@click.option("--truth-column", required=True, help="Column of the accuracies.")
@click.option("--score-column", "columns", multiple=True, required=True, help="Column of scores; can be repeated.")
@study_options()
@click.pass_context
def command(context: click.Context, table: str, truth_column: str, columns: tuple[str, ...], output: Output) -> None:
    """Compare the scores in a TABLE with the accuracies in the same table, as a check of the metrics."""
    apart = {"table": table, "truth_column": truth_column, "score_columns": columns}
    config, path = build(AgreementConfig, {**given_settings(context), **apart}), Path(table)

    named = config.space or (None if config.among is None else "nao")

    def study() -> AgreementStudy:
        found = study_agreement(
            read_rows(path), truth_column, columns,
            space=None if named is None else SPACES[named],
            among=None if config.among is None else _genotypes_of(Path(config.among)),
            draw=config.draw, draws=config.draws, resamples=config.resamples,
        )  # fmt: skip
        with study_folder(output.folder, config) as run:
            keep_study(run, found.to_json(), config, data=path.name)
        return found

    output.told(study, agreement_report)


def _genotypes_of(study: Path) -> list[Genotype]:
    path = study / RESULT if study.is_dir() else study
    content = read_json(path)
    with understanding(path):
        if content["kind"] != "ranking":
            raise RunError(f"{path} is a study of kind {content['kind']!r}; --among takes one of kind 'ranking'")
        return [parse_in(content["space"], entry["genotype"]) for entry in content["genotypes"]]
