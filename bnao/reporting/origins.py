"""Origin of a folder in a report: its settings, data, versions and machine, as tables."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bnao.config.fields import settings_of, to_toml, worded
from bnao.config.presets import PRESETS, preset
from bnao.provenance import ABOUT
from bnao.reporting.content import Section, Table, Value, words
from bnao.run import read_json, understanding


def settings_section(command: str, config: Any) -> Section:
    """Return the settings of a run: those that differ from its preset's in a table, all of them below."""
    named = getattr(config, "preset", None)
    recipe = getattr(config, "recipe", None)
    is_known = named in PRESETS.get(type(config), {})
    of_preset = preset(type(config), str(named), recipe=recipe) if is_known else type(config)()
    base = f"the preset {named}" if is_known else "the defaults"
    base += "" if recipe is None else f" and the recipe {recipe}"
    rows = changed(of_preset, config)
    heads = ("setting", "here", base)
    tables = (
        [Table(f"Settings that differ from {base}", heads, [list(map(words, row)) for row in rows])] if rows else []
    )
    line = f"Made with {command}" + (f" --preset {named}" if is_known else "")
    line += "" if recipe is None else f" --recipe {recipe}"
    return Section("Settings", [line + "."], tables=tables, folded=("All settings (config.toml)", to_toml(config)))


def changed(before: Any, after: Any) -> list[tuple[str, str, str]]:
    """Return the settings in which two configs of a class differ: name, the second's value and the first's.

    >>> from bnao.config.settings import SearchConfig
    >>> changed(SearchConfig(), SearchConfig(rounds=2))
    [('rounds', '2', '4')]
    """
    rows = []
    for path, attribute in settings_of(type(after)):
        old, new = before, after
        for name in path:
            old, new = getattr(old, name), getattr(new, name)
        if old != new:
            rows.append((".".join(path), _text(worded(attribute, new)), _text(worded(attribute, old))))
    return rows


def _text(value: object) -> str:
    if value is None:
        return "-"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def about_of(folder: Path) -> Mapping[str, Any]:
    """Return what run.json says; empty where there is none."""
    return read_json(folder / ABOUT) if (folder / ABOUT).is_file() else {}


def data_text(about: Mapping[str, Any]) -> str:
    """Return the description of a folder's data; empty where that is not known."""
    return str((about.get("data") or {}).get("description", ""))


def origin_section(folder: Path) -> Section:
    """Return data, fingerprint, versions and machine, as run.json tells them."""
    about = about_of(folder)
    with understanding(folder / ABOUT):
        rows = []
        if about.get("data"):
            rows += [("data", data_text(about)), ("fingerprint of the data", str(about["data"]["fingerprint"]))]
        rows += [(f"version of {name}", str(version)) for name, version in about.get("versions", {}).items()]
        if "cpus" in about:
            rows.append(("CPUs", str(about["cpus"])))
            rows.append(("threads", "as many as there are CPUs" if about["threads"] is None else str(about["threads"])))
    return origin_table(rows)


def origin_table(rows: list[tuple[str, str]]) -> Section:
    """Return pairs of name and value as the section of a folder's origin."""
    entries: list[list[Value]] = [[words(name), words(value)] for name, value in rows]
    return Section("Origin", tables=[Table("Data, versions and machine", ("what", "value"), entries)] if rows else [])
