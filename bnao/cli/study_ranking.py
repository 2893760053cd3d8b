"""``bnao study ranking``: how far supernets order genotypes as stand-alone training does, under each sampler."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from bnao.cli.folders import about, about_images, about_table
from bnao.cli.genotypes import Given
from bnao.cli.options import SectionedCommand, configured, layer_options, options_of
from bnao.cli.progress import StudyTrack, following
from bnao.cli.studies import Output, framework, keep_study, study_folder, study_options
from bnao.cli.tables import ranking_report
from bnao.config import StudyConfig
from bnao.data import epoch_batches, load_dataset
from bnao.errors import RunError
from bnao.run import Folder
from bnao.settings import to_toml
from bnao.space import space_named
from bnao.study import RankingStudy, ranking_study
from bnao.truth import read_accuracies, truth_file

log = logging.getLogger("bnao.cli")

_STORE = Path("runs") / "store"


@click.command("ranking", cls=SectionedCommand, params=options_of(StudyConfig, "Study"))
@layer_options(StudyConfig)
@click.option(
    "--genotypes-file", "file", type=click.Path(path_type=Path),
    help="Rank these genotypes, one a line, in place of random ones; - for standard input.",
)  # fmt: skip
@click.option(
    "--store", type=click.Path(path_type=Path), default=_STORE, show_default=True,
    help="Folder of stand-alone trainings, which studies share: none is trained twice.",
)  # fmt: skip
@study_options()
@click.pass_context
def command(
    context: click.Context,
    preset_name: str | None,
    config_file: Path | None,
    show_config: bool,
    file: Path | None,
    store: Path,
    output: Output,
) -> None:
    """Compare the order of one-shot scores with that of stand-alone accuracies, under each sampler.

    Genotypes are trained alone, or have a --truth of a table or of another folder; then supernets over just these are
    trained under each of --samplers and scored. In the help, "default" is the paper's setting and "quick" what that
    preset has instead. A study that was stopped goes on with the same command and --out.
    """
    config = configured(context, StudyConfig, preset_name, config_file)
    if show_config:
        click.echo(to_toml(config), nl=False)
        return
    output.told(lambda: _studied(config, output.folder, store, file, output.quiet), ranking_report)


def _studied(config: StudyConfig, folder: Path, store: Path, file: Path | None, quiet: bool) -> RankingStudy:
    space = space_named(config.network.space, config.network.nodes)
    given = None if file is None else Given.of((), file).genotypes(space)
    source = None if config.truth is None else truth_file(Path(config.truth))
    truth = None if source is None else read_accuracies(source, space, config.truth_column)
    if source is not None and truth is not None and source.suffix == ".json" and given is None:
        given = list(truth)  # of a folder all are ranked, in its order
    backend = framework(config.machine, "trains no supernet")
    dataset = load_dataset(config.data)
    whole = None if truth is not None else load_dataset(config.data, dev=False)
    facts: Mapping[str, Any] = about(about_images(dataset), config.machine, [backend])
    if source is not None:
        facts = {**facts, "truth": about_table(source)}
    track = StudyTrack(
        config,
        config.genotypes if given is None else len(set(given)),
        trains=truth is None,
        alone_steps=epoch_batches(len((whole or dataset).y_train), config.alone.batch_size),
        supernet_steps=epoch_batches(len(dataset.y_train), config.training.batch_size),
        scored_images=len(dataset.y_dev),
        start=time.monotonic(),
    )
    with study_folder(folder, config, facts) as run:
        log.info("%s", dataset.describe())
        with following(track, "study", quiet) as listen:
            study = ranking_study(
                config, backend, dataset, whole,
                truth=truth, genotypes=given, run=run, store=_store(store, truth is None), listen=listen,
            )  # fmt: skip
        log.info("counting how far they agree")
        keep_study(run, study.to_json(), config, data=dataset.describe())
    return study


def _store(path: Path, needed: bool) -> Folder | None:
    if not needed:
        return None
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"cannot make the store {path}: {error.strerror}; name another with --store") from None
    return Folder(path)
