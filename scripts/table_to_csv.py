"""Make the CSV tables that docs/tables.md names out of the files that their authors published.

    python scripts/table_to_csv.py nasbench201 cifar10_avg.csv nats_bench.csv nasbench201.csv
    python scripts/table_to_csv.py nasbench201 NATS-tss-v1_0-3ffb9-simple nasbench201.csv
    python scripts/table_to_csv.py fewshot201 supernet_info nasbench201_oneshot.csv --order nasbench201.csv
    python scripts/table_to_csv.py nds ENAS_in.json ENAS_in.csv

docs/tables.md says where each file comes from, its licence, and which commands of bnao read the CSV. Nothing is
downloaded. Files that are pickles are read as plain data: one that names any other class or function is refused.
"""

import argparse
import ast
import csv
import json
import math
import os
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import plain_pickle

#: NAS-Bench-201's operations; a cell's code has the place of each edge's in this order
OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")

_OPERATION = "|".join(OPERATIONS)
_CELL = re.compile(
    rf"\|({_OPERATION})~0\|\+\|({_OPERATION})~0\|({_OPERATION})~1\|\+"
    rf"\|({_OPERATION})~0\|({_OPERATION})~1\|({_OPERATION})~2\|"
)

#: columns of nasbench201.csv: the data set trained on, the part tested on (NATS-Bench, ArchResults.get_metrics)
ACCURACIES = {
    "c10_valid_200": ("cifar10-valid", "x-valid"),
    "c10_test_200_half": ("cifar10-valid", "ori-test"),
    "c10_test_200": ("cifar10", "ori-test"),
    "c100_test_200": ("cifar100", "x-test"),
    "in16_test_200": ("ImageNet16-120", "x-test"),
}

#: columns of nasbench201.csv, and what two publications of its accuracies call them
LANDSCAPES = {"c10_valid_200": "valid-accuracy", "c10_test_200_half": "test-accuracy"}
NATS_LANDSCAPE = {
    "c10_test_200": "CIFAR10TestAccuracy200Epochs",
    "c100_test_200": "CIFAR100TestAccuracy200Epochs",
    "in16_test_200": "ImageNetTestAccuracy200Epochs",
}

#: epochs of the accuracies in NDS tables, beside the last
NDS_EPOCHS = (1, 2, 3, 5, *range(10, 1000, 10))

Row = dict[str, object]


def code_of(cell: str) -> str:
    """Return a NAS-Bench-201 cell's six digits, one an edge in the order of its text.

    Raises:
        ValueError: not such a cell.
    """
    found = _CELL.fullmatch(cell)
    if found is None:
        raise ValueError(f"{cell[:100]!r} is not a NAS-Bench-201 cell, such as |none~0|+|none~0|none~1|+|...")
    return "".join(str(OPERATIONS.index(operation)) for operation in found.groups())


def parameters(code: str) -> int:
    """Return the parameters of a cell's CIFAR-10 network (C = 16, N = 5), as the benchmark counts them."""
    return 73_306 + 28_000 * code.count("2") + 243_040 * code.count("3")


def multiply_adds(code: str) -> int:
    """Return the multiply-adds of a cell's CIFAR-10 network, as the benchmark counts them ("FLOPs")."""
    return 7_943_872 + 4_362_240 * code.count("2") + 35_819_520 * code.count("3") + 1_290_240 * code.count("4")


def accuracy(value: object, where: str) -> float:
    """Return an accuracy in percent.

    Raises:
        ValueError: not a number of 0 to 100.
    """
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        number = math.nan
    if not 0 <= number <= 100:
        raise ValueError(f"{where} is {str(value)[:60]!r}; it must be a number of 0 to 100, in percent")
    return number


def nasbench201(paths: Sequence[Path]) -> list[Row]:
    """Return the rows of nasbench201.csv, from CSV files or from one of the benchmark's own."""
    if all(path.suffix == ".csv" for path in paths):
        cells = _cells_of_csv_files(paths)
    elif len(paths) == 1:
        cells = _cells_of_benchmark(paths[0])
    else:
        raise ValueError("give CSV files, or one file or folder of the benchmark")
    rows: list[Row] = []
    for index, (cell, accuracies) in enumerate(cells):
        code = code_of(cell)
        row: Row = {"index": index, "arch_str": cell, "code": code}
        row |= {"params": parameters(code), "flops": multiply_adds(code)}
        rows.append(row | {name: f"{accuracies[name]:.4f}" for name in ACCURACIES if name in accuracies})
    return rows


