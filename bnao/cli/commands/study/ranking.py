"""``bnao study ranking``: how far supernets order genotypes as stand-alone training does, under each sampler."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import click

from bnao.backends import framework
from bnao.cli.estimating import estimate_option, show_costs
from bnao.cli.genotypes import Given
from bnao.cli.options import SectionedCommand, configured, layer_options, options_of
from bnao.cli.progress import following
from bnao.cli.studies import Output, study_folder, study_options
from bnao.cli.study_reports import ranking_report
from bnao.cli.tracking import track_option, tracked
from bnao.cli.workers import workers_option
from bnao.config.fields import to_toml
from bnao.config.studies import StudyConfig
from bnao.data.dataset import load_dataset
from bnao.errors import RunError
from bnao.events import EndsOnce
from bnao.reporting.estimates import estimate_study
from bnao.run import Folder
from bnao.space.spaces import space_named
from bnao.studies.ahead import study_ahead
from bnao.studies.ranking import RankingStudy, study_ranking
from bnao.studies.sets import RankingSets, study_ranking_sets
from bnao.studies.truth import read_accuracies, truth_sources

log = logging.getLogger("bnao.cli")

_STORE = Path("runs") / "store"


@click.command("ranking", cls=SectionedCommand, params=options_of(StudyConfig, "Study"))
@layer_options(StudyConfig)
@click.option(
    "--genotypes-file", "file", type=click.Path(path_type=Path),
    help="File of genotypes to rank, one per line, instead of random ones; - for standard input.",
)  # fmt: skip
@click.option(
    "--store", type=click.Path(path_type=Path), default=_STORE, show_default=True,
    help="Folder of stand-alone trainings that all studies share, so that none is repeated.",
)  # fmt: skip
@workers_option
@track_option
@estimate_option
@study_options()
@click.pass_context
def command(
    context: click.Context,
    preset_name: str | None,
    config_file: Path | None,
    show_config: bool,
    file: Path | None,
    store: Path,
    workers: str,
    trackers: tuple[str, ...],
    estimate: bool,
    output: Output,
) -> None:
    """Compare the ranking by one-shot scores with that by stand-alone accuracies, for each sampler.

    Genotypes are trained alone, or their accuracies are read from --truth; then supernets of these genotypes are
    trained with each of --samplers and scored. Below, "default" is the paper's setting and "quick" that of the preset
    quick. The same command with the same --out resumes a study.
    """
    config = configured(context, StudyConfig, preset_name, config_file)
    if show_config:
        click.echo(to_toml(config), nl=False)
        return
    if estimate:
        framework(config.machine.backend, "trains no supernet")
        show_costs(estimate_study(config), output.as_json)
        return
    output.told(lambda: _studied(config, output.folder, store, file, workers, trackers), ranking_report)


def _studied(
    config: StudyConfig, folder: Path, store: Path, file: Path | None, workers: str, trackers: Sequence[str]
) -> RankingStudy | RankingSets:
    space = space_named(config.network.space, config.network.nodes)
    several = len(config.sizes) > 1
    if several and workers != "1":
        raise click.UsageError(f"--workers is for one set of genotypes, but --sizes has {len(config.sizes)}")
    if several and file is not None:
        raise click.UsageError(f"--genotypes-file is one set of genotypes, but --sizes has {len(config.sizes)}")
    given = None if file is None else {config.sizes[0]: Given.of((), file).genotypes(space)}
    sources = truth_sources(config)
    truths = {name: read_accuracies(source, space, config.truth_column) for name, source in sources.items()} or None
    if truths is not None and given is None and all(source.suffix == ".json" for source in sources.values()):
        given = {name: list(truth) for name, truth in truths.items()}  # of a folder all are ranked, in its order
    backend = framework(config.machine.backend, "trains no supernet")
    dataset = load_dataset(config.data)
    whole = None if truths is not None else load_dataset(config.data, dev=False)
    kept = _store(store, truths is None or bool(config.short))
    with study_folder(folder, config) as run:
        log.info("%s", dataset.describe())
        study: RankingStudy | RankingSets
        with following("study") as show, tracked(trackers, folder, config, show) as listen:
            if several:
                study = study_ranking_sets(
                    config, backend, dataset, whole,
                    truths=truths, genotypes=given, run=run, store=kept, listen=listen,
                )  # fmt: skip
            else:
                once = EndsOnce(listen)
                study_ahead(
                    config, backend.name, dataset, whole,
                    truth=None if truths is None else truths[config.sizes[0]],
                    genotypes=None if given is None else given[config.sizes[0]],
                    folder=folder, store=kept, workers=workers, listen=once,
                )  # fmt: skip
                study = study_ranking(
                    config, backend, dataset, whole,
                    truth=None if truths is None else truths[config.sizes[0]],
                    genotypes=None if given is None else given[config.sizes[0]],
                    run=run, store=kept, listen=once,
                )  # fmt: skip
        log.info("counting how far they agree")
    return study


def _store(path: Path, needed: bool) -> Folder | None:
    if not needed:
        return None
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"cannot make the store {path}: {error.strerror}; name another with --store") from None
    return Folder(path)
