"""What scripts/table_to_csv.py makes of the files that benchmarks publish.

The files here are small ones in the published formats: the columns of gabro8a/NAS-Landscapes (data/accuracy) and of
v-tao/nats-bench-landscape; the dicts that D-X-Y/NATS-Bench (nats_bench/api_utils.py, api_topology.py) and
D-X-Y/NAS-Bench-201 (nas_201_api/api_201.py) read; the JSON of aoiang/few-shot-NAS (rank.py) and of
facebookresearch/nds. Rows called published are theirs.
"""

import bz2
import csv
import json
import os
import pathlib
import pickle
import runpy
import sys
import zipfile
from collections import OrderedDict, defaultdict

import numpy as np
import pytest

from bnao.config.settings import NetworkConfig
from bnao.data.tables import read_rows, read_table
from bnao.network.size import count_parameters
from bnao.space.spaces import SPACES

SCRIPTS = pathlib.Path(__file__).resolve().parents[2] / "scripts"
FACTS = pathlib.Path(__file__).resolve().parents[1] / "facts" / "tables"

#: the benchmark's first two cells
CELLS = (
    "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|",
    "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_3x3~1|skip_connect~2|",
)

#: the beginning of its table, published
NASBENCH201 = (
    "index,arch_str,code,params,flops,c10_valid_200,c10_test_200_half,c10_test_200,c100_test_200,in16_test_200",
    f"0,{CELLS[0]},421211,129306,17958592,81.9827,81.5200,85.8633,52.9133,26.6333",
    f"1,{CELLS[1]},334131,802426,116692672,90.7693,90.5133,93.6600,70.2933,44.0333",
)

#: lines of cifar10_avg.csv and of nats_bench.csv, published
LANDSCAPES = (
    "index,sol,name,C,N,arch_str,num_classes,index2,train-loss,train-accuracy,train-per-time,train-all-time,"
    "valid-loss,valid-accuracy,valid-per-time,valid-all-time,test-loss,test-accuracy,test-per-time,test-all-time",
    f"0,532322,infer.tiny,16,5,{CELLS[0]},10,0,0.319028123,88.91866666,7.221092999,1444.2186,0.565850776,81.98266666,"
    "2.548979237,509.7958474,0.576099647,81.52,1.019591695,203.918339",
    f"1,445242,infer.tiny,16,5,{CELLS[1]},10,1,0.001767178,99.98533333,10.84820688,2169.641376,0.438929597,90.76933332,"
    "3.754198977,750.8397954,0.457183462,90.51333333,1.501679591,300.3359182",
)
NATS = (
    "CIFAR10TestAccuracy200Epochs,CIFAR100TestAccuracy200Epochs,ImageNetTestAccuracy200Epochs,ArchitectureString,"
    "UniqueString",
    f"85.86333333333334,52.913333294677734,26.6333332739936,{CELLS[0]},(0)@avg_pool_3x3",
    f"93.66000000000001,70.29333326822916,44.03333332316081,{CELLS[1]},((0)@nor_conv_3x3)@avg_pool_3x3",
)


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["table_to_csv.py", *map(str, arguments)])
    monkeypatch.syspath_prepend(str(SCRIPTS))
    runpy.run_path(str(SCRIPTS / "table_to_csv.py"), run_name="__main__")


def refusal(monkeypatch, capsys, *arguments):
    """What the script prints as it ends with exit code 1, and that this is one line."""
    with pytest.raises(SystemExit) as ended:
        run(monkeypatch, *arguments)
    told = capsys.readouterr().err
    assert ended.value.code == 1
    assert told.count("\n") == 1 and told.startswith("table_to_csv.py: ")
    assert not arguments[-1].exists()
    assert not list(arguments[-1].parent.glob("*.part"))
    return told


def text_file(path, lines):
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def lines_of(path):
    return path.read_text(encoding="utf-8").splitlines()


# --- NAS-Bench-201: CSV files -----------------------------------------------------------------------------------


