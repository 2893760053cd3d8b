"""``bnao export``: a trained stand-alone network as ONNX, as a PyTorch or Keras model, or as one Python file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from bnao import backends
from bnao.cli.figures import percent, printable
from bnao.export.files import BATCHES, FORMATS, Exported, default_name, export, find_trained
from bnao.network.trained import Trained

# names of classes in the report
_SHOWN = 10


@click.command("export")
@click.argument("source", metavar="RUN|WEIGHTS")
@click.argument("genotype", required=False, metavar="[GENOTYPE]")
@click.option(
    "--to", "file_format", required=True, metavar="FORMAT",
    help=f"{', '.join(FORMATS)}; with --backend, also formats of that backend.",
)  # fmt: skip
@click.option(
    "-o", "--out", type=click.Path(path_type=Path, dir_okay=False),
    help="File to write; a format of two files writes the second beside it.  "
    "[default: bnao_<genotype's digest> in this folder]",
)  # fmt: skip
@click.option(
    "--backend", metavar="NAME",
    help="Backend whose logits the file must reproduce.  [default: keras for keras, else torch]",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print a description of the files as JSON.")
def command(
    source: str, genotype: str | None, file_format: str, out: Path | None, backend: str | None, as_json: bool
) -> None:
    """Write a trained stand-alone network in another format, including the normalisation of its images.

    WEIGHTS is a file in trainings/ of a folder of bnao evaluate, or a file written by this command, in any format. RUN
    is the folder of an evaluation, or of a search with one evaluation in it; its network with the lowest test error is
    written, or that of GENOTYPE. If WEIGHTS and GENOTYPE are both given, they must match.

    \b
    onnx    NAME.onnx, for onnxruntime and others; the batch may have any size
    torch   NAME.pt2, for torch.export.load, and NAME.safetensors, the state_dict
    keras   NAME.keras, for keras.saving.load_model
    python  NAME.py, which builds the network with PyTorch alone, and NAME.safetensors

    Each file is read again and must reproduce bnao's logits to 1e-4.
    """
    if backend is None and file_format not in FORMATS:
        raise click.UsageError(f"no format {file_format!r}; --to can be {', '.join(FORMATS)}")
    trained, file = find_trained(source, genotype)
    path = out or Path(default_name(trained.genotype))
    done = export(trained, file_format, backends.load(backend or FORMATS[file_format]), path)
    if as_json:
        click.echo(json.dumps(_as_json(trained, file, done)))
    else:
        click.echo("\n".join(_lines(trained, file, done)))


def _image(trained: Trained, done: Exported) -> list[int]:
    """Return the shape of an image as the file takes it."""
    height, width, channels = trained.network.image
    return [channels, height, width] if done.channels_first else [height, width, channels]


def _as_json(trained: Trained, file: Path, done: Exported) -> dict[str, Any]:
    return {
        "format": 1,
        "weights": str(file),
        **trained.about(),
        "id": trained.genotype.id,
        "parameters": trained.parameters,
        "image": _image(trained, done),
        "files": [{"path": str(path), "bytes": path.stat().st_size} for path in done.files],
        "difference": done.difference,
    }


def _lines(trained: Trained, file: Path, done: Exported) -> list[str]:
    tested = "" if trained.test_error is None else f", test error {percent(trained.test_error, 2)}"
    shape = ", ".join(map(str, _image(trained, done)))
    batches = " and ".join(map(str, BATCHES))
    names = ", ".join(map(printable, trained.class_names[:_SHOWN])) + (
        ", ..." if len(trained.class_names) > _SHOWN else ""
    )
    return [
        f"{trained.genotype}",
        f"{trained.parameters:,} parameters{tested}; weights from {file}",
        "",
        *(f"wrote {path}  ({path.stat().st_size:,} bytes)" for path in done.files),
        f"images: float32, shape (batch, {shape}), 0..1; they are normalised inside",
        f"logits: float32, shape (batch, {trained.network.classes}): {names}",
        f"checked on batches of {batches} random images: logits differ from bnao's by at most {done.difference:.1e}",
    ]
