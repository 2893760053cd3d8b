"""``bnao evaluate``: stand-alone training of chosen genotypes, or of the best of a search."""

from __future__ import annotations

import hashlib
import json
import logging
import shlex
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import click
from attrs import field, frozen

from bnao import backends
from bnao.cli.estimating import estimate_option, show_costs
from bnao.cli.folders import dated_folder
from bnao.cli.genotypes import Given, file_option, long_option, searched, show_command, space_asked_for
from bnao.cli.options import (
    DEFAULT_PRESET,
    SectionedCommand,
    configured,
    given_settings,
    layer_options,
    options_of,
    recipe_option,
    report_options,
)
from bnao.cli.progress import following, telling
from bnao.cli.reports import (
    Spent,
    agreement_lines,
    evaluation_report,
    hardest_line,
    left_out_line,
    random_line,
)
from bnao.cli.stopping import going_on
from bnao.cli.tracking import track_option, tracked
from bnao.cli.workers import workers_option
from bnao.config.evaluation import EvaluateConfig
from bnao.config.fields import to_toml
from bnao.config.presets import PRESETS
from bnao.config.settings import STREAMED, SearchConfig
from bnao.data.imagenet import stand_alone_images
from bnao.errors import RunError
from bnao.evaluation.ahead import train_ahead
from bnao.evaluation.comparison import AgainstRandom, against_random, random_of_first_pool
from bnao.evaluation.sizing import Spaces, sized
from bnao.evaluation.trainings import RESULT, Evaluation, agreement, evaluate, unreadable
from bnao.events import EndsOnce
from bnao.network.claims import claim_about
from bnao.network.mobile import Trainable
from bnao.reporting.estimates import estimate_evaluation
from bnao.run import Run, check_takes, read_config, read_json
from bnao.space.genotype import Genotype
from bnao.space.spaces import SearchSpace, space_named
from bnao.space.zoo import Claim
from bnao.strategies.inheritance import SupernetWeights
from bnao.strategies.journal import RESULT as SEARCH_RESULT
from bnao.strategies.references import Reference
from bnao.strategies.result import read_result

log = logging.getLogger("bnao.cli")

_TOP = 5

# all images are trained on or tested, so there is no dev part to set
_WITHOUT = (("data", "dev_share"), ("data", "split_seed"), ("data", "dev_images"))