@pytest.mark.parametrize("first", [0, 1])
def test_the_two_published_files_of_accuracies_make_the_table_in_either_order(tmp_path, monkeypatch, capsys, first):
    files = [text_file(tmp_path / "cifar10_avg.csv", LANDSCAPES), text_file(tmp_path / "nats_bench.csv", NATS)]

    run(monkeypatch, "nasbench201", files[first], files[1 - first], tmp_path / "out.csv")

    assert lines_of(tmp_path / "out.csv") == list(NASBENCH201)
    assert "2 rows" in capsys.readouterr().out


def test_one_of_them_makes_a_table_of_its_columns(tmp_path, monkeypatch, capsys):
    run(monkeypatch, "nasbench201", text_file(tmp_path / "nats_bench.csv", NATS), tmp_path / "out.csv")

    assert (
        lines_of(tmp_path / "out.csv")[0] == "index,arch_str,code,params,flops,c10_test_200,c100_test_200,in16_test_200"
    )
    assert "c10_valid_200" not in capsys.readouterr().out


def test_the_table_is_one_that_bnao_reads(tmp_path, monkeypatch):
    files = [text_file(tmp_path / "cifar10_avg.csv", LANDSCAPES), text_file(tmp_path / "nats_bench.csv", NATS)]
    run(monkeypatch, "nasbench201", *files, tmp_path / "out.csv")

    table = read_table(tmp_path / "out.csv", SPACES["nas-bench-201"], None, None)

    network = NetworkConfig(space="nas-bench-201", channels=16, cells=5)
    assert table.scores.tolist() == [81.9827, 90.7693]
    assert table.sizes.tolist() == [count_parameters(genotype, network) for genotype in table.genotypes]


def test_all_15625_rows_come_out_as_they_are_in_the_table(tmp_path, monkeypatch, shared_data):
    path = shared_data / "tables" / "nasbench201" / "nasbench201.csv"
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    landscapes = [f"{row['arch_str']},{row['c10_valid_200']},{row['c10_test_200_half']}" for row in rows]
    nats = [f"{row['c10_test_200']},{row['c100_test_200']},{row['in16_test_200']},{row['arch_str']}," for row in rows]
    first = text_file(tmp_path / "a.csv", ["arch_str,valid-accuracy,test-accuracy", *landscapes])
    second = text_file(tmp_path / "b.csv", [NATS[0], *nats])

    run(monkeypatch, "nasbench201", first, second, tmp_path / "out.csv")

    assert (tmp_path / "out.csv").read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda lines: lines[:1], "it has no rows"),
        (lambda lines: [*lines, lines[1]], "line 4: |avg_pool_3x3~0|+"),
        (
            lambda lines: [lines[0], lines[1].replace("85.86", "8586.")],
            "line 2: CIFAR10TestAccuracy200Epochs is '8586.",
        ),
        (lambda lines: [lines[0], lines[1].replace("avg_pool_3x3~0|", "pool~0|", 1)], "is not a NAS-Bench-201 cell"),
        (lambda lines: [lines[0].replace("Architecture", "Arch"), *lines[1:]], "its columns are neither"),
        (lambda lines: [lines[0], lines[1].partition(",")[0]], "line 2: CIFAR100TestAccuracy200Epochs is 'None'"),
        (lambda lines: ["a\0b"], "its columns are neither"),
    ],
)
def test_a_damaged_csv_file_is_refused_in_one_line(tmp_path, monkeypatch, capsys, change, message):
    path = text_file(tmp_path / "nats_bench.csv", change(list(NATS)))

    assert message in refusal(monkeypatch, capsys, "nasbench201", path, tmp_path / "out.csv")


def test_two_files_of_other_cells_are_refused(tmp_path, monkeypatch, capsys):
    first = text_file(tmp_path / "cifar10_avg.csv", LANDSCAPES)
    second = text_file(tmp_path / "nats_bench.csv", [NATS[0], NATS[2], NATS[1]])

    told = refusal(monkeypatch, capsys, "nasbench201", first, second, tmp_path / "out.csv")

    assert "nats_bench.csv has other cells" in told


