"""Declaration, checks, layers and TOML of settings."""

import difflib
import math
import os
import re
import tomllib
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import attrs
from attrs import Attribute, field

from bnao.errors import ConfigError
from bnao.files import MOST_SETTINGS, read_regular

C = TypeVar("C")

#: largest number of a setting that has no bound of its own: beyond it no work would end
MOST = 1_000_000_000
_FAR = 1_000_000
Settings = Mapping[str, Any]


def _check(
    name: str,
    value: object,
    kinds: tuple[type, ...],
    least: float | None,
    most: float | None,
    choices: Sequence[str],
    words: Mapping[str, int],
) -> None:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not (
        (value is None and type(None) in kinds)
        or (isinstance(value, bool) and bool in kinds)
        or (isinstance(value, int) and is_number and (int in kinds or float in kinds))
        or (isinstance(value, float) and float in kinds)
        or (isinstance(value, str) and str in kinds)
        or (isinstance(value, tuple) and tuple in kinds)
    ):
        wanted = " or ".join(_KIND_NAMES[kind] for kind in kinds if kind is not type(None))
        raise ConfigError(f"{name} is {told(value)}; it must be {wanted}")
    if isinstance(value, str) and not _is_text(value):
        raise ConfigError(
            f"{name} is {value!r}; it must be text in UTF-8 without NUL, which a file of settings can hold"
        )
    if isinstance(value, str) and choices and value not in choices:
        raise ConfigError(f"{name} is {value!r}; it can be {', '.join(choices)}")
    if is_number and float in kinds and not _is_finite(value):
        raise ConfigError(f"{name} is {told(value)}; it must be a finite number")
    if is_number and value in words.values():
        return
    # a bound that nobody comes near is told to those alone who are beyond it
    if is_number and most is not None and most > _FAR and value <= most:  # type: ignore[operator]  # is_number says so
        most = None
    if is_number and not ((least is None or value >= least) and (most is None or value <= most)):  # type: ignore[operator]  # is_number says it is one
        bounds = " and ".join(
            f"{sign} {bound if isinstance(bound, int) else f'{bound:g}'}"
            for sign, bound in ((">=", least), ("<=", most))
            if bound is not None
        )
        others = "".join(f", or {number} ({word})" for word, number in words.items())
        raise ConfigError(f"{name} is {told(value)}; it must be {bounds}{others}")


def _is_text(value: str) -> bool:
    try:
        return "\0" not in value and value.encode() is not None
    except UnicodeEncodeError:  # bytes of a command line that are not UTF-8
        return False


def _is_finite(value: Any) -> bool:
    try:
        return math.isfinite(float(value))
    except OverflowError:  # a whole number beyond any float
        return False


def told(value: object) -> str:
    """Return a value as an error shows it; for an integer of more than 40 digits, its length.

    >>> told("wide"), told(12), told(-(10**5000))
    ("'wide'", '12', 'a number of about 5000 digits')
    """
    if isinstance(value, int) and abs(value) >= 10**40:
        return f"a number of about {round(value.bit_length() * math.log10(2))} digits"  # Python writes 4300 at most
    return repr(value)


_KIND_NAMES: dict[type, str] = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}


def kinds_of(attribute: "Attribute[Any]") -> tuple[type, ...]:
    """Return the plain types a setting may have, such as (int, NoneType)."""
    kind = attribute.type
    members = typing.get_args(kind) if isinstance(kind, types.UnionType) else (kind,)
    return tuple(typing.get_origin(member) or member for member in members if member is not None)