@click.command("evaluate", cls=SectionedCommand, params=options_of(EvaluateConfig, "Evaluation", without=_WITHOUT))
@click.argument("targets", nargs=-1, metavar="GENOTYPE... | RUN")
@layer_options(EvaluateConfig)
@recipe_option
@file_option
@click.option(
    "--top",
    type=click.IntRange(min=1),
    help=f"With RUN: number of its best genotypes, or of members that span its front.  [default: {_TOP}]",
)
@click.option(
    "--random", "n_random", metavar="N", type=click.IntRange(min=1),
    help="With RUN: number of random genotypes of its first pool, trained for comparison.",
)  # fmt: skip
@click.option(
    "--out", type=click.Path(path_type=Path),
    help="Folder of weights and results; an evaluation with the same settings is resumed.  "
    "[default: RUN/evaluate-<preset>-<settings>, or runs/evaluate-<date>-<time>]",
)  # fmt: skip
@workers_option
@track_option
@estimate_option
@long_option
@report_options("results")
@click.pass_context
def command(
    context: click.Context,
    targets: tuple[str, ...],
    preset_name: str | None,
    recipe: str | None,
    config_file: Path | None,
    show_config: bool,
    file: Path | None,
    top: int | None,
    n_random: int | None,
    out: Path | None,
    workers: str,
    trackers: tuple[str, ...],
    estimate: bool,
    long: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Train genotypes from scratch, by the paper's recipe or another, and test them.

    Each GENOTYPE is in any notation that bnao show reads, in quotes, or the name of a published cell (bnao zoo). Given
    the folder of a finished RUN of bnao search instead, its best genotypes are trained on its images; so are single
    genotypes of it, named RUN:1 (by rank) or RUN:3f9a (by the first digits of the id). Each genotype has the network of
    the space that it names, and MobileNetV1, MobileNetV2 and MnasNet-A1 their own, for comparison. Below, "default" is
    the paper's setting and "quick" that of the preset quick. The default preset is quick, that of the RUN if one is
    given, paper with --recipe, and imagenet with --dataset imagenet.
    """
    run, named = searched(targets, file)
    nothing = run is not None or (show_config and not targets and file is None)
    given = Given(()) if nothing else Given.of(targets, file)
    if run is None:
        _refuse_of_run(top, n_random)
        usual = _usual_preset(context, recipe, DEFAULT_PRESET)
        config = configured(
            context, EvaluateConfig, preset_name, config_file,
            usual_preset=usual, recipe=recipe, below=lambda base: given.settings(),
        )  # fmt: skip
    else:
        if named:
            _refuse_of_run(top, n_random)
        of_run = read_config(run, SearchConfig)
        of_preset = of_run.preset if of_run.preset in PRESETS[EvaluateConfig] else DEFAULT_PRESET
        usual = _usual_preset(context, recipe, of_preset)
        config = configured(
            context, EvaluateConfig, preset_name, config_file,
            usual_preset=usual, recipe=recipe, below=lambda base: _settings_of_run(of_run, base),
        )  # fmt: skip
    if show_config:
        click.echo(to_toml(config), nl=False)
        return
    if run is None:
        space = space_named(config.network.space, config.network.nodes)
        asked = space_asked_for(given_settings(context).get("network", {}))
        if asked is None:
            chosen = _Chosen.of_spaces(given.in_spaces(space), space, len(given.texts))
        else:
            chosen = _Chosen.given(given.genotypes(space))
        folder = dated_folder("evaluate-<when>") if out is None else out
    else:
        chosen = _Chosen.named(run, named) if named else _Chosen.of_run(run, top, n_random or 0, config.seed)
        folder = run / f"evaluate-{config.preset}-{_digest(config)}" if out is None else out
    if estimate:
        dataset = stand_alone_images(config.data, config.machine.data_workers)
        show_costs(estimate_evaluation(config, chosen.genotypes, dataset, chosen.spaces), as_json)
        return
    start = time.monotonic()
    with telling(quiet):
        done = _evaluated(config, chosen, folder, workers, trackers)
    _print(done, config, chosen, folder, as_json, long, Spent.since(start))


def _usual_preset(context: click.Context, recipe: str | None, otherwise: str) -> str:
    """Return the preset where none is named: that of the data set, if it has one, or of a recipe's images."""
    dataset = given_settings(context).get("data", {}).get("dataset")
    if dataset in PRESETS[EvaluateConfig]:
        return str(dataset)
    return otherwise if recipe is None else "paper"


def _refuse_of_run(top: int | None, n_random: int | None) -> None:
    for option, value in (("--top", top), ("--random", n_random)):
        if value is not None:
            raise click.UsageError(f"{option} is for the folder of a run; give one RUN in place of genotypes")


def _settings_of_run(config: SearchConfig, base: EvaluateConfig) -> dict[str, dict[str, Any]]:
    """Return the settings an evaluation takes from its search: space, images and machine, not the recipe.

    A preset for images that no search is made on (``base``) keeps its images and the stem for them.
    """
    machine = attrs.asdict(config.machine)
    if config.machine.backend == "table":  # which trains nothing
        del machine["backend"]
    space = {name: getattr(config.network, name) for name in ("space", "nodes")}
    if base.data.dataset in STREAMED:
        return {"network": space, "machine": machine}
    return {
        "network": {**space, "network": config.network.network},
        "data": {
            name: getattr(config.data, name) for name in ("dataset", "data", "data_dir", "image_size", "train_images")
        },
        "machine": machine,
    }


def _digest(config: EvaluateConfig) -> str:
    """Return six digits that change with every setting except those that may change on resume."""
    return hashlib.blake2b(to_toml(config, fixed=True).encode(), digest_size=3).hexdigest()


# --- which genotypes


@frozen
class _Chosen:
    """Genotypes to evaluate.

    Attributes:
        genotypes: all of them, each once.
        sources: where each is from; None where they were given.
        scores: one-shot scores of a run's genotypes.
        as_share: whether scores are shares of images.
        top: how many of the first ones are a run's best, in its order.
        random: the random ones of a run's first pool, some of which may be among its best.
        spaces: those of genotypes that are not of the space of the settings.
    """

    genotypes: tuple[Trainable, ...]
    sources: tuple[str, ...] | None = None
    scores: Mapping[Genotype, float] | None = None
    as_share: bool = True
    top: int = 0
    random: tuple[Genotype, ...] = ()
    spaces: Spaces = field(factory=dict)

    @classmethod
    def given(cls, genotypes: Sequence[Genotype]) -> _Chosen:
        """Return genotypes that come from no run."""
        once = tuple(dict.fromkeys(genotypes))
        _tell_of_repeated(len(genotypes), len(once))
        return cls(once)

    @classmethod
    def of_spaces(cls, spaces: Mapping[Trainable, SearchSpace | None], usual: SearchSpace, number: int) -> _Chosen:
        """Return genotypes that come from no run, with their spaces where these differ.

        Args:
            spaces: of each genotype; None: it is a network for comparison.
            usual: the space of the settings.
            number: of texts that were given.
        """
        _tell_of_repeated(number, len(spaces))
        known = {genotype: space for genotype, space in spaces.items() if space is not None}
        differ = any((space.name, space.nodes) != (usual.name, usual.nodes) for space in known.values())
        return cls(tuple(spaces), spaces=known if differ else {})

    @classmethod
    def named(cls, folder: Path, references: Sequence[Reference]) -> _Chosen:
        """Return some genotypes of a run, by rank or id."""
        ranked = read_result(folder).ranked
        ranks = {entry.genotype: f"rank {rank}" for rank, entry in enumerate(ranked, start=1)}
        genotypes = tuple(dict.fromkeys(each.reading().genotype for each in references))
        scores = {entry.genotype: entry.score for entry in ranked}
        as_share = ranked[0].standard_error is not None
        return cls(genotypes, tuple(ranks[genotype] for genotype in genotypes), scores, as_share)

    @classmethod
    def of_run(cls, folder: Path, top: int | None, n_random: int, seed: int) -> _Chosen:
        """Return the best of a run, and random ones of its first pool.

        Raises:
            RunError: the run is not finished.
            click.UsageError: there are not so many.
        """
        if not (folder / SEARCH_RESULT).is_file():
            raise RunError(f"{folder} is not finished; resume with: bnao search --resume {shlex.quote(str(folder))}")
        result = read_result(folder)
        ranked, front = result.ranked, result.front
        among = ranked if front is None else front.entries
        if top is None:
            top = min(_TOP, len(among))
        if top > len(among):
            whose = str(folder) if front is None else f"the front of {folder}"
            raise click.UsageError(f"--top is {top}; {whose} has {len(among)} genotype{'s' * (len(among) > 1)}")
        ranks = {entry.genotype: f"rank {rank}" for rank, entry in enumerate(ranked, start=1)}
        chosen = ranked[:top] if front is None else front.spread(top)
        best = {entry.genotype: ranks[entry.genotype] for entry in chosen}
        random = random_of_first_pool(folder, n_random, seed) if n_random else ()
        sources = dict(best)
        for genotype in random:
            sources[genotype] = f"{best[genotype]}, random" if genotype in best else "random"
        scores = {entry.genotype: entry.score for entry in ranked}
        as_share = ranked[0].standard_error is not None
        return cls(tuple(sources), tuple(sources.values()), scores, as_share, top, random)


def _tell_of_repeated(given: int, different: int) -> None:
    if different < given:
        click.echo(f"of {given} genotypes {different} differ; each of these is trained once", err=True)


# --- the evaluation itself


def _evaluated(
    config: EvaluateConfig, chosen: _Chosen, folder: Path, workers: str, trackers: Sequence[str]
) -> list[Evaluation]:
    check_takes(folder, config)
    space = space_named(config.network.space, config.network.nodes)
    for genotype in chosen.genotypes:
        if isinstance(genotype, Genotype):
            chosen.spaces.get(genotype, space).check(genotype)
    backend = backends.load(config.machine.backend)
    dataset = stand_alone_images(config.data, config.machine.data_workers)
    own = sized(config, chosen.genotypes, dataset, chosen.spaces)
    # made once for nothing, so that what a backend cannot do is found before there is a folder
    backend.stand_alone(chosen.genotypes[0], own[0], dataset, seed=config.seed)
    if config.from_supernet is not None:  # likewise
        SupernetWeights.of(config.from_supernet, config.network)
    with Run.join(folder, config) as run:
        log.info("%s", dataset.describe())
        log.info("folder: %s", folder)
        again = f"the same command with --out {shlex.quote(str(folder))}"
        with (
            going_on(again),
            following("evaluation") as show,
            tracked(trackers, folder, config, show) as listen,
        ):
            once = EndsOnce(listen)
            train_ahead(
                chosen.genotypes, config, backend.name, dataset, run,
                workers=workers, spaces=chosen.spaces, listen=once,
            )  # fmt: skip
            return evaluate(
                chosen.genotypes, config, backend, dataset,
                run=run, scores=chosen.scores, spaces=chosen.spaces, listen=once,
            )  # fmt: skip


# --- the end


def _claims(done: Sequence[Evaluation], config: EvaluateConfig) -> list[tuple[str, Claim | None] | None]:
    """Return what is published of the genotypes; nothing where fewer than two are."""
    found = [claim_about(evaluation.genotype, config.network) for evaluation in done]
    return found if sum(each is not None for each in found) > 1 else []


def _print(
    done: Sequence[Evaluation],
    config: EvaluateConfig,
    chosen: _Chosen,
    folder: Path,
    as_json: bool,
    long: bool,
    spent: Spent,
) -> None:
    """Print test errors, the agreement with the one-shot scores, and the best beside random ones."""
    beside = _beside_random(done, chosen)
    claims = _claims(done, config)
    if as_json:
        content = read_json(folder / RESULT)
        for entry, evaluation in zip(content["evaluations"], done, strict=True):
            if chosen.scores is not None and isinstance(evaluation.genotype, Genotype):
                entry["one_shot_score"] = chosen.scores.get(evaluation.genotype)
        for entry, known in zip(content["evaluations"], claims, strict=False):
            if known is not None:
                entry["published"] = {"name": known[0], "claim": known[1] and attrs.asdict(known[1])}
        if beside is not None:
            content["against_random"] = {**attrs.asdict(beside), "gain": beside.gain and beside.gain.to_entry()}
        click.echo(json.dumps({"run": str(folder), **spent.to_json(), **content}))
        return
    lines = [
        "",
        *evaluation_report(done, chosen.sources, chosen.scores, as_share=chosen.as_share, long=long, claims=claims),
        "",
    ]
    left_out = unreadable(done)
    if left_out:
        lines.append(left_out_line(left_out, RESULT))
    if chosen.scores is not None and sum(each.genotype in chosen.scores for each in done) > 1:
        lines += agreement_lines(agreement(done, chosen.scores))
    if beside is not None:
        lines.append(random_line(beside))
    best = min(done, key=lambda evaluation: evaluation.mean)
    hardest = hardest_line(best, read_json(folder / RESULT)["class_names"])
    if hardest is not None:
        lines.append(f"{done.index(best) + 1}  {hardest}" if len(done) > 1 else hardest)
    lines += [
        spent.line(),
        f"folder: {folder}  (results in {RESULT}, weights in trainings/)",
        f"next: {_show_command(best, folder, done.index(best) + 1)}",
    ]
    click.echo("\n".join(lines))


def _show_command(best: Evaluation, folder: Path, place: int) -> str:
    return show_command(folder, place) if isinstance(best.genotype, Genotype) else f"bnao show {best.genotype}"


def _beside_random(done: Sequence[Evaluation], chosen: _Chosen) -> AgainstRandom | None:
    if not chosen.random:
        return None
    errors = {evaluation.genotype: evaluation.mean for evaluation in done}
    return against_random(
        [errors[genotype] for genotype in chosen.genotypes[: chosen.top]],
        [errors[genotype] for genotype in chosen.random],
    )
