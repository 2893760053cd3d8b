"""Whole studies of benchmark tables from their settings: what is read, computed and kept, as ``bnao study`` does it.

The studies themselves (``study_controllers``, ``study_predictor``, ``study_size``, ``study_agreement``) take genotypes
and numbers of any origin; here they are read from the tables that the settings name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar, overload

import attrs
import numpy as np
from attrs import frozen

from bnao.backends import framework
from bnao.config.settings import OF_A_BACKEND, ControllerConfig, NetworkConfig, SearchConfig
from bnao.config.table_studies import AgreementConfig, ControllersConfig, PredictorConfig, SizeConfig
from bnao.data.tables import SCORE_COLUMNS, Rows, read_rows
from bnao.errors import ConfigError, RunError
from bnao.protocols import Backend, Listener, Predicting
from bnao.provenance import STUDY, About, about_table, keep_about, keep_study, origin
from bnao.run import Run, read_json, understanding
from bnao.space.genotype import Genotype
from bnao.space.spaces import parse_in, space_named
from bnao.strategies.registry import make_controller
from bnao.studies.agreement import AgreementStudy, study_agreement
from bnao.studies.controllers import ControllersStudy, study_controllers
from bnao.studies.predictor import PredictorStudy, study_predictor
from bnao.studies.size import SizeCorrelation, sizes_to_json, study_size

S = TypeVar("S")

TableStudyConfig = ControllersConfig | PredictorConfig | SizeConfig | AgreementConfig


@frozen
class PreparedStudy(Generic[S]):
    """A study with all that it works with; what can be wrong with it is found before its folder is made.

    Attributes:
        config: all settings.
        make: makes it in a run's folder, or in none.
        to_json: what study.json says of the result.
        data: describes what it is made on.
        about: the data, machine and versions, as in run.json; None where only published numbers are compared.
    """

    config: TableStudyConfig
    make: Callable[[Run | None, Listener], S]
    to_json: Callable[[S], Mapping[str, Any]]
    data: str
    about: About | None = None

    def study(self, run: Run | None = None, listen: Listener = lambda event: None) -> S:
        """Make the study, in a run's folder if there is one.

        Raises:
            RunError: the folder was begun with another table.
            BnaoError: what the study raises.
        """
        if run is not None and self.about is not None:
            keep_about(run, self.about)
        found = self.make(run, listen)
        if run is not None:
            keep_study(run, self.to_json(found), self.config, data=self.data)
        return found


@overload
def prepare_study(config: ControllersConfig) -> PreparedStudy[ControllersStudy]: ...
@overload
def prepare_study(config: PredictorConfig) -> PreparedStudy[PredictorStudy]: ...
@overload
def prepare_study(config: SizeConfig) -> PreparedStudy[list[SizeCorrelation]]: ...
@overload
def prepare_study(config: AgreementConfig) -> PreparedStudy[AgreementStudy]: ...
def prepare_study(config: TableStudyConfig) -> PreparedStudy[Any]:
    """Read the tables and make all else that a study works with, as its settings say.

    Raises:
        ConfigError: no table or column is named, or a controller does not fit the study.
        DataError: a table cannot be read, or lacks a column.
        BackendError: a backend is not installed, or cannot do what is asked.
    """
    if isinstance(config, ControllersConfig):
        return _controllers(config)
    if isinstance(config, PredictorConfig):
        return _predictor(config)
    return _size(config) if isinstance(config, SizeConfig) else _agreement(config)


def run_study(
    config: TableStudyConfig, folder: str | Path, *, listen: Listener = lambda event: None
) -> ControllersStudy | PredictorStudy | list[SizeCorrelation] | AgreementStudy:
    """Make a study of tables as its settings say, in a folder like that of ``bnao study``; what it knows is resumed.

    Args:
        config: all settings; their class says which study.
        folder: new, empty, or of a study with the same settings.
        listen: is called with every event; ``bnao.events.EVENTS`` lists them.

    Raises:
        RunError: the folder holds another study or anything else, or was begun with another table.
        BnaoError: as ``prepare_study``, and what the study raises.
    """
    prepared: PreparedStudy[Any] = prepare_study(config)
    with Run.join(folder, config) as run:
        found: ControllersStudy | PredictorStudy | list[SizeCorrelation] | AgreementStudy = prepared.study(run, listen)
    return found


def _table(config: ControllersConfig | PredictorConfig) -> Path:
    if config.table is None:
        raise ConfigError("table is None; name a CSV file with a genotype and a score in each row")
    return Path(config.table)


def _controllers(config: ControllersConfig) -> PreparedStudy[ControllersStudy]:
    path = _table(config)
    if config.test_column is None:
        raise ConfigError("test_column is None; name the column of test accuracies")
    rows = read_rows(path)
    scores = rows.numbers(rows.column("score", config.score_column, SCORE_COLUMNS))
    tests = rows.numbers(rows.column("test accuracy", config.test_column))
    genotypes = rows.genotypes(space_named(config.network.space, config.network.nodes))
    computed = [entry.name for entry in config.controllers if entry.name in OF_A_BACKEND]
    backend = framework(config.machine.backend, "has no NAO controller") if computed else None
    makers = dict.fromkeys(computed, partial(make_controller, backend=backend))
    return PreparedStudy(
        config,
        lambda run, listen: study_controllers(config, genotypes, scores, tests, makers, folder=run, listen=listen),
        ControllersStudy.to_json,
        f"table {path.name}",
        origin(about_table(path), config.machine, _used(backend)),
    )


def _predictor(config: PredictorConfig) -> PreparedStudy[PredictorStudy]:
    path, space = _table(config), space_named(config.space)
    rows = read_rows(path)
    scores = rows.numbers(rows.column("score", config.score_column, SCORE_COLUMNS))
    score_of = dict(zip(rows.genotypes(space), scores, strict=True))
    name = config.controller.controller
    backend = framework(config.machine.backend, "has no NAO controller") if name in OF_A_BACKEND else None
    base = SearchConfig(machine=config.machine, network=NetworkConfig(space=config.space))

    def make(settings: ControllerConfig, seed: int) -> Predicting:
        controller = make_controller(attrs.evolve(base, controller=settings, seed=seed), backend)
        if not isinstance(controller, Predicting):
            raise ConfigError(f"controller {name!r} predicts nothing; nao, seminas, ridge and trees do")
        return controller

    make(config.controller, config.seed)  # what cannot be made is told before there is a folder
    values = np.array(list(score_of.values()))
    return PreparedStudy(
        config,
        lambda run, listen: study_predictor(config, list(score_of), values, make, folder=run, listen=listen),
        PredictorStudy.to_json,
        f"table {path.name}",
        origin(about_table(path), config.machine, _used(backend)),
    )


def _size(config: SizeConfig) -> PreparedStudy[list[SizeCorrelation]]:
    tables = [read_rows(Path(table)) for table in config.tables]

    def make(run: Run | None, listen: Listener) -> list[SizeCorrelation]:
        return [study_size(rows, config.size_column, config.columns, config.resamples) for rows in tables]

    return PreparedStudy(config, make, sizes_to_json, ", ".join(rows.path.name for rows in tables))


def _agreement(config: AgreementConfig) -> PreparedStudy[AgreementStudy]:
    rows: Rows = read_rows(Path(config.table))
    named = config.space or (None if config.among is None else "nao")
    among = None if config.among is None else _ranked_in(Path(config.among))

    def make(run: Run | None, listen: Listener) -> AgreementStudy:
        return study_agreement(
            rows, config.truth_column, config.score_columns,
            space=None if named is None else space_named(named), among=among,
            draw=config.draw, draws=config.draws, resamples=config.resamples,
        )  # fmt: skip

    return PreparedStudy(config, make, AgreementStudy.to_json, rows.path.name)


def _ranked_in(study: Path) -> list[Genotype]:
    """Read the genotypes that a ranking study ranked, from its folder or its study.json."""
    path = study / STUDY if study.is_dir() else study
    content = read_json(path)
    with understanding(path):
        if content["kind"] != "ranking":
            raise RunError(f"{path} is a study of kind {content['kind']!r}; --among takes one of kind 'ranking'")
        return [parse_in(content["space"], entry["genotype"]) for entry in content["genotypes"]]


def _used(backend: Backend | None) -> list[Backend]:
    return [] if backend is None else [backend]
