"""A trained network in other formats: found in a folder or a file, written, and held against bnao's own network."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from attrs import frozen

from bnao.config.evaluation import EvaluateConfig
from bnao.errors import BackendError, BnaoError, ExportError, GenotypeError, RunError
from bnao.export import keras_file, onnx
from bnao.network.state import read_weights
from bnao.network.state_dict import NAMES, by_canonical_name
from bnao.network.trained import Trained, trained_of
from bnao.protocols import Backend, Exporter, Exporting, Logits
from bnao.run import CONFIG, number, read_config, read_json, understanding
from bnao.space.genotype import Genotype
from bnao.space.notation.notations import Reading
from bnao.space.spaces import SearchSpace, space_named
from bnao.strategies.references import read_genotype, reference
from bnao.streams import stream

#: every built-in format, and the backend whose network it is held against where none is named
FORMATS = {"onnx": "torch", "torch": "torch", "keras": "keras", "python": "torch"}

#: how far a logit may be from bnao's; of logits beyond 1 the share of the largest
TOLERANCE = 1e-4

#: images of the batches that an exported file is tried on
BATCHES = (1, 7)

#: the part of an evaluation's folder that holds its networks
TRAININGS = "trainings"
_WEIGHTS = ".safetensors"
_READERS = {".onnx": onnx.read, ".keras": keras_file.read}
# of a program and of a Python file, whose weights stand beside them
_BESIDE = (".pt2", ".py")


@frozen
class Exported:
    """Result of an export.

    Attributes:
        files: in the order of the format's suffixes.
        difference: the largest of a logit from bnao's own network's, over the largest logit where that is beyond 1.
        channels_first: whether images are given as (b, channels, height, width), else channels last.
    """

    files: tuple[Path, ...]
    difference: float
    channels_first: bool


# --- the weights


def find_trained(source: str | Path, genotype: str | None = None) -> tuple[Trained, Path]:
    """Return the trained network that is meant, and the file it is from.

    Args:
        source: a weights file that ``bnao evaluate`` wrote, a file that ``bnao export`` wrote, the folder of an
            evaluation, or the folder of a search with one evaluation in it; or such a folder and a genotype in it,
            ``RUN:1`` or ``RUN:id``.
        genotype: the network's, in any notation or as a reference; of a folder, which of its networks. Without, the
            one of a folder is that of the lowest mean test error; of several trainings of one genotype it is that of
            the lowest.

    Raises:
        GenotypeError: the file's network is of another genotype; the first parameter that differs is named.
        RunError: the folder holds no evaluation, several, or none of that genotype.
        WeightsError: the file is damaged, or does not say which network it is of.
    """
    named = None if genotype is not None or Path(source).exists() else reference(str(source))
    if named is not None:
        return find_trained(named.folder, str(named))
    source = Path(source)
    if source.is_dir():
        source = _weights_in(_evaluation(source), genotype)
    elif not source.exists():
        raise RunError(f"no file or folder {source}; give a weights file, or the folder of an evaluation or a search")
    if source.suffix in _BESIDE:
        source = source.with_suffix(_WEIGHTS)
    trained = _READERS.get(source.suffix, _read_arrays)(source)
    if genotype is not None:
        given = _given(genotype, space_named(trained.network.space, trained.network.nodes))
        trained.check_is(given.genotype, str(source), given.space)
    return trained, source


def _read_arrays(path: Path) -> Trained:
    """Return the network of a safetensors file, by bnao's names or by those of a state_dict that was exported."""
    state, about = read_weights(path)
    if about.get("names") == NAMES:
        return trained_of(by_canonical_name(state), about, str(path), whole=False)
    return trained_of(state, about, str(path))


def _given(genotype: str, space: SearchSpace) -> Reading:
    """Return the genotype that a text means: of the space that it names, else of this one."""
    try:
        return read_genotype(genotype, space)
    except GenotypeError as refusal:
        try:
            told = read_genotype(genotype)
        except GenotypeError:
            raise refusal from None
        if not told.told:
            raise
        return told


def _evaluation(folder: Path) -> Path:
    """Return the folder of the evaluation: this one, or the only one in this search's."""
    if (folder / TRAININGS).is_dir():
        return folder
    found = sorted(path.parent for path in folder.glob(f"*/{TRAININGS}") if (path.parent / CONFIG).is_file())
    if len(found) > 1:
        raise RunError(f"{folder} holds {len(found)} evaluations; give one of them: {', '.join(map(str, found))}")
    if not found:
        raise RunError(
            f"{folder} holds no trained network; bnao evaluate trains one, alone or as: bnao evaluate {folder}"
        )
    return found[0]


