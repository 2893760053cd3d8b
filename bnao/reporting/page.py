"""One self-contained HTML page of reports: it needs no network, no server and no other file.

Jinja2 lays it out (``pip install 'bnao[report]'``); Vega and Vega-Lite, which draw the charts, ship in the package.
"""

from __future__ import annotations

import base64
import gzip
import json
import logging
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from bnao.errors import BnaoError, RunError, WriteError
from bnao.evaluation.trainings import RESULT as EVALUATION
from bnao.provenance import STUDY
from bnao.reporting.content import Report
from bnao.run import CONFIG
from bnao.space import drawing
from bnao.strategies.journal import RESULT as SEARCH
from bnao.version import VERSION

log = logging.getLogger("bnao")

HINT = "a report needs Jinja2: pip install 'bnao[report]'"

#: bytes that a page has at most; beyond, the raw numbers are left out
LARGEST = 2_000_000

_ASSETS = files("bnao.reporting") / "assets"
_SCRIPTS = ("vega-6.4.0.min.js", "vega-lite-6.4.3.min.js", "page.js")


def read_reports(folder: str | Path) -> list[Report]:
    """Return the reports of what is in a folder: a search and then its evaluations, an evaluation, or a study.

    Args:
        folder: of a finished search, an evaluation or a study; of a study the file study.json will do.

    Raises:
        RunError: it holds none of them, or what it holds is not finished.
    """
    # reading takes much that a command without a report need not wait for
    from bnao.reporting.evaluations import evaluation_report
    from bnao.reporting.searches import search_report
    from bnao.reporting.studies import study_report

    folder = Path(folder)
    if folder.is_file():
        return [study_report(folder)]
    if (folder / STUDY).is_file():
        return [study_report(folder / STUDY)]
    if (folder / SEARCH).is_file():
        found = sorted(file.parent for file in folder.glob(f"*/{EVALUATION}"))
        return [search_report(folder), *map(evaluation_report, found)]
    if (folder / EVALUATION).is_file():
        return [evaluation_report(folder)]
    if (folder / CONFIG).is_file():
        raise RunError(f"{folder} is not finished: it has no {SEARCH}, {EVALUATION} or {STUDY}; resume it first")
    if not folder.exists():
        raise RunError(f"no folder {folder}; a report is made of the folder of a search, an evaluation or a study")
    raise RunError(f"{folder} holds no search, evaluation or study of bnao; a report is made of their folders")


def write_report(folders: Sequence[str | Path], path: str | Path) -> Path:
    """Write the report of some folders as one HTML file; a file that is there already is replaced.

    Args:
        folders: as for ``read_reports``; at least one.
        path: of the page.

    Raises:
        BnaoError: Jinja2 is not installed.
        RunError: as ``read_reports``.
        WriteError: the file cannot be written.
    """
    path = Path(path)
    page = html_page([report for folder in folders for report in read_reports(folder)])
    try:
        path.write_text(page, encoding="utf-8")
    except FileNotFoundError:
        raise WriteError(f"cannot write {path}: there is no folder {path.parent}") from None
    except OSError as error:
        raise WriteError(f"cannot write {path}: {error.strerror}") from None
    return path


def html_page(reports: Sequence[Report]) -> str:
    """Return the page of some reports.

    The raw numbers of their files are in it as JSON, unless it would then exceed ``LARGEST`` bytes.

    Raises:
        BnaoError: Jinja2 is not installed.
    """
    raw = {name: content for report in reports for name, content in report.raw.items()}
    page = _laid_out(reports, raw)
    if len(page.encode()) <= LARGEST:
        return page
    log.warning("warning: the raw numbers of %s are left out of the page, which they make too large", ", ".join(raw))
    return _laid_out(reports, {})


def _laid_out(reports: Sequence[Report], raw: Mapping[str, Any]) -> str:
    try:
        from jinja2 import Environment, StrictUndefined
    except ImportError:
        raise BnaoError(HINT) from None
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    parts = [
        (f"part-{place}", report, [section for section in report.sections if not section.is_empty])
        for place, report in enumerate(reports, start=1)
    ]
    specs = {
        f"{name}-{at}-{number}": chart.spec
        for name, _, sections in parts
        for at, section in enumerate(sections, start=1)
        for number, chart in enumerate(section.charts, start=1)
    }
    genotypes = {name: genotype for report in reports for name, genotype in report.genotypes.items()}
    lines: dict[str, list[str]] = {}
    for report in reports:
        for name, line in report.about.items():
            lines.setdefault(name, []).append(f"{report.name}: {line}")
    cells = {
        name: {"text": str(genotype), "lines": lines.get(name, []), "svg": drawing.svg(genotype.picture())}
        for name, genotype in genotypes.items()
    }
    return environment.from_string(_asset("page.html.jinja")).render(
        parts=parts,
        title=" · ".join(dict.fromkeys(report.title for report in reports)),
        style=_asset("page.css"),
        scripts=[_asset(name) for name in _SCRIPTS],
        licence=_asset("LICENSE.txt"),
        specs=_embedded(specs),
        cells=_packed(cells),
        raw=_embedded({"format": 1, "bnao": VERSION, "files": raw}) if raw else None,
        version=VERSION,
    )


def _asset(name: str) -> str:
    return (_ASSETS / name).read_text(encoding="utf-8")


def _embedded(content: Mapping[str, Any]) -> str:
    """Return JSON that may stand within a script element."""
    return json.dumps(content, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def _packed(content: Mapping[str, Any]) -> str:
    """Return JSON, compressed by gzip, in base64; the same text for the same content."""
    return base64.b64encode(gzip.compress(json.dumps(content).encode(), mtime=0)).decode()