def test_a_file_that_is_given_twice_is_refused(tmp_path, monkeypatch, capsys):
    path = text_file(tmp_path / "nats_bench.csv", NATS)

    assert "has c10_test_200, c100_test_200, in16_test_200 again" in refusal(
        monkeypatch, capsys, "nasbench201", path, path, tmp_path / "out.csv"
    )


# --- NAS-Bench-201: its own files ---------------------------------------------------------------------------------

#: what was trained on and what was tested on
PARTS = (
    ("cifar10-valid", "x-valid"),
    ("cifar10-valid", "ori-test"),
    ("cifar10", "ori-test"),
    ("cifar100", "x-test"),
    ("ImageNet16-120", "x-test"),
)
#: three seeds, whose accuracies differ so from the published means
SEEDS = {777: 0.5, 888: 0.0, 999: -0.5}
MEANS = tuple(
    dict(zip(PARTS, accuracies, strict=True))
    for accuracies in (
        (81.98266666, 81.52, 85.86333333, 52.91333329, 26.63333327),
        (90.76933332, 90.51333333, 93.66, 70.29333327, 44.03333332),
    )
)


def arch_results(index, epochs, shift=0.0):
    """The state of an ArchResults: three seeds of each data set; wrong accuracies where none should look."""
    results, seeds = {}, defaultdict(list)
    for (data, part), mean in MEANS[index].items():
        for seed, off in SEEDS.items():
            if seed not in seeds[data]:
                seeds[data].append(seed)
            result = results.setdefault((data, seed), {
                "name": "infer.tiny", "net_state_dict": None, "train_acc1es": OrderedDict({epochs - 1: 99.9}),
                "params": 0.129306, "flop": np.float64(17.958592), "latency": [np.float32(0.01)],
                "seed": seed, "epochs": epochs,
                "arch_config": {"channel": 16, "num_cells": 5, "arch_str": CELLS[index], "class_num": 10},
                "eval_names": ["x-valid", "ori-test"], "eval_acc1es": {}, "eval_losses": {}, "eval_times": {},
            })  # fmt: skip
            result["eval_acc1es"] |= {f"{part}@0": 1.0, f"{part}@{epochs - 1}": np.float64(mean + off + shift)}
    state = {"arch_index": index, "arch_str": CELLS[index], "clear_net_done": True}
    return state | {"all_results": results, "dataset_seed": seeds}


def benchmark_file():
    """What NAS-Bench-201-v1_1-096897.pth holds."""
    infos = {index: {"less": arch_results(index, 12, -3.0), "full": arch_results(index, 200)} for index in (0, 1)}
    return {"meta_archs": list(CELLS), "arch2infos": infos, "evaluated_indexes": {0, 1}}


def pbz2(path, content, protocol=4):
    path.write_bytes(bz2.compress(pickle.dumps(content, protocol=protocol)))
    return path


def nats_folder(folder):
    """A folder as NATS-tss-v1_0-3ffb9-simple.tar unpacks to."""
    folder.mkdir()
    pbz2(folder / "meta.pickle.pbz2", {"meta_archs": list(CELLS), "evaluated_indexes": {0, 1}})
    for index in (0, 1):
        content = {"12": arch_results(index, 12, -3.0), "200": arch_results(index, 200)}
        pbz2(folder / f"{index:06d}.pickle.pbz2", content)
    return folder


def test_the_benchmarks_folder_makes_the_table(tmp_path, monkeypatch):
    run(monkeypatch, "nasbench201", nats_folder(tmp_path / "simple"), tmp_path / "out.csv")

    assert lines_of(tmp_path / "out.csv") == list(NASBENCH201)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_the_benchmarks_one_file_makes_the_table(tmp_path, monkeypatch, protocol):
    content = benchmark_file()
    infos = {index: {"12": info["less"], "200": info["full"]} for index, info in content["arch2infos"].items()}
    path = pbz2(tmp_path / "NATS-tss.pickle.pbz2", {**content, "arch2infos": infos}, protocol)

    run(monkeypatch, "nasbench201", path, tmp_path / "out.csv")

    assert lines_of(tmp_path / "out.csv") == list(NASBENCH201)