def _cells_of_csv_files(paths: Sequence[Path]) -> Iterable[tuple[str, dict[str, float]]]:
    """Return cells in the benchmark's order with the accuracies that the files have together."""
    cells: dict[str, dict[str, float]] = {}
    for number, path in enumerate(paths):
        try:
            columns, found = _cells_of_csv(path)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
        if number and list(cells) != list(found):
            raise ValueError(f"{path} has other cells than {paths[0]}, or another order")
        for cell, accuracies in found.items():
            if not cells.get(cell, {}).keys().isdisjoint(columns):
                raise ValueError(f"{path} has {', '.join(columns)} again")
            cells.setdefault(cell, {}).update(accuracies)
    return cells.items()


def _cells_of_csv(path: Path) -> tuple[tuple[str, ...], dict[str, dict[str, float]]]:
    """Return the columns of ours that a CSV file has, and its cells with the accuracies in these."""
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        names = reader.fieldnames or ()
        for cell_column, columns in (("arch_str", LANDSCAPES), ("ArchitectureString", NATS_LANDSCAPE)):
            if {cell_column, *columns.values()} <= set(names):
                break
        else:
            raise ValueError("its columns are neither those of cifar10_avg.csv nor those of nats_bench.csv")
        cells: dict[str, dict[str, float]] = {}
        for row in reader:
            cell = row[cell_column] or ""
            where = f"line {reader.line_num}: "
            if cell in cells:
                raise ValueError(f"{where}{cell} stands there twice")
            cells[cell] = {ours: accuracy(row[theirs], where + theirs) for ours, theirs in columns.items()}
    if not cells:
        raise ValueError("it has no rows")
    return tuple(columns), cells


def _cells_of_benchmark(path: Path) -> Iterable[tuple[str, dict[str, float]]]:
    """Yield cells with the means over seeds, from NATS-Bench's folder or file, or from NAS-Bench-201's file."""
    if path.is_dir():
        meta = path / "meta.pickle.pbz2"
        for index, cell in enumerate(_cell_names(plain(meta), str(meta))):
            file = path / f"{index:06d}.pickle.pbz2"
            yield cell, _mean_accuracies(plain(file), str(file))
        return
    content = plain(path)
    infos = _entry(content, "arch2infos", Mapping, str(path))
    for index, cell in enumerate(_cell_names(content, str(path))):
        where = f"{path}: cell {index}"
        yield cell, _mean_accuracies(_entry(infos, index, Mapping, where), where)


def _cell_names(content: object, where: str) -> list[str]:
    """Return the benchmark's cells, in its order."""
    cells: list[str] = _entry(content, "meta_archs", list, where)
    if not cells or not all(isinstance(cell, str) for cell in cells):
        raise ValueError(f"{where}: meta_archs is not a list of cells")
    return cells


def plain(path: Path) -> Any:
    """Return what a pickle of plain data holds.

    Raises:
        ValueError: damaged or not plain; the file is named.
    """
    try:
        return plain_pickle.read(path)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _mean_accuracies(info: object, where: str) -> dict[str, float]:
    """Return a cell's accuracies after 200 epochs, means over seeds."""
    # NATS-Bench calls the trainings by their epochs, NAS-Bench-201 those of 200 epochs "full"
    key = "full" if isinstance(info, Mapping) and "full" in info else "200"
    trained = _entry(info, key, Mapping, where)
    results, seeds = (_entry(trained, name, Mapping, where) for name in ("all_results", "dataset_seed"))
    means = {}
    for name, (data, part) in ACCURACIES.items():
        values = []
        for seed in _entry(seeds, data, list, f"{where}: dataset_seed"):
            trial = f"{where}: {data}, seed {seed}"
            if not isinstance(seed, int):
                raise ValueError(f"{trial}: a seed is a whole number")
            result = _entry(results, (data, seed), Mapping, where)
            epochs = _entry(result, "epochs", int, trial)
            if epochs != 200:
                raise ValueError(f"{trial}: {epochs} epochs; it must be 200")
            last = f"{part}@199"
            found = _entry(_entry(result, "eval_acc1es", Mapping, trial), last, float, trial)
            values.append(accuracy(found, f"{trial}: {last}"))
        if not values:
            raise ValueError(f"{where}: no seed of {data}")
        means[name] = sum(values) / len(values)
    return means


