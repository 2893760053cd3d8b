"""Ranking studies of several sets of genotypes side by side, such as of diverse and of similar sizes (Table 3)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from attrs import evolve, frozen

from bnao.config.studies import StudyConfig
from bnao.data.dataset import Dataset
from bnao.events import Event, Listener, without_plan
from bnao.protocols import Backend
from bnao.provenance import keep_about, keep_study
from bnao.run import Folder, Run
from bnao.space.genotype import Genotype
from bnao.studies.plan import study_plan
from bnao.studies.ranking import RankingStudy, study_ranking
from bnao.studies.truth import SETS, about_study, truth_sources


@frozen(eq=False)
class RankingSets:
    """The ranking studies of several sets of genotypes.

    Attributes:
        studies: by the choice of sizes, such as ``diverse``.
    """

    studies: Mapping[str, RankingStudy]

    def to_json(self) -> dict[str, Any]:
        """Return plain data, as in study.json: each set's study whole."""
        sets = [
            {"sizes": name, **{key: value for key, value in study.to_json().items() if key != "kind"}}
            for name, study in self.studies.items()
        ]
        return {"kind": SETS, "sets": sets}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> RankingSets:
        """Read what ``to_json`` was made from; figures are counted anew."""
        return cls({str(entry["sizes"]): RankingStudy.from_json(entry) for entry in content["sets"]})


def study_ranking_sets(
    config: StudyConfig,
    backend: Backend,
    dataset: Dataset,
    whole: Dataset | None = None,
    *,
    truths: Mapping[str, Mapping[Genotype, tuple[float, ...]]] | None = None,
    genotypes: Mapping[str, Sequence[Genotype]] | None = None,
    run: Run | None = None,
    store: Folder | None = None,
    listen: Listener = lambda event: None,
) -> RankingSets:
    """Make the ranking study of each set of genotypes that ``config.sizes`` names.

    Paper: Table 3. A set's study is what ``study_ranking`` makes of it alone, with the same seeds.

    Args:
        config: all settings.
        backend, dataset, whole, store: as for ``bnao.study_ranking``; the store is shared.
        truths: known accuracies for each set by its name, in place of training.
        genotypes: those that are ranked of each set, by its name; by default they are chosen at random.
        run: a folder; each set has a folder in it of its name, and is resumed there.
        listen: is called with every event; it has the set's name as ``sizes`` besides.

    Raises:
        BnaoError: as for ``bnao.study_ranking``.
    """
    if run:
        keep_about(run, about_study(config, backend, dataset))
    sources = truth_sources(config)
    studies = {}
    listen(_plan(config, dataset, whole if truths is None else None, genotypes))
    for name in config.sizes:
        own = evolve(config, sizes=(name,), truth=str(sources[name]) if sources else None)

        def told(event: Mapping[str, Any], name: str = name) -> None:
            listen({**event, "sizes": name})

        with _folder_of_set(run, name, own) as folder:
            studies[name] = study_ranking(
                own, backend, dataset, whole,
                truth=None if truths is None else truths[name],
                genotypes=None if genotypes is None else genotypes[name],
                run=folder, store=store, listen=without_plan(told),
            )  # fmt: skip
    found = RankingSets(studies)
    if run:
        keep_study(run, found.to_json(), config, data=dataset.describe())
    return found


def _plan(
    config: StudyConfig, dataset: Dataset, whole: Dataset | None, given: Mapping[str, Sequence[Genotype]] | None
) -> Event:
    """Return the plan of all sets' studies, one after the other."""
    plans = []
    for name in config.sizes:
        genotypes = config.genotypes if given is None else len(set(given[name]))
        plans.append(study_plan(config, genotypes, dataset, whole, sizes=name))
    phases = [phase for plan in plans for phase in plan["phases"]]
    return {"event": "plan", "supernets": sum(plan["supernets"] for plan in plans), "phases": phases}


@contextmanager
def _folder_of_set(run: Run | None, name: str, config: StudyConfig) -> Iterator[Run | None]:
    """Open the folder of a set within a study's, or make it."""
    if run is None:
        yield None
        return
    folder: Path = run.folder / name
    with Run.join(folder, config) as own:
        yield own