def old_pytorch_file(path, content):
    """As torch.save wrote before version 1.6: four pickles, then the names of the tensors' storages."""
    information = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
    parts = (0x1950A86A20F9469CFC6C, 1001, information, content, [])
    path.write_bytes(b"".join(pickle.dumps(part, protocol=2) for part in parts))
    return path


def new_pytorch_file(path, content):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(content, protocol=2))
        archive.writestr("archive/version", "3\n")
    return path


@pytest.mark.parametrize("write", [old_pytorch_file, new_pytorch_file])
def test_pytorchs_file_makes_the_table_without_pytorch(tmp_path, monkeypatch, write):
    path = write(tmp_path / "NAS-Bench-201-v1_1-096897.pth", benchmark_file())

    run(monkeypatch, "nasbench201", path, tmp_path / "out.csv")

    assert lines_of(tmp_path / "out.csv") == list(NASBENCH201)


@pytest.mark.parametrize("new", [False, True])
def test_a_file_that_pytorch_wrote_makes_the_table_tensors_and_all(tmp_path, monkeypatch, new):
    torch = pytest.importorskip("torch")
    content = benchmark_file()
    first = content["arch2infos"][0]["full"]["all_results"]["cifar10", 777]
    first["net_state_dict"] = {"classifier.weight": torch.ones(2, 3)}
    torch.save(content, tmp_path / "bench.pth", _use_new_zipfile_serialization=new)

    run(monkeypatch, "nasbench201", tmp_path / "bench.pth", tmp_path / "out.csv")

    assert lines_of(tmp_path / "out.csv") == list(NASBENCH201)


class Evil:
    """What a pickle can be made to run."""

    def __init__(self, function, *arguments):
        self.called = function, arguments

    def __reduce__(self):
        return self.called


@pytest.mark.parametrize("write", [old_pytorch_file, new_pytorch_file, pbz2])
@pytest.mark.parametrize("function", [os.mkdir, eval, getattr, bytearray, runpy.run_path])
def test_a_pickle_that_names_anything_else_is_refused_and_nothing_is_run(
    tmp_path, monkeypatch, capsys, write, function
):
    ran = tmp_path / "ran"
    arguments = (
        (f"__import__('os').mkdir({str(ran)!r})",) if function is eval else (str(ran), "x")[: 1 + (function is getattr)]
    )
    arguments = (3,) if function is bytearray else arguments
    path = write(tmp_path / "bench", {**benchmark_file(), "more": Evil(function, *arguments)})

    told = refusal(monkeypatch, capsys, "nasbench201", path, tmp_path / "out.csv")

    assert f".{function.__name__}, which plain data has no need of; nothing was run" in told
    assert not ran.exists()


def test_what_a_damaged_file_puts_into_a_message_is_one_short_printable_line(tmp_path, monkeypatch, capsys):
    (tmp_path / "bench").write_bytes(b"F" + b"x\x01\xff" * 1000 + b"\n.")  # a float of protocol 0

    told = refusal(monkeypatch, capsys, "nasbench201", tmp_path / "bench", tmp_path / "out.csv")

    assert told[:-1].isprintable() and len(told) < 450


def test_a_number_of_an_object_type_is_refused(tmp_path, monkeypatch, capsys):
    path = pbz2(tmp_path / "bench.pickle.pbz2", Evil(np.dtype, "O"))

    assert "it holds numbers of the type 'O'" in refusal(monkeypatch, capsys, "nasbench201", path, tmp_path / "out.csv")