def _entry(content: object, key: object, kind: type, where: str) -> Any:
    """Return what a dict has under a key, of the kind that the benchmark's files have there."""
    if not isinstance(content, Mapping) or key not in content:
        raise ValueError(f"{where}: {key!r} is missing; this is not a file of NAS-Bench-201 or NATS-Bench (tss)")
    value = content[key]
    if not isinstance(value, (int, float) if kind is float else kind):
        raise ValueError(f"{where}: {key!r} is of the type {type(value).__name__}, not {kind.__name__}")
    return value


def fewshot201(folder: Path, order: Path | None) -> list[Row]:
    """Return the rows of nasbench201_oneshot.csv from the three JSON files of ``supernet_info``."""
    files = {"standalone_test_200": "nasbench201", "oneshot_supernet": "one-shot-supernet"}
    files["fewshot_supernet"] = "few-shot-supernet"
    tables = {column: _fewshot_scores(folder / file) for column, file in files.items()}
    first = tables["standalone_test_200"]
    for column, scores in tables.items():
        if scores.keys() != first.keys():
            raise ValueError(f"{folder / files[column]} has other cells than {folder / 'nasbench201'}")
    cells: Iterable[str] = first
    if order is not None:
        with order.open(newline="", encoding="utf-8") as file:
            cells = [row.get("arch_str") or "" for row in csv.DictReader(file)]
        if sorted(cells) != sorted(first):
            raise ValueError(f"{order} has other cells in arch_str than {folder / 'nasbench201'}")
    return [
        {"index": index, "arch_str": cell, "params": parameters(code_of(cell))}
        | {column: f"{scores[cell]:.2f}" for column, scores in tables.items()}
        for index, cell in enumerate(cells)
    ]


def _fewshot_scores(path: Path) -> dict[str, float]:
    """Return scores by cell; the file's keys are texts such as "[(('none', 0),), (('none', 0), ('none', 1)), ...]"."""
    scores = {}
    content = read_json(path)
    if not isinstance(content, dict):
        raise ValueError(f"{path}: not a JSON object of cells and scores")
    for key, value in content.items():
        try:
            nodes = ast.literal_eval(key)
            cell = "+".join("|" + "|".join(f"{name}~{source}" for name, source in node) + "|" for node in nodes)
            code_of(cell)
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            raise ValueError(f"{path}: {key[:100]!r} is not a NAS-Bench-201 cell") from None
        scores[cell] = accuracy(value, f"{path}: the score of {cell}")
    return scores


def nds(path: Path) -> list[Row]:
    """Return a row for each trained network of an NDS file.

    The file is a list of trainings, or an object of two lists, ``top`` and ``mid``; errors are in percent.
    """
    content = read_json(path)
    parts: list[Any] = [content.get("top"), content.get("mid")] if isinstance(content, dict) else [content]
    if not all(parts) or not all(isinstance(part, list) for part in parts):
        raise ValueError(f"{path}: not a list of trainings; files of NDS are")
    trainings = [training for part in parts for training in part]
    rows: list[Row] = []
    curves = [training.get("test_ep_top1") for training in trainings if isinstance(training, dict)]
    last = max((len(curve) for curve in curves if isinstance(curve, list)), default=0)
    for index, training in enumerate(trainings):
        try:
            rows.append({"index": index} | _nds_row(training, {*NDS_EPOCHS, last}))
        except (KeyError, TypeError, ValueError) as error:
            what = f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else error
            raise ValueError(f"{path}: training {index}: {what}") from None
    return rows


