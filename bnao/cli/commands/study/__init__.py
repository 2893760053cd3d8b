"""``bnao study``: how far a ranking can be trusted, measured."""

from __future__ import annotations

import click

from bnao.cli.lazy import LazyGroup

#: every kind of study and what it does; a module here has its name
STUDIES = {
    "ranking": "One-shot scores against stand-alone accuracies, for each sampler (Tables 2, 3 and 6).",
    "controllers": "Controllers on a benchmark table: best accuracy and regret by number of queries.",
    "predictor": "A controller's predictor on a benchmark table.",
    "size": "Correlation of size and accuracy during training, in benchmark tables.",
    "strategies": "Every strategy for the same seconds, judged by a benchmark table.",
    "agreement": "Published scores against published accuracies.",
    "draw": "Draw the pictures of a study again from its study.json.",
}


@click.group("study", cls=LazyGroup, commands_of=STUDIES, module="bnao.cli.commands.study.", heading="Studies")
def command() -> None:
    """Measure how far a ranking can be trusted.

    Each study writes study.json, which bnao report makes a page of, and most, if matplotlib is installed (pip install
    'bnao[plot]'), pictures.
    """
