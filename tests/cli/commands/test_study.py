"""``bnao study`` on a backend that pretends to train, and on tables: no framework is needed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from bnao.space.spaces import SPACES, space_named
from bnao.streams import stream
from tests.cli.test_cli import bnao, refused, workplace  # noqa: F401  # the fixture is used by its name

SMALL = (
    "--backend", "pretend", "--genotypes", "6", "--epochs", "1,2", "--seeds", "2", "--repeats", "2",
    "--alone-epochs", "2", "--top", "2", "--resamples", "100", "--nodes", "2",
)  # fmt: skip
POOL = space_named("nao", 2).random_genotypes(12, stream(0, "truth"))


@pytest.fixture
def truth(tmp_path):
    def written(rows, name="truth.csv"):
        path = tmp_path / name
        path.write_text("\n".join(["genotype,accuracy", *(f'"{genotype}",{value}' for genotype, value in rows)]) + "\n")
        return path

    return written


@pytest.fixture
def bench(tmp_path):
    """A hundred cells of NAS-Bench-201 with a score and a test accuracy."""
    path = tmp_path / "bench.csv"
    genotypes = SPACES["nas-bench-201"].random_genotypes(100, stream(0, "bench"))
    rows = [f'"{genotype}",{number},{number / 2}' for number, genotype in enumerate(genotypes)]
    path.write_text("\n".join(["genotype,score,test", *rows]) + "\n")
    return path


def test_a_study_prints_its_figures_and_writes_its_file_and_pictures():
    pytest.importorskip("matplotlib")

    done = bnao("study", "ranking", *SMALL, "--out", "s")

    assert done.exit_code == 0, done.output
    assert "n = 6 genotypes, mean over 2 supernets of each sampler trained on 6 genotypes" in done.stdout
    assert "less uniform (paired):" in done.stdout
    assert "two seeds of the truth agree with each other by" in done.stdout
    content = json.loads(Path("s/study.json").read_text())
    assert (content["format"], content["kind"], len(content["genotypes"])) == (1, "ranking", 6)
    for name in ("scores", "accuracy", "updates", "ranks"):
        assert Path(f"s/{name}.svg").read_text().startswith("<?xml")
        assert name in done.stdout


def test_a_studys_pictures_are_drawn_again_the_same_and_as_png():
    pytest.importorskip("matplotlib")
    bnao("study", "ranking", *SMALL, "--out", "s")
    before = Path("s/scores.svg").read_bytes()

    again = bnao("study", "draw", "s", "--out", "again")
    png = bnao("study", "draw", "s/study.json", "--pictures", "png", "--out", "png")

    assert again.exit_code == png.exit_code == 0, again.output + png.output
    assert Path("again/scores.svg").read_bytes() == before
    assert Path("png/ranks.png").read_bytes()[:4] == b"\x89PNG"


def test_without_matplotlib_a_study_is_finished_and_says_how_to_get_pictures(monkeypatch):
    monkeypatch.setattr("bnao.studies.plots.can_draw", lambda: False)

    done = bnao("study", "ranking", *SMALL, "--out", "s")

    assert done.exit_code == 0, done.output
    assert "no pictures: pictures need matplotlib: pip install 'bnao[plot]', then: bnao study draw s" in done.stderr
    assert os.listdir("s") and os.path.isfile("s/study.json")


def test_the_same_command_goes_on_and_two_studies_share_what_was_trained():
    first = bnao("study", "ranking", *SMALL, "--out", "s")
    again = bnao("study", "ranking", *SMALL, "--out", "s")
    other = bnao("study", "ranking", *SMALL, "--out", "other", "--samplers", "uniform,proportional:2")

    assert first.stderr.count("(from the store)") == 0
    assert again.stderr.count("(from the store)") == other.stderr.count("(from the store)") == 12
    assert "proportional:2" in other.stdout
    assert first.stdout.splitlines()[:8] == again.stdout.splitlines()[:8]


def test_a_folder_of_other_settings_is_refused():
    bnao("study", "ranking", *SMALL, "--out", "s")

    message = refused(1, "study", "ranking", *SMALL, "--seed", "1", "--quiet", "--out", "s")

    assert message == "error: s was made with seed = 0, and now it is 1; name another folder with --out"


def test_a_study_that_was_killed_goes_on_to_the_same_figures():
    environment = {**os.environ, "PRETEND_SECONDS": "0.02"}
    command = [
        sys.executable,
        "-c",
        "from bnao.cli import main; main()",
        "study",
        "ranking",
        *SMALL,
        "--out",
        "s",
        "--checkpoint-seconds",
        "0",
    ]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not os.path.isdir("s/supernets") and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not os.path.isfile("s/study.json")

    resumed = bnao("study", "ranking", *SMALL, "--out", "s", "--checkpoint-seconds", "0", "--json")
    whole = bnao("study", "ranking", *SMALL, "--out", "w", "--checkpoint-seconds", "0", "--json")

    assert resumed.exit_code == 0, resumed.output
    assert json.loads(resumed.stdout) == json.loads(whole.stdout)


# --- a given truth


def test_a_truth_of_a_file_takes_the_place_of_training(truth):
    path = truth((genotype, 50 + index) for index, genotype in enumerate(POOL))

    done = bnao("study", "ranking", *SMALL, "--truth", path, "--trained", "12", "--out", "s")

    assert done.exit_code == 0, done.output
    assert "alone" not in done.stderr
    assert "trained on 12 genotypes" in done.stdout


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([(POOL[0], 1), (POOL[1], "nan"), (POOL[2], 2)], "line 3: accuracy is 'nan'; it must be a finite number"),
        (
            [(POOL[0], 1), (POOL[1], 2), (POOL[0], 3)],
            "lines 2 and 4: one genotype has the accuracy 1 and 3; keep one row, or their mean",
        ),
        ([("0:skip_connect", 1)], "line 2: 1 cell; a genotype of space 'nao' has 2"),
        ([(POOL[0], 1), (POOL[1], 2)], "genotypes is 6, and the truth has 2; ask for fewer"),
    ],
)
def test_a_truth_that_cannot_be_is_refused_with_its_line(truth, rows, message):
    assert message in refused_or_used(truth(rows))


def refused_or_used(path):
    result = bnao("study", "ranking", *SMALL, "--quiet", "--truth", path, "--out", "s")
    assert result.exit_code in (1, 2), result.output
    assert not os.path.exists("s/study.json")
    return result.stderr


def test_given_genotypes_that_the_truth_lacks_are_counted_and_the_first_is_named(truth, tmp_path):
    path = truth((genotype, index) for index, genotype in enumerate(POOL[:5]))
    (tmp_path / "pool.txt").write_text("\n".join(map(str, POOL[3:9])))

    result = bnao(
        "study", "ranking", *SMALL, "--quiet", "--truth", path, "--genotypes-file", tmp_path / "pool.txt", "--out", "s"
    )

    assert result.exit_code == 1
    assert f"the truth has no row for 4 of the 6 genotypes; the first is {POOL[5]}" in result.stderr


def test_what_is_refused_at_once_leaves_no_folder_behind(truth):
    path = truth((genotype, index) for index, genotype in enumerate(POOL[:5]))

    refused = bnao("study", "ranking", *SMALL, "--quiet", "--truth", path, "--out", "s")
    assert refused.exit_code == 2
    assert not os.path.exists("s")
    fewer = bnao("study", "ranking", *SMALL, "--genotypes", "4", "--quiet", "--truth", path, "--out", "s")

    assert fewer.exit_code == 0, fewer.output


def test_fewer_than_three_genotypes_are_refused(truth, tmp_path):
    assert "genotypes is 2; it must be >= 3" in refused(2, "study", "ranking", "--genotypes", "2")
    (tmp_path / "pool.txt").write_text("\n".join(map(str, POOL[:2])))
    result = bnao("study", "ranking", *SMALL, "--quiet", "--genotypes-file", tmp_path / "pool.txt", "--out", "s")
    assert "2 genotypes; a ranking needs at least 3 different ones" in result.stderr


def test_equal_truths_give_figures_that_are_not_defined_and_the_reason(truth):
    path = truth((genotype, 1) for genotype in POOL)

    done = bnao("study", "ranking", *SMALL, "--truth", path, "--out", "s")

    assert done.exit_code == 0, done.output
    assert "not defined" in done.stdout
    assert "every truth is equal, so no pair has an order and no figure is defined" in done.stdout


def test_a_table_trains_no_supernet():
    assert "backend 'table' trains no supernet" in refused(2, "study", "ranking", "--backend", "table", "--quiet")


# --- the truth of another folder

RESULTS = Path(__file__).resolve().parents[3] / "docs" / "results"


def json_of(*args):
    done = bnao("study", "ranking", *args, "--quiet", "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_the_truth_of_another_study_gives_its_genotypes_and_repeats_and_the_same_figures():
    first = json_of(*SMALL, "--out", "s")

    again = json_of(*SMALL, "--truth", "s", "--genotypes", "3", "--out", "again")
    of_file = json_of(*SMALL, "--truth", "s/study.json", "--out", "file")

    assert len(first["genotypes"][0]["truth"]) == 2
    for name in ("genotypes", "supernets", "agreement", "differences", "reliability", "gained_by_size"):
        assert again[name] == of_file[name] == first[name]
    assert again["config"]["truth"] == "s"


def test_a_study_file_from_before_is_a_truth_without_its_settings(tmp_path):
    old = json.loads((RESULTS / "B-diverse" / "study.json").read_text())
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "study.json").write_text(
        json.dumps({name: old[name] for name in old if name not in ("config", "marks")})
    )

    found = json_of(*SMALL[:-2], "--truth", tmp_path / "old", "--top", "10", "--marks", "own", "--out", "s")

    assert [(row["genotype"], row["truth"]) for row in found["genotypes"]] == [
        (row["genotype"], row["truth"]) for row in old["genotypes"]
    ]
    assert [row["value"] for row in found["reliability"]] == [row["value"] for row in old["reliability"]]
    assert found["marks"] == "own"


def test_the_truth_of_an_evaluation_has_its_repeats_and_more_may_be_trained_on(tmp_path):
    (tmp_path / "pool.txt").write_text("\n".join(map(str, POOL[:4])))
    done = bnao(
        "evaluate", "--backend", "pretend", "--file", tmp_path / "pool.txt", "--nodes", "2", "--epochs", "1",
        "--repeats", "2", "--quiet", "--out", "e",
    )  # fmt: skip
    assert done.exit_code == 0, done.output

    found = json_of(*SMALL, "--truth", "e", "--trained", "9", "--out", "s")

    evaluated = json.loads(Path("e/evaluation.json").read_text())["evaluations"]
    assert [row["genotype"] for row in found["genotypes"]] == [str(genotype) for genotype in POOL[:4]]
    for row, entry in zip(found["genotypes"], evaluated, strict=True):
        assert row["truth"] == pytest.approx([1 - error for error in entry["test_errors"]])
    assert found["trained"] == 9


def test_a_folder_that_is_no_truth_of_the_study_is_refused_in_one_line(tmp_path):
    def refused_truth(path, *more):
        return refused(1, "study", "ranking", *SMALL, "--quiet", "--truth", path, "--out", "s", *more)

    (tmp_path / "empty").mkdir()

    assert refused_truth(tmp_path / "empty").endswith(
        "empty has no study.json and no evaluation.json; a truth is a CSV file, or the folder of a finished ranking "
        "study or of an evaluation"
    )
    assert refused_truth(RESULTS / "predictor-enas").endswith(
        "study.json is of a study of kind 'predictor', which has no accuracies of genotypes; a truth is a CSV file, or "
        "the folder of a ranking study or of an evaluation"
    )
    assert refused_truth(RESULTS / "A").endswith(
        "study.json is of space 'nas-bench-201', and the study is of 'nao'; give --space nas-bench-201"
    )
    message = refused_truth(RESULTS / "B-diverse")  # --nodes 2
    assert "study.json is of another space than the study: " in message
    assert message.endswith("; give its --space and --nodes")
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    (damaged / "study.json").write_text('{"format": 1, "kind": "ranking", "space": "nao", "genotypes": [{}]}')
    assert "was changed by hand or by another program" in refused_truth(damaged)
    assert not os.path.exists("s")
    assert "truth_column is 'x', and " in refused(
        2, "study", "ranking", *SMALL, "--quiet", "--truth", RESULTS / "A", "--truth-column", "x"
    )


def test_a_study_of_marks_of_their_own_tells_each_supernet():
    done = bnao("study", "ranking", *SMALL, "--marks", "own", "--out", "s")

    assert done.exit_code == 0, done.output
    assert "supernet 1/8  uniform, seed 0, 1 epoch: done" in done.stderr
    assert "supernet 8/8  proportional, seed 1, 2 epochs: done" in done.stderr
    assert "mean over 2 supernets of each sampler" in done.stdout


# --- several sets of genotypes, and short trainings


def test_diverse_and_similar_sizes_are_one_command_with_one_table():
    pytest.importorskip("matplotlib")
    few = (*SMALL, "--sizes", "diverse,spread", "--short", "1")

    done = bnao("study", "ranking", *few, "--out", "s")
    again = bnao("study", "ranking", *few, "--out", "s")
    single = json_of(*SMALL, "--sizes", "spread", "--short", "1", "--out", "single")

    assert done.exit_code == again.exit_code == 0, done.output
    assert done.stdout.splitlines()[:20] == again.stdout.splitlines()[:20]
    assert again.stderr.count("(from the store)") == 2 * (12 + 12)
    rows = [line.split()[:3] for line in done.stdout.splitlines()]
    for sizes in ("diverse", "spread"):
        for way, epochs in (("uniform", "1"), ("proportional", "2"), ("alone", "1")):
            assert [sizes, way, epochs] in rows
        assert f"{sizes}: sizes " in done.stdout
        assert f"{sizes}: size alone and the truth: Kendall tau" in done.stdout
        assert Path(f"s/{sizes}-accuracy.svg").is_file()
    content = json.loads(Path("s/study.json").read_text())
    assert (content["kind"], content["config"]["sizes"]) == ("ranking sets", ["diverse", "spread"])
    assert content["sets"][1]["agreement"] == single["agreement"]
    assert bnao("study", "draw", "s", "--out", "drawn").exit_code == 0
    assert Path("drawn/spread-scores.svg").read_bytes() == Path("s/spread-scores.svg").read_bytes()


def test_the_truth_of_several_sets_is_a_table_or_a_study_of_the_same_sets(truth, tmp_path):
    sets = ("--sizes", "diverse,spread")
    first = json_of(*SMALL, *sets, "--out", "s")

    again = json_of(*SMALL, *sets, "--truth", "s", "--out", "again")
    one = json_of(*SMALL, "--truth", "s/spread", "--out", "one")
    table = json_of(*SMALL, *sets, "--truth", truth((g, i) for i, g in enumerate(POOL)), "--out", "table")

    assert [entry["agreement"] for entry in again["sets"]] == [entry["agreement"] for entry in first["sets"]]
    assert one["agreement"] == first["sets"][1]["agreement"]
    assert [len(entry["genotypes"]) for entry in table["sets"]] == [6, 6]

    def refused_truth(*more):
        return refused(1, "study", "ranking", *SMALL, "--quiet", "--out", "no", *more)

    assert refused_truth("--truth", "s").endswith(
        "study.json is of a study of several sets of genotypes; give the folder of one, such as s/diverse"
    )
    assert refused_truth(*sets, "--truth", "one").endswith(
        "one has no folder diverse; for sizes diverse,spread a truth is a CSV file, or the folder of a study of the "
        "same sets"
    )
    assert "give a folder, or one of the sizes" in refused_truth(*sets, "--truth", "one/study.json")
    (tmp_path / "pool.txt").write_text("\n".join(map(str, POOL)))
    assert (
        "--genotypes-file is one set of genotypes"
        in bnao("study", "ranking", *SMALL, *sets, "--genotypes-file", tmp_path / "pool.txt").stderr
    )
    few = truth(((g, i) for i, g in enumerate(POOL[:4])), "few.csv")
    assert "the truth has 4; ask for fewer" in refused(
        2, "study", "ranking", *SMALL, *sets, "--quiet", "--truth", few, "--out", "no"
    )
    assert not os.path.exists("no")


# --- tables


def test_controllers_are_compared_on_a_table(bench):
    done = bnao(
        "study", "controllers", "--table", bench, "--space", "nas-bench-201", "--test-column", "test",
        "--controllers", "random:10:3,evolution:10:3", "--pool", "10", "--queries", "60", "--out", "s",
    )  # fmt: skip

    assert done.exit_code == 0, done.output
    assert "100 genotypes of space nas-bench-201; the best test accuracy is 49.500" in done.stdout
    content = json.loads(Path("s/study.json").read_text())
    assert {entry["controller"] for entry in content["regret"]} == {"random", "evolution"}
    assert np.array(content["curves"][0]["best"]).shape[0] == 3


def test_validation_regret_is_reported_with_intervals(bench):
    done = bnao(
        "study", "controllers", "--table", bench, "--space", "nas-bench-201", "--test-column", "test",
        "--controllers", "evolution:50:3,ridge:45:3,local-search:45:3", "--pool", "10", "--queries", "100",
        "--out", "s",
    )  # fmt: skip

    assert done.exit_code == 0, done.output
    assert "less evolution's" in done.stdout
    assert "queries until one of the table's best 0.1 % is found (median): evolution " in done.stdout
    rows = json.loads(Path("s/study.json").read_text())["validation_regret"]
    assert [row["regret"] for row in rows] == [0, 0, 0]  # a hundred queries see all hundred rows
    assert [row["difference"] for row in rows] == [None, 0, 0]


def test_the_predictor_of_a_controller_without_a_framework_is_studied(bench):
    done = bnao(
        "study", "predictor", "--controller", "ridge", "--table", bench, "--space", "nas-bench-201",
        "--sizes", "20,40", "--seeds", "2", "--out", "s",
    )  # fmt: skip

    assert done.exit_code == 0, done.output
    assert "ridge in space nas-bench-201, 100 genotypes" in done.stdout
    assert json.loads(Path("s/study.json").read_text())["controller"] == "ridge"
    assert "controller 'evolution' predicts nothing; nao, seminas, ridge and trees do" in refused(
        2, "study", "predictor", "--controller", "evolution", "--table", bench, "--space", "nas-bench-201",
        "--sizes", "20", "--out", "t",
    )  # fmt: skip


def test_a_comparison_says_what_it_needs(bench):
    assert "name a CSV file with --table" in refused(2, "study", "controllers")
    assert "name the column of test accuracies with --test-column" in refused(
        2, "study", "controllers", "--table", bench
    )
    assert "has no column 'best' for the test accuracy; it has genotype, score, test" in refused(
        1, "study", "controllers", "--table", bench, "--test-column", "best"
    )


def test_size_and_accuracy_are_correlated_along_a_tables_epochs(tmp_path):
    path = tmp_path / "sizes.csv"
    path.write_text("params,test_ep1,test_ep9\n" + "".join(f"{size},{-size},{size}\n" for size in range(1, 21)))

    done = bnao("study", "size", path, "--resamples", "100", "--out", "s")

    assert done.exit_code == 0, done.output
    assert "-1.000 [-1.000, -1.000]" in done.stdout
    assert "1.000 [1.000, 1.000]" in done.stdout
    assert json.loads(Path("s/study.json").read_text())["kind"] == "size"


def test_a_search_on_a_table_of_the_benchmark_takes_its_own_notation(tmp_path):
    path = tmp_path / "bench.csv"
    strings = [
        f"|{one}~0|+|{two}~0|none~1|+|skip_connect~0|none~1|{one}~2|"
        for one in ("nor_conv_3x3", "nor_conv_1x1", "avg_pool_3x3", "none")
        for two in ("nor_conv_3x3", "skip_connect", "none")
    ]
    rows = "".join(f"{text},{number}\n" for number, text in enumerate(strings))
    path.write_text(f"arch_str,c10_valid_200\n{rows}")

    done = bnao(
        "search", "--backend", "table", "--table", path, "--space", "nas-bench-201", "--controller", "evolution",
        "--preset", "paper", "--pool", "4", "--new", "3", "--rounds", "3", "--json", "--out", "r",
    )  # fmt: skip

    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["ranked"][0]["score"] >= 9


def test_a_cell_of_the_benchmark_is_shown_in_words_and_drawn():
    string = "|nor_conv_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|avg_pool_3x3~0|none~1|nor_conv_3x3~2|"

    done = bnao("show", string, "--space", "nas-bench-201", "--channels", "16", "--cells", "5")

    assert done.exit_code == 0, done.output
    assert "587,386 parameters" in done.stdout  # 73,306 + 2 x 243,040 + 28,000
    assert "node 1 = nor_conv_1x1 of the last cell + skip_connect of node 0" in done.stdout
    assert "output = node 2" in done.stdout
