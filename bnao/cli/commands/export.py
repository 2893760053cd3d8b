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
    "--to", "format", required=True, metavar="FORMAT",
    help=f"{', '.join(FORMATS)}; with --backend a format of its own too.",
)  # fmt: skip
@click.option(
    "-o", "--out", type=click.Path(path_type=Path, dir_okay=False),
    help="The file to write; where a format is two files, the other stands beside it.  "
    "[default: bnao_<genotype's digits> here]",
)  # fmt: skip
@click.option(
    "--backend", metavar="NAME",
    help="Whose network the file is held against.  [default: keras for keras, else torch]",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print what was written as JSON.")
def command(
    source: str, genotype: str | None, format: str, out: Path | None, backend: str | None, as_json: bool
) -> None:
    """Write a trained stand-alone network in another format, with the normalisation of its images inside.

    WEIGHTS is a file in trainings/ of a folder of bnao evaluate, or an .onnx file that this command wrote; RUN that
    folder, or that of a search with one evaluation in it. Of a folder the network with the lowest test error is
    taken, or that of GENOTYPE. A file must be GENOTYPE's, where that is given.

    \b
    onnx    NAME.onnx, for onnxruntime and others; the batch may have any size
    torch   NAME.pt2, for torch.export.load, and NAME.safetensors, the state_dict
    keras   NAME.keras, for keras.saving.load_model
    python  NAME.py, which builds the network with PyTorch alone, and NAME.safetensors

    What is written is read again and must give bnao's own logits to 1e-4.
    """
    if backend is None and format not in FORMATS:
        raise click.UsageError(f"no format {format!r}; --to can be {', '.join(FORMATS)}")
    trained, file = find_trained(source, genotype)
    path = out or Path(default_name(trained.genotype))
    done = export(trained, format, backends.load(backend or FORMATS[format]), path)
    if as_json:
        click.echo(json.dumps(_as_json(trained, file, done)))
    else:
        click.echo("\n".join(_lines(trained, file, done)))


def _image(trained: Trained, done: Exported) -> list[int]:
    """The shape of an image as the file takes it."""
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