def setting(
    default: Any,
    text: str,
    *,
    least: float | None = None,
    most: float | None = None,
    choices: Sequence[str] = (),
    also: Callable[[str], bool] | None = None,
    words: Mapping[str, int] | None = None,
    has_option: bool = True,
    from_data: bool = False,
    fixed: bool = True,
    converter: Any = None,
) -> Any:
    """Return a field with all that the command line, the file and the checks need to know about it.

    Args:
        default: its value in the paper's own setting.
        text: one line of help for people.
        least: smallest value allowed.
        most: largest value allowed; None: ``MOST``.
        choices: the texts allowed.
        also: which other texts are allowed, such as names of things that are not bnao's.
        words: numbers with a meaning of their own, which the bounds do not hold for, by the word that stands for each.
        has_option: whether the command line has an option of its name.
        from_data: the data set decides it: neither an option nor in the file.
        fixed: whether work that was begun with it must be resumed with the same value.
        converter: makes the value from what was given.
    """

    meant = dict(words or {})

    def validate(instance: object, attribute: "Attribute[Any]", value: object) -> None:
        allowed = () if also is not None and isinstance(value, str) and also(value) else choices
        _check(attribute.name, value, kinds_of(attribute), least, MOST if most is None else most, allowed, meant)

    metadata = {
        "help": text,
        "choices": tuple(choices),
        "also": also,
        "words": meant,
        "has_option": has_option,
        "from_data": from_data,
        "fixed": fixed,
        "as_text": False,
    }
    if meant:
        converter = lambda value: meant.get(value, value) if isinstance(value, str) else value  # noqa: E731
    return field(default=default, validator=validate, metadata=metadata, converter=converter, kw_only=True)


def several(
    default: tuple[Any, ...],
    text: str,
    *,
    read: Callable[[str], Any] = str,
    check: Callable[[tuple[Any, ...]], bool] = lambda values: True,
    wanted: str = "texts",
    none: str | None = None,
    fixed: bool = True,
) -> Any:
    """Declare a setting that is a tuple; a text is read as its values separated by commas.

    Args:
        default: its values in the paper's own setting.
        text: one line of help for people.
        read: makes a value from its text; raises ValueError for another text.
        check: whether values that were given may stand together; never asked about the default. It may raise a
            ConfigError of its own.
        wanted: what the error for other values asks for.
        none: a text that stands for no value at all.
        fixed: as in ``setting``.

    Raises:
        ConfigError: on creation, other values; the setting is named.
    """

    def convert(value: Any) -> Any:
        """Return the tuple of values, or what was given where it is not one."""
        if none is not None and value == none:
            return ()
        parts = value.split(",") if isinstance(value, str) else value
        if not isinstance(parts, (tuple, list)):
            return value
        try:
            return tuple(read(part.strip()) if isinstance(part, str) else part for part in parts)
        except ConfigError:
            raise
        except ValueError:
            return value

    def validate(instance: object, attribute: "Attribute[Any]", values: Any) -> None:
        kinds = {type(value) for value in values} if isinstance(values, tuple) else {type(None)}
        kind = typing.get_args(attribute.type)[0]
        if values != default and not (kinds <= {kind} and check(values)):
            raise ConfigError(f"{attribute.name} is {listed(values)!r}; it must be {wanted}")

    metadata: dict[str, Any] = {
        "help": text,
        "choices": (),
        "also": None,
        "words": {},
        "has_option": True,
        "from_data": False,
        "fixed": fixed,
        "as_text": True,
    }
    return field(default=default, validator=validate, converter=convert, metadata=metadata, kw_only=True)


_DURATION = re.compile(r"\s*(\d{1,15}(?:\.\d{1,15})?)\s*(us|ms|s)\s*", re.ASCII)
_MILLISECONDS = {"us": 1e-3, "ms": 1.0, "s": 1e3}


