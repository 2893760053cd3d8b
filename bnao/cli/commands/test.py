"""``bnao test``: a stored stand-alone network tested again, on the images of its training or on others."""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import click
import numpy as np

from bnao import backends
from bnao.classification import Classification
from bnao.cli.figures import percent, plus_minus
from bnao.cli.options import SectionedCommand, given_settings, options_of, report_options
from bnao.cli.progress import telling
from bnao.cli.reports import Spent, table
from bnao.config.evaluation import EvaluateConfig
from bnao.config.fields import Settings, build, settings_of
from bnao.config.settings import STREAMED
from bnao.data.dataset import LabelledImages
from bnao.data.imagenet import stand_alone_images
from bnao.evaluation.scoring import check_fits, classify_test_images
from bnao.export.files import TRAININGS, find_trained
from bnao.network.trained import Trained
from bnao.run import CONFIG, read_config

log = logging.getLogger("bnao.cli")

# classes that are listed one by one
_SHOWN = 20

# of an evaluation's settings: which images are tested, and on what
_DATA = {"dataset", "data", "data_dir", "image_size", "unreadable"}
_WITHOUT = {
    path
    for path, _ in settings_of(EvaluateConfig)
    if path[0] not in ("data", "machine") or (path[0] == "data" and path[1] not in _DATA)
}


@click.command(
    "test", cls=SectionedCommand, params=options_of(EvaluateConfig, "Evaluation", defaults={}, without=_WITHOUT)
)
@click.argument("source", metavar="WEIGHTS|RUN")
@click.argument("genotype", required=False, metavar="[GENOTYPE]")
@report_options("figures")
@click.pass_context
def command(context: click.Context, source: str, genotype: str | None, as_json: bool, quiet: bool) -> None:
    """Test a trained network again: test error, mean log-likelihood, and the accuracy of each class.

    WEIGHTS is a file in trainings/ of a folder of bnao evaluate, or a file written by bnao export, in any format. RUN
    is the folder of an evaluation, or of a search with one evaluation in it; its network with the lowest test error is
    tested, or that of GENOTYPE.

    Settings that are not given are those of the network's evaluation, so by default it is tested on the same images
    again. For other images give --data or --dataset; they are normalised like those the network was trained on. Only
    the test part of a data set is used.
    """
    trained, file = find_trained(source, genotype)
    config = _config(file, given_settings(context))
    start = time.monotonic()
    with telling(quiet):
        backend = backends.load(config.machine.backend)
        dataset = stand_alone_images(config.data, config.machine.data_workers)
        log.info("%s", dataset.describe())
        check_fits(trained, dataset)
        _warn_of_names(trained, dataset)
        found = classify_test_images(trained, backend, dataset, config.machine)
    spent = Spent.since(start)
    tells_top5 = dataset.tells_top5 or found.classes > 10
    if as_json:
        about = {
            "format": 1,
            "weights": str(file),
            "genotype": str(trained.genotype),
            "id": trained.genotype.id,
            "data": dataset.describe(),
        }
        unreadable = {"unreadable": dict(dataset.unreadable)} if dataset.unreadable else {}
        stored = {"stored_test_error": trained.test_error, "backend": config.machine.backend}
        figures = _content(found, dataset.class_names, tells_top5)
        click.echo(json.dumps({**about, **stored, **figures, **unreadable, **spent.to_json()}))
    else:
        lines = _lines(trained, file, found, dataset, tells_top5)
        click.echo("\n".join([*lines, "", spent.line()]))


def _config(file: Path, given: Settings) -> EvaluateConfig:
    """Return the settings of the evaluation that a weights file is of, under those that are given.

    Raises:
        click.UsageError: there is no such evaluation, and no images are named.
    """
    folder = file.parent.parent
    if file.parent.name == TRAININGS and (folder / CONFIG).is_file():
        base = read_config(folder, EvaluateConfig)
    elif {"dataset", "data"} & set(given.get("data", {})):
        base = EvaluateConfig()
    else:
        raise click.UsageError(f"{file} stands in no folder of an evaluation; name the images by --data or --dataset")
    config = build(EvaluateConfig, given, base)
    # of the images to test on there are as many as there are, whatever was trained on
    data = attrs.evolve(config.data, train_images=None)
    if data.data is None and data.dataset in STREAMED:
        data = attrs.evolve(data, crop="resized", cutout=0)
    return attrs.evolve(config, data=data)


def _warn_of_names(trained: Trained, dataset: LabelledImages) -> None:
    """Say where classes of the same number have other names."""
    for number, (own, other) in enumerate(zip(trained.class_names, dataset.class_names, strict=True)):
        if own != other:
            log.warning(
                "warning: class %d of the network is %r and that of the images %r; classes are compared by number",
                number, own, other,
            )  # fmt: skip
            return


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _content(found: Classification, names: Sequence[str], tells_top5: bool) -> dict[str, Any]:
    each = zip(names, found.class_images(), found.class_accuracies(), strict=True)
    return {
        "images": found.images,
        "test_error": found.error,
        "standard_error": found.standard_error,
        **({"top5_error": found.top_error(5)} if tells_top5 else {}),
        "log_likelihood": _number(found.log_likelihood),
        "log_likelihood_standard_error": _number(found.log_likelihood_error),
        "classes": [{"name": name, "images": n, "accuracy": _number(accuracy)} for name, n, accuracy in each],
    }


def _lines(trained: Trained, file: Path, found: Classification, dataset: LabelledImages, tells_top5: bool) -> list[str]:
    sign = plus_minus()
    stored = "" if trained.test_error is None else f"  (its file says {percent(trained.test_error, 2)})"
    top5 = [f"top-5 error {percent(found.top_error(5), 2)}"] if tells_top5 else []
    lines = [
        "",
        f"{trained.genotype}",
        f"{trained.parameters:,} parameters; weights from {file}",
        "",
        f"test error {percent(found.error, 2)} {sign} {percent(found.standard_error, 2)}{stored}",
        *top5,
        f"mean log-likelihood {found.log_likelihood:.4f} {sign} {found.log_likelihood_error:.4f}",
        f"on {found.images:,} images; errors of these figures are standard errors",
        "",
    ]
    accuracies, images = found.class_accuracies(), found.class_images()
    order = range(found.classes)
    if found.classes > _SHOWN:
        lines.append(f"the {_SHOWN} of {found.classes:,} classes with the lowest accuracy (--json lists all):")
        order = np.argsort(accuracies, kind="stable").tolist()[:_SHOWN]
    rows = [[dataset.class_names[each], f"{images[each]:,}", percent(accuracies[each])] for each in order]
    lines += table(["class", "images", "accuracy"], rows, left=["class"])
    if dataset.unreadable:
        lines.append(f"{len(dataset.unreadable):,} files could not be read and were left out")
    return lines
