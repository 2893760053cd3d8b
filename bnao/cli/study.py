"""``bnao study``: how far a ranking can be trusted, measured."""

from __future__ import annotations

import importlib

import click

#: every kind of study and what it does; a module study_NAME here has its command
STUDIES = {
    "ranking": "One-shot scores against stand-alone truth, under each sampler (Tables 2, 3 and 6).",
    "controllers": "The controllers compared on a benchmark table: best found and regret, by queries.",
    "predictor": "The NAO controller's predictor alone, on a benchmark table.",
    "size": "How size goes with accuracy along training, in benchmark tables.",
    "agreement": "Published scores against published accuracies.",
    "draw": "Draw the pictures of a study again.",
}


class _Studies(click.Group):
    """Loads a study's command when it is called for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(STUDIES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in STUDIES:
            return None
        found: click.Command = importlib.import_module(f"bnao.cli.study_{cmd_name}").command
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Studies"):
            formatter.write_dl(list(STUDIES.items()))


@click.group("study", cls=_Studies)
def command() -> None:
    """Measure how far a ranking can be trusted.

    Each study writes study.json and, with matplotlib (pip install 'bnao[plot]'), pictures.
    """
