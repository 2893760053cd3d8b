"""Command-line options made from the config classes, and the config made from what was given.

A setting is written once, in ``bnao.config.settings``; here it becomes an option, a line of help and a layer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar

import click
from attrs import Attribute
from click.core import ParameterSource

from bnao.config.fields import Settings, build, kinds_of, listed, merge, read_toml, settings_of
from bnao.config.presets import PRESETS, preset, recipe_settings, strategy_settings
from bnao.config.recipes import RECIPE_NAMES, SOURCES
from bnao.config.strategies import TITLES, section_of
from bnao.errors import ConfigError
from bnao.space.genotype import shortened

C = TypeVar("C")
SettingPath = tuple[str, ...]
Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

DEFAULT_PRESET = "quick"

HEADINGS = {
    "network": "Network",
    "data": "Data",
    "training": "Training",
    "alone": "Stand-alone training (the truth)",
    "controller": "Controller",
    "table": "Table (backend table)",
    "machine": "Machine",
    "ranks": "Several devices (torchrun), and several paths a step",
    "watch": "Alarms (strategies that decide at each update)",
    **{section_of(name): f"{title} (strategy {name})" for name, title in TITLES.items()},
}

# of which every option bears the section's name
_BY_SECTION = {"alone", *map(section_of, TITLES)}

#: giving the first undoes the second, which would go before it, where a lower layer set that
_UNDOES: dict[SettingPath, SettingPath] = {("data", "dataset"): ("data", "data"), ("epochs",): ("steps",)}

_GIVEN = "bnao.cli.options.given"

_SUFFIXES = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9}


class WholeNumber(click.ParamType[int]):
    """A whole number; K, M or G behind it are thousands, millions or billions.

    Args:
        words: numbers that may be given by a word.

    >>> WholeNumber({"auto": 0}).convert("1.5M", None, None), WholeNumber({"auto": 0}).convert("auto", None, None)
    (1500000, 0)
    """

    name = "integer"

    def __init__(self, words: Mapping[str, int] | None = None) -> None:
        self.words = dict(words or {})

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number that a text stands for."""
        if not isinstance(value, str):
            return int(value)
        if value in self.words:
            return self.words[value]
        match = re.fullmatch(r"\s*([+-]?\d{1,40}(?:\.\d{1,40})?)([KMG]?)\s*", value, re.IGNORECASE | re.ASCII)
        if match and (match[2] or "." not in match[1]):
            number = Fraction(match[1]) * _SUFFIXES[match[2].upper()]
            if number.denominator == 1:
                return int(number)
        others = "".join(f", or {word}" for word in self.words)
        self.fail(f"{shortened(value)} is not a valid integer, such as 20 or 600M{others}.", param, ctx)


class OpenChoice(click.Choice[str]):
    """One of the names that are listed, or another that is allowed.

    Args:
        choices: the names.
        also: which others are allowed.

    >>> OpenChoice(["nao"], lambda name: ":" in name).convert("mine:space", None, None)
    'mine:space'
    """

    def __init__(self, choices: Sequence[str], also: Callable[[str], bool]) -> None:
        super().__init__(choices)
        self.also = also

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the name."""
        return value if isinstance(value, str) and self.also(value) else super().convert(value, param, ctx)


_TYPES: dict[type, click.ParamType[Any]] = {float: click.FLOAT, str: click.STRING}


class SettingOption(click.Option):
    """An option made from a config's field; what is given is kept for ``given_settings``."""

    def __init__(self, name: str, path: SettingPath, attribute: Attribute[Any], heading: str, note: str) -> None:
        self.path, self.heading = path, heading
        is_flag = bool in kinds_of(attribute)
        super().__init__(
            [f"--{name}/--no-{name}" if is_flag else f"--{name}", "__".join(path)],
            type=self._type(attribute),
            default=None,
            callback=self._keep,
            expose_value=False,
            help=f"{attribute.metadata['help']}{note}",
        )

    @staticmethod
    def _type(attribute: Attribute[Any]) -> click.ParamType[Any] | None:
        kind, choices = kinds_of(attribute)[0], attribute.metadata["choices"]
        if kind is bool:
            return None
        if attribute.metadata["as_text"]:
            return click.STRING
        if kind is int:
            return WholeNumber(attribute.metadata["words"])
        if attribute.metadata["also"] is not None:
            return OpenChoice(choices, attribute.metadata["also"])
        return click.Choice(choices) if choices else _TYPES[kind]

    def _keep(self, context: click.Context, parameter: click.Parameter, value: Any) -> None:
        if context.get_parameter_source("__".join(self.path)) is ParameterSource.COMMANDLINE:
            context.meta.setdefault(_GIVEN, {})[self.path] = self.opts[0], value