def duration(text: str) -> Any:
    """Declare a setting that is a time in milliseconds, or None; a text is read as a number and its unit (us, ms, s).

    Args:
        text: one line of help for people; the unit is added.

    Raises:
        ConfigError: on creation, anything else, or a time that is not above 0; the setting is named.
    """

    def convert(value: Any) -> Any:
        """Return the number of milliseconds, or what was given where it is none."""
        match = _DURATION.fullmatch(value) if isinstance(value, str) else None
        return value if match is None else float(match[1]) * _MILLISECONDS[match[2]]

    def validate(instance: object, attribute: "Attribute[Any]", value: object) -> None:
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if value is not None and not (is_number and _is_finite(value) and value > 0):  # type: ignore[operator]  # is_number says it is one
            raise ConfigError(
                f"{attribute.name} is {told(value)}; it must be a time above 0, such as 5ms or 0.2s, or a number of "
                "milliseconds"
            )

    metadata: dict[str, Any] = {
        "help": f"{text} A time such as 5ms; a plain number is milliseconds in files and in Python.",
        "choices": (),
        "also": None,
        "words": {},
        "has_option": True,
        "from_data": False,
        "fixed": True,
        "as_text": True,
    }
    return field(default=None, validator=validate, converter=convert, metadata=metadata, kw_only=True)


def listed(values: object) -> object:
    """Return the values of a tuple or list as one text, separated by commas; anything else as it is.

    >>> listed((5, 10, 20))
    '5,10,20'
    """
    return ",".join(map(str, values)) if isinstance(values, (tuple, list)) else values


def are_rising(numbers: Sequence[int]) -> bool:
    """Return whether there are numbers, all of them >= 1, each larger than the one before.

    >>> are_rising((5, 10, 20)), are_rising((5, 3)), are_rising(())
    (True, False, False)
    """
    return bool(numbers) and numbers[0] >= 1 and list(numbers) == sorted(set(numbers))


def section(factory: Callable[[], Any], *, strategy: str | tuple[str, ...] = ()) -> Any:
    """Return a field that holds settings of their own, such as ``data`` of a search.

    Args:
        factory: makes the section's defaults.
        strategy: the one, or those, whose settings these are, of the setting ``strategy`` beside it: a file of other
            searches leaves them out where they are the defaults. Empty: every file has them.

    Raises:
        ConfigError: on creation, a value that is no such section; what would be right is named.
    """
    owners = (strategy,) if isinstance(strategy, str) else strategy

    def validate(instance: object, attribute: "Attribute[Any]", value: object) -> None:
        kind = attribute.type
        assert kind is not None
        if not isinstance(value, kind):
            given = f"a {type(value).__name__}" if attrs.has(type(value)) else repr(value)
            raise ConfigError(f"{attribute.name} is {given}; it must be a {_example(kind, attribute.name, value)}")

    return field(factory=factory, validator=validate, metadata={"strategies": owners}, kw_only=True)


def _example(kind: type, name: str, value: object) -> str:
    """Return a section's class, and a call of it with what was given in its place, where that can be meant."""
    if isinstance(value, Mapping):
        tried = [dict(value)]
    elif isinstance(value, (str, os.PathLike)):
        texts = [each for each in attrs.fields(kind) if str in kinds_of(each)]
        # a text that is a setting's choice, else the setting that has the section's name
        tried = [{each.name: os.fspath(value)} for each in texts if each.metadata["choices"] or each.name == name]
    else:
        tried = []
    for settings in tried:
        try:
            kind(**settings)
        except (ConfigError, TypeError):
            continue
        given = ", ".join(f"{setting}={it!r}" for setting, it in settings.items())
        return f"{kind.__name__}, such as {kind.__name__}({given})"
    return kind.__name__


def settings_of(config: type) -> Iterator[tuple[tuple[str, ...], "Attribute[Any]"]]:
    """Yield every setting of a config class that has an option: its path, such as ("data", "pad"), and field."""
    for attribute in attrs.fields(config):
        if attrs.has(attribute.type):
            yield from (((attribute.name, *path), inner) for path, inner in settings_of(attribute.type))
        elif attribute.metadata["has_option"] and not attribute.metadata["from_data"]:
            yield (attribute.name,), attribute