def _weights_in(folder: Path, genotype: str | None) -> Path:
    """Return the weights file of a genotype's best training in an evaluation's folder, or of the best genotype's."""
    for path in (folder / TRAININGS).glob(f"*{_WEIGHTS}"):
        result = path.with_suffix(".json")
        # without its error the best network might be another's
        if not path.stem.endswith(".checkpoint") and not result.is_file():
            raise RunError(
                f"{folder} lacks {TRAININGS}/{result.name}, the result of {path.name}; run the same bnao evaluate "
                "again, or give a weights file"
            )
    errors: dict[str, dict[Path, float]] = {}
    for path in sorted((folder / TRAININGS).glob("*.json")):
        content = read_json(path)
        with understanding(path):
            errors.setdefault(str(content["genotype"]), {})[path] = number(content["test_error"])
    if not errors:
        raise RunError(f"{folder} holds no finished training")
    if genotype is None:
        best = min(errors, key=lambda each: np.mean(list(errors[each].values())))
    else:
        network = read_config(folder, EvaluateConfig).network
        best = str(read_genotype(genotype, space_named(network.space, network.nodes)).genotype)
        if best not in errors:
            raise RunError(f"{folder} holds no training of this genotype; it has {_listed(errors)}")
    return min(errors[best], key=errors[best].__getitem__).with_suffix(_WEIGHTS)


def _listed(genotypes: Mapping[str, object], most: int = 3) -> str:
    shown = ", ".join(list(genotypes)[:most])
    return shown if len(genotypes) <= most else f"{shown} and {len(genotypes) - most} more"


# --- the export


def exporter_of(file_format: str, backend: Backend) -> Exporter:
    """Return the exporter of a format with a backend.

    Raises:
        BackendError: the backend has no networks, or no such format.
    """
    if not isinstance(backend, Exporting):
        raise BackendError(f"backend {backend.name!r} exports nothing: it has no networks of its own")
    exporters = {"onnx": onnx.EXPORTER, **backend.exporters}
    if file_format not in exporters:
        raise BackendError(f"backend {backend.name!r} does not write {file_format!r}; it writes {', '.join(exporters)}")
    return exporters[file_format]


def default_name(genotype: Genotype) -> str:
    """Return a file's name without a suffix, which identifies the genotype like that of the weights."""
    return f"bnao_{genotype.digest}"


def export(trained: Trained, file_format: str, backend: Backend, path: Path) -> Exported:
    """Write the network in a format, and hold what was written against bnao's own network.

    The files are tried on batches of 1 and 7 random images before they get their names, so there is no file that
    computes something else.

    Args:
        trained: the network.
        file_format: ``onnx``, or one of the backend's own.
        backend: whose network is what it is held against.
        path: the first file, with the format's suffix or none; others stand beside it.

    Raises:
        BackendError: the backend cannot export that, or a package is absent.
        ExportError: a file of that name exists, it cannot be written, or its logits differ by more than 1e-4.
    """
    exporter = exporter_of(file_format, backend)
    assert isinstance(backend, Exporting)
    targets = _targets(path, exporter.suffixes)
    own = backend.logits(trained)
    try:
        with tempfile.TemporaryDirectory(".unfinished", f".{targets[0].stem}-", targets[0].parent) as folder:
            files = [Path(folder) / target.name for target in targets]
            exporter.write(trained, files[0])
            difference = largest_difference(trained, own, exporter.read(files[0]))
            if not difference <= TOLERANCE:
                raise ExportError(
                    f"{targets[0].name} does not reproduce the network's logits: the largest difference is "
                    f"{difference:.1e}, and {TOLERANCE:g} is allowed; nothing was written"
                )
            for file, target in zip(files, targets, strict=True):
                if target.exists() and target.read_bytes() != file.read_bytes():
                    raise _exists(target)
            for file, target in zip(files, targets, strict=True):
                os.replace(file, target)
    except OSError as error:
        if isinstance(error, BnaoError):
            raise
        raise ExportError(f"cannot write {targets[0]}: {error.strerror or error}") from None
    return Exported(tuple(targets), difference, exporter.channels_first)


def _targets(path: Path, suffixes: Sequence[str]) -> list[Path]:
    """Return the files that an export makes; the first must not be there, others may be there from another format."""
    first = path if path.suffix else path.with_name(f"{path.name}{suffixes[0]}")
    if first.suffix != suffixes[0]:
        raise ExportError(f"{path} ends in {path.suffix}; a file of this format ends in {suffixes[0]}")
    if first.exists():
        raise _exists(first)
    return [first.with_suffix(suffix) for suffix in suffixes]


def _exists(path: Path) -> ExportError:
    return ExportError(f"{path} exists already; remove it, or name another file with -o")


def largest_difference(trained: Trained, own: Logits, others: Logits) -> float:
    """Return the largest difference of logits on random images, relative to the largest logit if that exceeds 1.

    NaN where a logit is no number.
    """
    differences = []
    for n in BATCHES:
        images = stream(0, "export", n).random((n, *trained.network.image), np.float32)
        wanted, found = own(images), others(images)
        differences.append(np.abs(found - wanted).max() / max(1.0, float(np.abs(wanted).max())))
    return float(np.max(differences))