@pytest.mark.parametrize("write", [old_pytorch_file, new_pytorch_file, pbz2])
def test_a_benchmark_file_that_is_cut_or_changed_anywhere_is_refused_in_one_line_or_read(
    tmp_path, monkeypatch, capsys, write
):
    whole = write(tmp_path / "whole", benchmark_file()).read_bytes()
    rng = np.random.default_rng(0)
    outcomes = set()
    for number in range(60):
        damaged = bytearray(whole[: rng.integers(len(whole))] if number % 2 else whole)
        if number % 2 == 0:
            for at in rng.integers(len(damaged), size=1 + number % 5):
                damaged[at] = rng.integers(256)
        (tmp_path / "bench").write_bytes(damaged)
        out = tmp_path / f"{number}.csv"
        try:
            run(monkeypatch, "nasbench201", tmp_path / "bench", out)
        except SystemExit as ended:
            told = capsys.readouterr().err
            assert ended.code == 1
            assert told.count("\n") == 1, told
            outcomes.add("refused")
        else:
            capsys.readouterr()
            outcomes.add("read")
    assert "refused" in outcomes


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda info: info.pop("full"), "'200' is missing; this is not a file of NAS-Bench-201"),
        (lambda info: info["full"]["dataset_seed"].update(cifar100=[]), "no seed of cifar100"),
        (lambda info: info["full"]["dataset_seed"].update(cifar100=7), "'cifar100' is of the type int, not list"),
        (lambda info: info["full"]["dataset_seed"].update(cifar100=[[7]]), "seed [7]: a seed is a whole number"),
        (lambda info: info["full"].update(arch_results(0, 12)), "cifar10-valid, seed 777: 12 epochs; it must be 200"),
        (
            lambda info: info["full"]["all_results"]["cifar100", 888]["eval_acc1es"].pop("x-test@199"),
            "cifar100, seed 888: 'x-test@199' is missing",
        ),
        (
            lambda info: info["full"]["all_results"]["cifar100", 888]["eval_acc1es"].update({"x-test@199": 101.0}),
            "cifar100, seed 888: x-test@199 is '101.0'; it must be a number of 0 to 100",
        ),
    ],
)
def test_a_benchmark_file_that_lacks_something_is_refused_in_one_line(tmp_path, monkeypatch, capsys, change, message):
    content = benchmark_file()
    change(content["arch2infos"][0])

    told = refusal(monkeypatch, capsys, "nasbench201", pbz2(tmp_path / "bench", content), tmp_path / "out.csv")

    assert "bench: cell 0" in told and message in told


def test_a_folder_that_lacks_a_cells_file_is_refused_with_its_name(tmp_path, monkeypatch, capsys):
    folder = nats_folder(tmp_path / "simple")
    (folder / "000001.pickle.pbz2").unlink()

    assert "000001.pickle.pbz2" in refusal(monkeypatch, capsys, "nasbench201", folder, tmp_path / "out.csv")


@pytest.mark.parametrize("content", [[], {"meta_archs": CELLS}, {"meta_archs": [1]}, {"meta_archs": []}, None])
def test_a_folder_whose_list_of_cells_is_none_is_refused(tmp_path, monkeypatch, capsys, content):
    folder = nats_folder(tmp_path / "simple")
    pbz2(folder / "meta.pickle.pbz2", content)

    assert "meta_archs" in refusal(monkeypatch, capsys, "nasbench201", folder, tmp_path / "out.csv")


# --- few-shot NAS -------------------------------------------------------------------------------------------------


def fewshot_folder(folder, **changes):
    """Three files as in supernet_info; the scores of the first two cells are published."""
    keys = [
        "[(('avg_pool_3x3', 0),), (('nor_conv_1x1', 0), ('skip_connect', 1)), "
        "(('nor_conv_1x1', 0), ('skip_connect', 1), ('skip_connect', 2))]",
        "[(('nor_conv_3x3', 0),), (('nor_conv_3x3', 0), ('avg_pool_3x3', 1)), "
        "(('skip_connect', 0), ('nor_conv_3x3', 1), ('skip_connect', 2))]",
    ]
    scores = {"nasbench201": (85.86, 93.66), "one-shot-supernet": (16.26, 65.51), "few-shot-supernet": (21.96, 62.8)}
    folder.mkdir()
    for name, values in scores.items():
        pairs = dict(reversed(list(zip(keys, values, strict=True))))
        (folder / name).write_text(changes.get(name.replace("-", "_"), json.dumps(pairs)), encoding="utf-8")
    return folder