def _nds_row(training: Mapping[str, Any], epochs: Collection[int]) -> Row:
    net = training["net"]
    if "genotype" not in net:
        raise ValueError("no genotype; only NASNet, Amoeba, PNAS, ENAS and DARTS files have cells")
    genotype = net["genotype"]
    row: Row = {}
    for cell in ("normal", "reduce"):
        for operation, source in genotype[cell]:
            if not isinstance(operation, str) or not isinstance(source, int):
                raise ValueError(f"an edge of {cell} is {[operation, source]}; it must be [operation, source]")
        row[cell] = json.dumps(genotype[cell])
        row[f"{cell}_concat"] = json.dumps(genotype[f"{cell}_concat"])
    row |= {"width": int(net["width"]), "depth": int(net["depth"])}
    row |= {"params": int(training["params"]), "flops": int(training["flops"])}
    row["epochs"] = int(training["optim"]["max_ep"])
    for epoch, error in enumerate(training["test_ep_top1"], start=1):
        if epoch in epochs:
            row[f"test_acc_ep{epoch}"] = f"{100 - accuracy(error, f'the error after epoch {epoch}'):.3f}"
    row["best_test_acc"] = f"{100 - accuracy(training['min_test_top1'], 'min_test_top1'):.3f}"
    return row


def read_json(path: Path) -> Any:
    """Return what a JSON file holds.

    Raises:
        ValueError: damaged; the file is named.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not JSON: {error}") from None


def write(rows: Sequence[Row], path: Path) -> list[str]:
    """Write rows as a CSV file, beside its name first, and return its columns; a row may lack some of the longest's."""
    names = list(max(rows, key=lambda row: len(row)))
    whole = path.with_name(f"{path.name}.part")
    try:
        with whole.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            writer.writerows(rows)
        os.replace(whole, path)
    except OSError:
        whole.unlink(missing_ok=True)
        raise
    return names


def one_line(error: Exception) -> str:
    """Return an error's message as one printable line, of 400 characters at most; damaged files get into messages."""
    text = " ".join("".join(each if each.isprintable() else " " for each in str(error)).split())
    return text if len(text) <= 400 else f"{text[:400]}..."


def main() -> None:
    """Read, convert, write beside the output and rename."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="TABLE")

    def kind(name: str, text: str) -> argparse.ArgumentParser:
        return kinds.add_parser(name, help=text, description=text, allow_abbrev=False)

    one = kind("nasbench201", "NAS-Bench-201: CSV files of its accuracies, or the benchmark's own file or folder.")
    one.add_argument("sources", type=Path, nargs="+", metavar="SOURCE", help="cifar10_avg.csv, nats_bench.csv; or one")
    two = kind("fewshot201", "One-shot and few-shot scores of all NAS-Bench-201 cells.")
    two.add_argument("sources", type=Path, metavar="supernet_info", help="the folder of the three JSON files")
    two.add_argument("--order", type=Path, metavar="nasbench201.csv", help="number the cells as in this table")
    three = kind("nds", "Random cells of five spaces, trained alone (NDS).")
    three.add_argument("sources", type=Path, metavar="FILE.json", help="such as ENAS_in.json")
    for each in (one, two, three):
        each.add_argument("target", type=Path, metavar="OUT.csv", help="the CSV to write")
    arguments = parser.parse_args()
    converters: dict[str, Callable[[], list[Row]]] = {
        "nasbench201": lambda: nasbench201(arguments.sources),
        "fewshot201": lambda: fewshot201(arguments.sources, arguments.order),
        "nds": lambda: nds(arguments.sources),
    }
    try:
        rows = converters[arguments.kind]()
    except (OSError, ValueError, csv.Error) as error:
        parser.exit(1, f"{parser.prog}: {one_line(error)}\n")
    try:
        names = write(rows, arguments.target)
    except OSError as error:
        parser.exit(1, f"{parser.prog}: cannot write {arguments.target}: {one_line(error)}\n")
    print(f"{arguments.target}: {len(rows):,} rows; {', '.join(names)}")


if __name__ == "__main__":
    main()
