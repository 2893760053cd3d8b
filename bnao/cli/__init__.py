"""The command line: a group that loads its commands on demand, and errors as exit codes.

A command makes the config, calls the core and prints: results to stdout, progress to stderr.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

import click

import bnao
from bnao.cli.lazy import LazyGroup
from bnao.cli.stopping import exit_code, stoppable
from bnao.errors import BnaoError, ConfigError
from bnao.memory import is_out_of_memory, what_to_lower

#: every command and what it does; a module of bnao.cli.commands has its name
COMMANDS = {
    "search": "Find good architectures by Balanced one-shot NAO.",
    "evaluate": "Train genotypes from scratch and test them.",
    "test": "Test a trained network again, on the same or other images.",
    "export": "Write a trained network as ONNX, PyTorch, Keras or Python.",
    "score": "Score genotypes with a run's shared weights, in any backend.",
    "proxies": "Score genotypes without training them.",
    "latency": "Measure the latency of networks, and fit a model of it.",
    "study": "Measure how far a ranking can be trusted.",
    "check": "Verify every file of a run, an evaluation or a study.",
    "stability": "Compare methods by the best of several searches each.",
    "strategies": "List the search strategies, their papers and costs.",
    "report": "Write what was found as one page to send.",
    "runs": "List searches, evaluations and studies.",
    "watch": "Show how far a running search or evaluation is.",
    "compare": "Set searches, or evaluations, side by side.",
    "clean": "Free the space of checkpoints and weights.",
    "zoo": "List published cells, with claimed and counted sizes.",
    "show": "Describe genotypes: their cells, a drawing and their size.",
    "random": "Print random genotypes of a space, within budgets of size.",
    "neighbours": "Print all genotypes that differ from a given one in one edge.",
    "draw": "Draw a genotype's cells as graphs: SVG, PNG or PDF.",
    "backends": "List the backends, their versions and devices.",
}


class _Group(LazyGroup):
    """Turns errors into one line and an exit code."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        if not standalone_mode:
            return super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        try:
            with stoppable():
                code = super().main(args, prog_name or "bnao", complete_var, standalone_mode=False, **extra)
        except click.Abort as error:
            code = _refused(str(error) or "stopped", exit_code(error))
        except click.UsageError as error:
            code = _refused(f"error: {error.format_message()}", error.exit_code, by_all=True)
        except click.ClickException as error:
            code = _refused(f"error: {error.format_message()}", error.exit_code)
        except ConfigError as error:
            code = _refused(f"error: {error}", 2, by_all=True)
        except (BnaoError, OSError) as error:
            code = _refused(f"error: {error}", 1)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            code = _refused(f"error: {what_to_lower(error)}", 1)
        sys.exit(code)


# of a line that says what is wrong, whatever it cites of a hostile file
_MOST_CHARACTERS = 1_200


def _refused(message: str, code: int, *, by_all: bool = False) -> int:
    """Print why a command ends; of processes that torchrun started with one command line the first, if all would."""
    if by_all and "MASTER_ADDR" in os.environ and os.environ.get("RANK", "0") != "0":
        return code
    line = " ".join(message.split())
    click.echo(f"bnao: {line if len(line) <= _MOST_CHARACTERS else f'{line[:_MOST_CHARACTERS]}…'}", err=True)
    return code


@click.group(
    cls=_Group, name="bnao", commands_of=COMMANDS, module="bnao.cli.commands.", invoke_without_command=True,
    context_settings={"max_content_width": 100},
)  # fmt: skip
@click.version_option(bnao.__version__, message="%(prog)s %(version)s")
@click.pass_context
def main(context: click.Context) -> None:
    """Balanced one-shot neural architecture search.

    `bnao search` with no options is a complete small search on images included in the package. Each command lists its
    options with --help.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())
