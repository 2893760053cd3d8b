"""``bnao strategies``: the methods that ``bnao search --strategy`` knows, with their papers, needs and costs."""

from __future__ import annotations

import json

import click

from bnao.cli.reports import table
from bnao.config.settings import WITH_FRONT
from bnao.strategies.methods import METHODS


@click.command("strategies")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object with a list of all strategies.")
def command(as_json: bool) -> None:
    """List the search strategies: paper, rule, what they need of a supernet, and the cost and memory of an update.

    Costs are in updates of one path, which is what an update of Balanced NAO is. A front is found by those that score
    many genotypes (bnao search --pareto); the others derive one.
    """
    if as_json:
        fields = ("title", "paper", "rule", "needs", "cost", "memory")
        rows = [
            {"name": name, **{each: getattr(row, each) for each in fields}, "front": name in WITH_FRONT}
            for name, row in METHODS.items()
        ]
        click.echo(json.dumps({"format": 1, "strategies": rows}))
        return
    heads = ["strategy", "paper", "needs", "cost", "memory", "front"]
    cells = [
        [name, row.paper, row.needs, row.cost, row.memory, "yes" if name in WITH_FRONT else "no"]
        for name, row in METHODS.items()
    ]
    rules = table(["strategy", "rule"], [[name, row.rule] for name, row in METHODS.items()], left=["strategy", "rule"])
    click.echo("\n".join([*table(heads, cells, left=heads), "", *rules]))
