"""``bnao study predictor``: a controller's predictor alone, on a benchmark table."""

from __future__ import annotations

import logging
from pathlib import Path

import attrs
import click
import numpy as np

from bnao.cli.options import SectionedCommand, given_settings, options_of
from bnao.cli.progress import following
from bnao.cli.studies import Output, framework, required, study_folder, study_options
from bnao.cli.study_reports import predictor_report
from bnao.config.fields import build
from bnao.config.settings import OF_A_BACKEND, ControllerConfig, NetworkConfig, SearchConfig
from bnao.config.table_studies import PredictorConfig
from bnao.data.tables import SCORE_COLUMNS, read_rows
from bnao.errors import ConfigError
from bnao.protocols import Predicting
from bnao.provenance import about_table, keep_study, origin
from bnao.space.spaces import SPACES
from bnao.strategies.registry import make_controller
from bnao.studies.predictor import PredictorStudy, study_predictor

log = logging.getLogger("bnao.cli")

# the number of epochs follows from --steps
_WITHOUT = (("controller", "epochs"),)


@click.command("predictor", cls=SectionedCommand, params=options_of(PredictorConfig, "Predictor", without=_WITHOUT))
@study_options()
@click.pass_context
def command(context: click.Context, output: Output) -> None:
    """Train a controller on samples of a benchmark table and rank genotypes that it has not seen."""
    config = build(PredictorConfig, given_settings(context))
    output.told(lambda: _studied(config, output.folder), predictor_report)


def _studied(config: PredictorConfig, folder: Path) -> PredictorStudy:
    path = required(config.table, "--table")
    rows = read_rows(path)
    space = SPACES[config.space]
    score_of = dict(
        zip(
            rows.genotypes(space),
            rows.numbers(rows.column("score", config.score_column, SCORE_COLUMNS)),
            strict=True,
        )
    )
    name = config.controller.controller
    backend = framework(config.machine, "has no NAO controller") if name in OF_A_BACKEND else None
    base = SearchConfig(machine=config.machine, network=NetworkConfig(space=config.space))

    def make(settings: ControllerConfig, seed: int) -> Predicting:
        controller = make_controller(attrs.evolve(base, controller=settings, seed=seed), backend)
        if not isinstance(controller, Predicting):
            raise ConfigError(f"controller {name!r} predicts nothing; nao, seminas, ridge and trees do")
        return controller

    make(config.controller, config.seed)  # what cannot be made is told before there is a folder
    facts = origin(about_table(path), config.machine, [] if backend is None else [backend])
    with study_folder(folder, config, facts) as run, following("study") as listen:
        genotypes = list(score_of)
        scores = np.array(list(score_of.values()))
        found = study_predictor(config, genotypes, scores, make, folder=run, listen=listen)
        keep_study(run, found.to_json(), config, data=f"table {path.name}")
    return found
