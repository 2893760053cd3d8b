"""Run the commands whose printouts README.md and the pages show, and put what they print into the marked blocks.

    python docs/make_printouts.py               all but the long ones (minutes on two cores)
    python docs/make_printouts.py show evaluate some of them; without `search`, `evaluate` takes the run of README.md
    python docs/make_printouts.py --work FOLDER the folder in which the commands run, and which keeps the runs

A block is marked by the line ``<!-- printout: NAME -->`` before it.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from attrs import field, frozen

DOCS = Path(__file__).resolve().parent
PAGES = (DOCS.parent / "README.md", *sorted(DOCS.glob("*.md")))
PICTURE = DOCS / "pictures" / "first-search.svg"

PUBLISHED = "1 1 0 1 2 4 0 0 0 0 2 1 0 0 0 2 0 3 0 0 0 2 0 2 2 2 1 0 0 0 0 1 0 0 0 3 0 0 0 1"

_BLOCK = re.compile(r"<!-- printout: (\S+) -->\n```text\n(.*?)```", re.DOTALL)
_GENOTYPE = re.compile(r" *\d+  \d:\w+\+\S+\|\S+")


@frozen
class Printout:
    """What a command prints, and where it stops being shown.

    Attributes:
        arguments: of ``bnao``; RUN stands for the folder of the search.
        until: how the first line begins that is not shown; None: all are shown.
        long: whether it takes more than half an hour or data that do not ship in the package.
    """

    arguments: tuple[str, ...] = field(converter=tuple)
    until: str | None = None
    long: bool = False

    def shown(self, printed: str) -> str:
        """Return what is shown: all but the long texts of genotypes and the suggestion to show one."""
        lines = [line.rstrip() for line in printed.splitlines()]
        lines = [line for line in lines if not _GENOTYPE.fullmatch(line) and not line.startswith("next: bnao show")]
        if self.until is not None:
            lines = lines[: next(i for i, line in enumerate(lines) if line.startswith(self.until))]
        return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip("\n") + "\n"


PRINTOUTS = {
    "show": Printout(["show", PUBLISHED], until="Reduction cell"),
    "search": Printout(["search", "--preset", "quick-shared"]),
    "evaluate": Printout(["evaluate", "RUN", "--top", "5", "--random", "15"]),
    "cifar10-small": Printout(
        ["search", "--preset", "cifar10-small", "--data", "cifar10.npz", "--threads", "1",
         "--out", "runs/cifar10-small"],
        long=True,
    ),
}  # fmt: skip


def blocks(text: str) -> dict[str, str]:
    """Return the marked blocks of a page by name.

    >>> blocks("<!-- printout: show -->\\n```text\\na line\\n```\\n")
    {'show': 'a line\\n'}
    """
    return dict(_BLOCK.findall(text))


def filled(text: str, printed: dict[str, str]) -> str:
    """Return a page with its marked blocks replaced where something new was printed."""

    def block(found: re.Match[str]) -> str:
        return f"<!-- printout: {found[1]} -->\n```text\n{printed.get(found[1], found[2])}```"

    return _BLOCK.sub(block, text)


def run_of(printed: str) -> str:
    """Return the folder that a search says it wrote.

    >>> run_of("took 1:18\\nrun folder: runs/one\\nnext: ...")
    'runs/one'
    """
    found = re.search(r"^run folder: (\S+)$", printed, re.MULTILINE)
    if found is None:
        raise SystemExit("the search's printout does not name its run folder; give `search` too")
    return found[1]


def bnao(arguments: list[str], work: Path) -> str:
    """Return what a command prints; it runs in the folder ``work``."""
    print("bnao", *arguments, file=sys.stderr)
    done = subprocess.run(
        [sys.executable, "-m", "bnao", *arguments], cwd=work, stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout


def draw_first(run: Path, work: Path) -> None:
    """Draw the genotype that a search ranked first."""
    bnao(["draw", f"{run}:1", "-o", str(PICTURE)], work)


def main() -> None:
    """Run the commands that are named, and fill the pages."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(PRINTOUTS))
    parser.add_argument("--work", type=Path, help="folder in which the commands run [default: a temporary one]")
    given = parser.parse_args()
    names = given.names or [name for name, each in PRINTOUTS.items() if not each.long]
    for name in names:
        if name not in PRINTOUTS:
            parser.error(f"no printout {name!r}; there are {', '.join(PRINTOUTS)}")
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary) if given.work is None else given.work.resolve()
        work.mkdir(parents=True, exist_ok=True)
        printed: dict[str, str] = {}
        search = blocks(PAGES[0].read_text(encoding="utf-8"))["search"]
        for name in names:
            arguments = [run_of(search) if word == "RUN" else word for word in PRINTOUTS[name].arguments]
            printed[name] = PRINTOUTS[name].shown(bnao(arguments, work))
            if name == "search":
                search = printed[name]
                draw_first(work / run_of(search), work)
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        if blocks(text).keys() & printed.keys():
            page.write_text(filled(text, printed), encoding="utf-8")
            print(page)


if __name__ == "__main__":
    main()