FEWSHOT = (
    "index,arch_str,params,standalone_test_200,oneshot_supernet,fewshot_supernet",
    f"0,{CELLS[0]},129306,85.86,16.26,21.96",
    f"1,{CELLS[1]},802426,93.66,65.51,62.80",
)


def test_few_shot_scores_are_numbered_as_the_benchmarks_table(tmp_path, monkeypatch):
    order = text_file(tmp_path / "nasbench201.csv", NASBENCH201)

    run(monkeypatch, "fewshot201", fewshot_folder(tmp_path / "info"), tmp_path / "out.csv", "--order", order)

    assert lines_of(tmp_path / "out.csv") == list(FEWSHOT)


def test_few_shot_scores_alone_keep_their_order(tmp_path, monkeypatch):
    run(monkeypatch, "fewshot201", fewshot_folder(tmp_path / "info"), tmp_path / "out.csv")

    assert lines_of(tmp_path / "out.csv") == [FEWSHOT[0], f"0{FEWSHOT[2][1:]}", f"1{FEWSHOT[1][1:]}"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "few-shot-supernet: not JSON"),
        ("[" * 100_000, "few-shot-supernet: not JSON"),
        ("[]", "few-shot-supernet: not a JSON object of cells and scores"),
        ("{}", "few-shot-supernet has other cells"),
        ('{"[1]": 2}', "few-shot-supernet: '[1]' is not a NAS-Bench-201 cell"),
        ('{"__import__(1)": 2}', "few-shot-supernet: '__import__(1)' is not a NAS-Bench-201 cell"),
    ],
)
def test_damaged_few_shot_scores_are_refused_in_one_line(tmp_path, monkeypatch, capsys, content, message):
    folder = fewshot_folder(tmp_path / "info", few_shot_supernet=content)

    assert message in refusal(monkeypatch, capsys, "fewshot201", folder, tmp_path / "out.csv")


def test_a_key_of_few_shot_scores_is_read_and_not_run(tmp_path, monkeypatch, capsys):
    ran = tmp_path / "ran"
    content = json.dumps({f"__import__('os').mkdir({str(ran)!r})": 2})

    refusal(
        monkeypatch, capsys, "fewshot201", fewshot_folder(tmp_path / "i", few_shot_supernet=content), tmp_path / "out"
    )

    assert not ran.exists()


def test_few_shot_scores_and_a_table_of_other_cells_are_refused(tmp_path, monkeypatch, capsys):
    order = text_file(tmp_path / "nasbench201.csv", NASBENCH201[:2])
    folder = fewshot_folder(tmp_path / "info")
    monkeypatch.setattr(sys, "argv", [])

    with pytest.raises(SystemExit):
        run(monkeypatch, "fewshot201", folder, tmp_path / "out.csv", "--order", order)

    assert "nasbench201.csv has other cells in arch_str" in capsys.readouterr().err


# --- NDS ----------------------------------------------------------------------------------------------------------


def nds_training(**changes):
    """The first training of ENAS_in.json, published; without the curves of its training part."""
    return json.loads((FACTS / "ENAS_in.json").read_text(encoding="utf-8"))[0] | changes


#: the first row of its table
ENAS_IN = (FACTS / "ENAS_in.csv").read_text(encoding="utf-8").splitlines()


def nds_file(path, content):
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_an_nds_file_makes_the_table(tmp_path, monkeypatch):
    run(monkeypatch, "nds", nds_file(tmp_path / "ENAS_in.json", [nds_training()]), tmp_path / "out.csv")

    assert lines_of(tmp_path / "out.csv") == ENAS_IN