def merge(*layers: Settings) -> dict[str, Any]:
    """Merge nested settings; later ones win.

    >>> merge({"data": {"pad": 4, "flip": True}}, {"data": {"pad": 2}})
    {'data': {'pad': 2, 'flip': True}}
    """
    result: dict[str, Any] = {}
    for layer in layers:
        for name, value in layer.items():
            if isinstance(value, Mapping):
                below = result.get(name, {})
                value = merge(below if isinstance(below, Mapping) else {}, value)
            result[name] = value
    return result


def build(config: type[C], settings: Settings, base: C | None = None, where: str = "") -> C:
    """Return the config that nested plain settings describe, all others at their defaults.

    Raises:
        ConfigError: a setting that does not exist, of another type or out of bounds, with its place.

    >>> from bnao.config.settings import SearchConfig
    >>> build(SearchConfig, {"data": {"padd": 2}})
    Traceback (most recent call last):
        ...
    bnao.errors.ConfigError: [data] has no setting 'padd'; did you mean 'pad'?
    """
    base = config() if base is None else base
    fields = {attribute.name: attribute for attribute in attrs.fields(config)}  # type: ignore[arg-type]  # all are attrs classes
    section = f"[{where}] " if where else ""
    changes: dict[str, Any] = {}
    for name, value in settings.items():
        if name not in fields or fields[name].metadata.get("from_data"):
            known = [known for known, attribute in fields.items() if not attribute.metadata.get("from_data")]
            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"there is {', '.join(known)}"
            raise ConfigError(f"{section or 'the config '}has no setting {name!r}; {hint}")
        if attrs.has(fields[name].type):
            if not isinstance(value, Mapping):
                raise ConfigError(f"{name} is {value!r}; it is a section, [{name}]")
            value = build(fields[name].type, value, getattr(base, name), name)
        changes[name] = value
    try:
        return attrs.evolve(base, **changes)  # type: ignore[misc]  # all are attrs classes
    except ConfigError as error:
        raise ConfigError(f"{section}{error}") from None


def to_settings(config: Any, *, fixed: bool = False) -> dict[str, Any]:
    """Return the config as nested plain settings, numbers that a word stands for by that word.

    What is None or decided by the data is left out.
    With ``fixed`` so is what may change on resume.
    """
    settings: dict[str, Any] = {}
    sections: dict[str, Any] = {}
    for attribute in attrs.fields(type(config)):
        value = getattr(config, attribute.name)
        if attrs.has(type(value)):
            owners = attribute.metadata["strategies"]
            if not owners or config.strategy in owners or value != type(value)():
                sections[attribute.name] = to_settings(value, fixed=fixed)
        elif value is not None and not attribute.metadata["from_data"] and (attribute.metadata["fixed"] or not fixed):
            settings[attribute.name] = worded(attribute, value)
    return settings | sections


def worded(attribute: "Attribute[Any]", value: object) -> object:
    """Return a setting's value as a file has it: a word for a number that one stands for, a list for a tuple."""
    if isinstance(value, tuple):
        return [each if isinstance(each, (int, float)) else str(each) for each in value]
    return next((word for word, meant in attribute.metadata["words"].items() if meant == value), value)


def to_toml(config: Any, *, fixed: bool = False) -> str:
    """Return the config as TOML, from which ``read_toml`` and ``build`` make the same config."""
    import tomli_w

    return tomli_w.dumps(to_settings(config, fixed=fixed))


def read_toml(path: str | Path) -> dict[str, Any]:
    """Read a TOML file's nested settings.

    Raises:
        ConfigError: no such file, or not TOML, with the line.
    """
    try:
        return tomllib.loads(read_regular(path, MOST_SETTINGS).decode())
    except OSError as error:
        raise ConfigError(f"cannot read the config file {path}: {error.strerror}") from None
    except RecursionError:
        raise ConfigError(f"{path} is not a file of settings: its brackets are nested too deeply") from None
    except ValueError as error:  # not TOML, not UTF-8, or a number of more digits than Python reads
        # of a number that is too long Python says how to allow it, which is no help here
        raise ConfigError(f"{path} is not TOML: {str(error).partition('; use sys.')[0]}") from None
