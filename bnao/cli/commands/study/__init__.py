"""``bnao study``: how far a ranking can be trusted, measured."""

from __future__ import annotations

import click

from bnao.cli.lazy import LazyGroup

#: every kind of study and what it does; a module here has its name
STUDIES = {
    "ranking": "One-shot scores against stand-alone truth, under each sampler (Tables 2, 3 and 6).",
    "controllers": "The controllers compared on a benchmark table: best found and regret, by queries.",
    "predictor": "A controller's predictor alone, on a benchmark table.",
    "size": "How size goes with accuracy along training, in benchmark tables.",
    "agreement": "Published scores against published accuracies.",
    "draw": "Draw the pictures of a study again.",
}


@click.group("study", cls=LazyGroup, commands_of=STUDIES, module="bnao.cli.commands.study.", heading="Studies")
def command() -> None:
    """Measure how far a ranking can be trusted.

    Each study writes study.json and, with matplotlib (pip install 'bnao[plot]'), pictures.
    """