def test_the_row_is_that_of_the_table_that_studies_used(shared_data):
    assert lines_of(shared_data / "tables" / "nds_imagenet" / "ENAS_in.csv")[:2] == ENAS_IN


def test_an_nds_table_is_one_that_bnao_reads(tmp_path, monkeypatch):
    run(monkeypatch, "nds", nds_file(tmp_path / "ENAS_in.json", [nds_training()]), tmp_path / "out.csv")

    rows = read_rows(tmp_path / "out.csv")

    assert rows.genotypes(SPACES["nao"])[0].normal.nodes[0].edges[0].operation == "sep_conv_3x3"
    assert rows.numbers("best_test_acc").tolist() == [61.648]


def test_the_two_lists_of_an_nds_file_follow_each_other(tmp_path, monkeypatch):
    content = {"mid": [nds_training(params=2)], "top": [nds_training(params=1)]}

    run(monkeypatch, "nds", nds_file(tmp_path / "DARTS_in.json", content), tmp_path / "out.csv")

    assert read_rows(tmp_path / "out.csv").numbers("params").tolist() == [1, 2]


def test_a_training_that_was_stopped_has_no_later_accuracies(tmp_path, monkeypatch):
    stopped = nds_training(test_ep_top1=[90.0] * 23)

    run(monkeypatch, "nds", nds_file(tmp_path / "x.json", [stopped, nds_training()]), tmp_path / "out.csv")

    first, second = read_rows(tmp_path / "out.csv").rows
    assert (first["test_acc_ep20"], first["test_acc_ep50"]) == ("10.000", "")
    assert second["test_acc_ep50"] == "61.648"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "not a list of trainings"),
        ([], "not a list of trainings"),
        ({"top": [], "mid": 3}, "not a list of trainings"),
        ([3], "training 0: "),
        (
            [{"net": {"ds": [3, 4]}}],
            "training 0: no genotype; only NASNet, Amoeba, PNAS, ENAS and DARTS files have cells",
        ),
        ([nds_training(), {"net": {"genotype": {}}}], "training 1: 'normal' is missing"),
        ([nds_training(net={"genotype": {"normal": [[0, "x"]]}})], "an edge of normal is [0, 'x']"),
        ([nds_training(test_ep_top1=[101])], "training 0: the error after epoch 1 is '101'; it must be a number of 0"),
        ([nds_training(test_ep_top1=7)], "training 0: "),
        ([nds_training(min_test_top1=None)], "min_test_top1 is 'None'"),
        ([nds_training(params="many")], "training 0: "),
    ],
)
def test_a_damaged_nds_file_is_refused_in_one_line(tmp_path, monkeypatch, capsys, content, message):
    path = nds_file(tmp_path / "ENAS_in.json", content)

    told = refusal(monkeypatch, capsys, "nds", path, tmp_path / "out.csv")

    assert "ENAS_in.json: " in told and message in told


def test_no_file_and_no_room_are_told_in_one_line(tmp_path, monkeypatch, capsys):
    path = nds_file(tmp_path / "ENAS_in.json", [nds_training()])

    assert "absent.json" in refusal(monkeypatch, capsys, "nds", tmp_path / "absent.json", tmp_path / "out.csv")
    assert "cannot write" in refusal(monkeypatch, capsys, "nds", path, tmp_path / "absent" / "out.csv")


def test_what_could_not_be_put_into_its_place_leaves_nothing_behind(tmp_path, monkeypatch, capsys):
    path = nds_file(tmp_path / "ENAS_in.json", [nds_training()])
    (tmp_path / "out.csv").mkdir()

    with pytest.raises(SystemExit):
        run(monkeypatch, "nds", path, tmp_path / "out.csv")

    assert "cannot write" in capsys.readouterr().err
    assert not list(tmp_path.glob("*.part"))