class SectionedCommand(click.Command):
    """A command whose help shows its settings under the config's sections."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None and isinstance(parameter, click.Option):
                sections.setdefault(getattr(parameter, "heading", "Options"), []).append(record)
        for heading in sorted(sections, key=lambda heading: heading != "Options"):
            with formatter.section(heading):
                formatter.write_dl(sections[heading])


def options_of(
    kind: type, heading: str, *, defaults: object | None = None, without: Collection[SettingPath] = ()
) -> list[click.Parameter]:
    """Return an option for every setting of a config class.

    Its name is the field's; where an earlier section has that name already, and in ``alone`` and those of strategies
    always, the section's name goes in front: ``--epochs`` and ``--controller-epochs``.

    Args:
        kind: the config class.
        heading: what the help calls the settings outside any section.
        defaults: holds the defaults, if not ``kind()``; an empty mapping shows none.
        without: settings that get no option.
    """
    options: dict[str, click.Parameter] = {}
    # a command with defaults of its own has no presets
    quick = merge(PRESETS.get(kind, {}).get(DEFAULT_PRESET, {}), _quick_strategies()) if defaults is None else {}
    defaults = kind() if defaults is None else defaults
    for path, attribute in settings_of(kind):
        if path in without:
            continue
        name = attribute.name.replace("_", "-")
        if name in options or path[0] in _BY_SECTION:
            name = f"{path[0].replace('_', '-')}-{name}"
        default, in_quick = _at(defaults, path), _at(quick, path)
        told = [] if default is None or default == () else [f"default: {_text(default)}"]
        if in_quick is not None and in_quick != default:
            told.append(f"{DEFAULT_PRESET}: {_text(in_quick)}")
        note = f"  [{'; '.join(told)}]" if told else ""
        section = HEADINGS[path[0]] if len(path) > 1 else heading
        options[name] = SettingOption(name, path, attribute, section, note)
    return list(options.values())


def _quick_strategies() -> Settings:
    """Return what the usual preset says in the sections of the strategies."""
    sections = {section_of(name): strategy_settings(name, DEFAULT_PRESET) for name in TITLES}
    return {name: settings[name] for name, settings in sections.items() if name in settings}


def _at(settings: Any, path: SettingPath) -> Any:
    """Return the value at a path of a config or of nested settings; None where there is none."""
    for name in path:
        settings = settings.get(name) if isinstance(settings, Mapping) else getattr(settings, name, None)
    return settings


def _text(value: Any) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(listed(value))


def all_of(*decorators: Decorator) -> Decorator:
    """Return the decorators, the first outermost."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return decorate


def report_options(what: str, *, details: str = "") -> Decorator:
    """Return the options ``--json`` and ``--quiet`` of a command that computes and reports.

    Args:
        what: it reports, such as "scores".
        details: what else is to be said of the JSON.
    """
    return all_of(
        click.option("--json", "as_json", is_flag=True, help=f"Print the {what} as JSON{details}."),
        click.option("--quiet", is_flag=True, help=f"Hide the progress; show only warnings and the {what}."),
    )


def layer_options(kind: type) -> Decorator:
    """Return the options ``--preset``, ``--config`` and ``--show-config`` of a command with this config."""
    return all_of(
        click.option(
            "--preset", "preset_name", type=click.Choice(list(PRESETS[kind])),
            help=f"Preset of settings.  [default: {DEFAULT_PRESET}]",
        ),
        click.option(
            "--config", "config_file", type=click.Path(path_type=Path, dir_okay=False),
            help="TOML file of settings. It overrides the preset; options override both.",
        ),
        click.option("--show-config", is_flag=True, help="Print the settings as TOML and exit."),
    )  # fmt: skip


#: the option ``--recipe`` of a command that trains networks alone
recipe_option = click.option(
    "--recipe", type=click.Choice(RECIPE_NAMES),
    help="Training and size of network as of a paper: "
    + ", ".join(f"{name} ({source})" if source.lower() != name else name for name, source in SOURCES.items())
    + ". It overrides the preset; a file and options override both.",
)  # fmt: skip


def given_options(context: click.Context) -> Iterator[str]:
    """Yield the options of settings that were given on the command line."""
    yield from (option for option, _ in context.meta.get(_GIVEN, {}).values())


def given_settings(context: click.Context) -> dict[str, Any]:
    """Return the settings on the command line, nested as in a file.

    Raises:
        click.UsageError: two of them exclude each other.
    """
    given: dict[SettingPath, tuple[str, Any]] = context.meta.get(_GIVEN, {})
    settings: dict[str, Any] = {}
    for path, (option, value) in given.items():
        undone = _UNDOES.get(path)
        if undone is not None and undone in given:
            raise click.UsageError(f"{option} and {given[undone][0]} exclude each other; give one of them")
        settings = merge(settings, _nested(path, value))
        if undone is not None and undone in _known_paths(context):
            settings = merge(settings, _nested(undone, None))
    return settings


def _known_paths(context: click.Context) -> set[SettingPath]:
    return {option.path for option in context.command.params if isinstance(option, SettingOption)}


def _nested(path: SettingPath, value: Any) -> dict[str, Any]:
    for name in reversed(path):
        value = {name: value}
    nested: dict[str, Any] = value
    return nested


def configured(
    context: click.Context,
    kind: type[C],
    preset_name: str | None,
    config_file: Path | None,
    *,
    usual_preset: str = DEFAULT_PRESET,
    recipe: str | None = None,
    below: Callable[[C], Settings] | None = None,
) -> C:
    """Return the config by its layers: preset, recipe, what lies below the file, the file, options; later ones win.

    What lies below the file may depend on the preset's config. Where the command line names no preset, the one the
    file names is taken, then the usual one.

    Raises:
        ConfigError: a setting that does not exist, of another type or out of bounds; in a file, the file is named.
        click.UsageError: options that exclude each other.
    """
    options = given_settings(context)
    in_file = read_toml(config_file) if config_file is not None else {}
    try:
        of_file = in_file.pop("recipe", None)
        if of_file is not None:  # by which a network is trained as in a paper, as by the option
            usual_preset, recipe = "paper", recipe or of_file
        named = in_file.pop("preset", usual_preset)
        if not isinstance(named, str):
            raise ConfigError(f"preset is {named!r}; it can be {', '.join(PRESETS[kind])}")
        base = preset(kind, preset_name or named)
        if recipe is not None:
            base = build(kind, recipe_settings(kind, recipe), base)
        if below is not None:
            base = build(kind, below(base), base)
        lower = build(kind, in_file, base)
    except ConfigError as error:
        raise ConfigError(f"{config_file}: {error}" if config_file is not None else str(error)) from None
    return build(kind, options, lower)
