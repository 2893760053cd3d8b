"""The command line, on tables and on a backend that pretends to train: no framework is needed."""

import json
import math
import os
import pathlib
import re
import shlex
import signal
import subprocess
import sys
import time
import tomllib

import pretend_backend
import pytest

from bnao.cli import COMMANDS, main
from bnao.config.evaluation import EvaluateConfig
from bnao.config.fields import build, settings_of
from bnao.config.presets import PRESETS, preset
from bnao.config.settings import NetworkConfig, SearchConfig
from bnao.data.dataset import load_dataset
from bnao.network.size import count_parameters
from bnao.network.state import read_weights
from bnao.run import Run
from bnao.space.notation.notations import parse
from bnao.space.spaces import SPACES
from bnao.space.zoo import published_cell
from bnao.strategies.rounds import search
from bnao.streams import stream
from bnao.testing import save_images
from tests.commands import bnao, workplace  # noqa: F401  # the fixture is used by its name

KINDS = {"search": SearchConfig, "evaluate": EvaluateConfig}
HERE = pathlib.Path(__file__).resolve().parents[1]


def refused(code, *arguments):
    """The one line on stderr of a command that must end with this code."""
    result = bnao(*arguments)
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("bnao: ")
    assert result.stderr.count("\n") == 1
    return result.stderr.removeprefix("bnao: ").removesuffix("\n")


def shown(*arguments):
    """The settings that --show-config prints."""
    result = bnao(*arguments, "--show-config")
    assert result.exit_code == 0, result.output
    return tomllib.loads(result.stdout)


def bytes_and_times(folder):
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def table(tmp_path):
    """Thirty random genotypes; their scores are 0.50, 0.51, ... 0.79."""
    path = tmp_path / "thirty.csv"
    genotypes = SPACES["nao"].random_genotypes(30, stream(0, "a table"))
    rows = [f'"{genotype}",{0.5 + number / 100:.2f}' for number, genotype in enumerate(genotypes)]
    path.write_text("\n".join(["genotype,score", *rows]) + "\n")
    return path


@pytest.fixture
def on_table(table):
    """The arguments of a search over the table that ends at once."""
    return ("search", "--backend", "table", "--table", table, "--controller", "random", "--pool", 10, "--new", 5)


PRETEND = (
    "search", "--backend", "pretend", "--rounds", 2, "--pool", 12, "--new", 6, "--steps", 8, "--controller-epochs", 3,
)  # fmt: skip


@pytest.fixture
def finished():
    """The folder of a finished search that pretended to train."""
    assert bnao(*PRETEND, "--out", "run").exit_code == 0
    return pathlib.Path("run")


def start(*arguments, ctrl_c=signal.SIG_DFL, **environment):
    """Start a command in a process of its own, which Ctrl-C stops even where the tests run in the background."""
    command = [sys.executable, "-c", "from bnao.cli import main; main()", *map(str, arguments)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | environment,
        stdin=subprocess.PIPE, preexec_fn=lambda: signal.signal(signal.SIGINT, ctrl_c),
    )  # fmt: skip


# --- the group


def test_without_a_command_the_help_is_shown():
    result = bnao()

    assert result.exit_code == 0
    assert all(re.search(rf"^  {name} +{re.escape(told)}$", result.stdout, re.M) for name, told in COMMANDS.items())


def test_the_version_is_told():
    assert re.fullmatch(r"bnao \d+\.\d+\.\d+\S*\n", bnao("--version").stdout)


def test_help_loads_nothing_but_what_settings_need():
    code = (
        "import sys, bnao.cli\n"
        "with __import__('contextlib').suppress(SystemExit): bnao.cli.main(['--help'])\n"
        "tops = {name.partition('.')[0] for name in sys.modules} - sys.stdlib_module_names\n"
        "heavy = 'torch keras tensorflow jax rich PIL pooch safetensors scipy'.split()\n"
        "print(*(name for name in heavy if name in tops), file=sys.stderr)\n"
        "print(sum(name.startswith('bnao.') for name in sys.modules), file=sys.stderr)"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.startswith("Usage: bnao")
    heavy, own = done.stderr.split("\n")[:2]
    assert heavy == ""
    assert 10 < int(own) < 50  # of more than 250 modules; the commands' own are read when one is asked for


def test_an_unknown_command_is_named():
    assert refused(2, "serch").startswith("error: No such command 'serch'.")


def test_an_unknown_option_is_named_with_those_near_it():
    assert refused(2, "search", "--round", 3).startswith("error: No such option '--round'.")
    assert "--rounds" in refused(2, "search", "--round", 3)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--rounds", "x"), "'x' is not a valid integer"),
        (("--sampler", "fair"), "'fair' is not one of 'proportional', 'uniform', 'budget'"),
        (("--preset", "huge"), "'huge' is not one of 'quick', 'cifar10-small', 'paper', 'quick-shared', 'quick-fused'"),
        (("--rounds", 0), "rounds is 0; it must be >= 1"),
        (("--alpha", "nan"), "alpha is nan; it must be a finite number"),
        (("--pad", -1), "[data] pad is -1; it must be >= 0"),
        (("--controller-epochs", 0), "[controller] epochs is 0; it must be >= 1"),
    ],
)
def test_a_value_that_cannot_be_is_refused_as_usage(arguments, told):
    assert told in refused(2, "search", *arguments)


# --- settings: options from config classes, layers, files


@pytest.mark.parametrize(
    ("command", "kind", "left_out"),
    [
        ("search", SearchConfig, set()),
        ("evaluate", EvaluateConfig, {("data", "dev_share"), ("data", "split_seed"), ("data", "dev_images")}),
    ],
)
def test_every_setting_has_one_option_with_its_help(command, kind, left_out):
    options = {option.path: option for option in main.get_command(None, command).params if hasattr(option, "path")}

    assert set(options) == {path for path, _ in settings_of(kind)} - left_out
    for path, field in settings_of(kind):
        if path not in left_out:
            assert options[path].help.startswith(field.metadata["help"])


def test_help_tells_the_default_and_what_the_quick_preset_has_instead():
    text = " ".join(bnao("search", "--help").stdout.split())

    assert "Random genotypes in the first round (n). [default: 1000; quick: 60]" in text
    assert "Resize the images to this height and width, in pixels; by default they keep their size. [quick: 14]" in text
    assert "Augmentation: random horizontal flip, with probability 1/2. [default: yes]" in text


def test_names_that_clash_bear_their_section():
    settings = shown("search", "--epochs", 3, "--controller-epochs", 4, "--controller-batch-size", 5)

    assert (settings["epochs"], settings["controller"]["epochs"]) == (3, 4)
    assert (settings["training"]["batch_size"], settings["controller"]["batch_size"]) == (64, 5)


def test_options_lie_over_the_file_and_the_file_over_the_preset():
    pathlib.Path("my.toml").write_text("rounds = 7\npool = 8\n[data]\npad = 1\n")

    settings = shown("search", "--preset", "quick", "--config", "my.toml", "--pool", 9, "--no-flip")

    assert (settings["rounds"], settings["pool"], settings["new"]) == (7, 9, 20)
    assert (settings["data"]["pad"], settings["data"]["flip"], settings["data"]["image_size"]) == (1, False, 14)


def test_a_file_may_name_its_preset_and_the_command_line_another():
    pathlib.Path("my.toml").write_text('preset = "paper"\nrounds = 7\n')

    in_file, on_the_line = shown("search", "--config", "my.toml"), shown(
        "search", "--config", "my.toml", "--preset", "cifar10-small"
    )  # fmt: skip

    assert (in_file["preset"], in_file["rounds"], in_file["pool"]) == ("paper", 7, 1000)
    assert (on_the_line["preset"], on_the_line["rounds"], on_the_line["pool"]) == ("cifar10-small", 7, 200)


@pytest.mark.parametrize(
    ("command", "kind", "name"),
    [(command, kind, name) for command, kind in KINDS.items() for name in PRESETS[kind]],
)
def test_shown_settings_are_the_presets_and_read_back_are_the_same(command, kind, name):
    first = bnao(command, "--preset", name, "--show-config").stdout
    pathlib.Path("shown.toml").write_text(first)

    assert build(kind, tomllib.loads(first)) == preset(kind, name)
    assert bnao(command, "--config", "shown.toml", "--show-config").stdout == first


def test_a_named_data_set_goes_before_images_of_a_lower_layer():
    pathlib.Path("my.toml").write_text('[data]\ndata = "mine.npz"\n')

    data = shown("search", "--config", "my.toml", "--dataset", "cifar100")["data"]

    assert (data["dataset"], "data" in data) == ("cifar100", False)


def test_epochs_go_before_steps_of_a_lower_layer():
    pathlib.Path("my.toml").write_text("steps = 100\n")

    settings = shown("search", "--config", "my.toml", "--epochs", 2)

    assert (settings["epochs"], "steps" in settings) == (2, False)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--dataset", "cifar10", "--data", "x.npz"), "--dataset and --data exclude each other"),
        (("--steps", 3, "--epochs", 2), "--epochs and --steps exclude each other"),
    ],
)
def test_options_that_exclude_each_other_are_refused(arguments, told):
    assert told in refused(2, "search", *arguments)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("[data]\npadd = 2\n", "my.toml: [data] has no setting 'padd'; did you mean 'pad'?"),
        ("rounds = 2.0\n", "my.toml: rounds is 2.0; it must be a whole number"),
        ('rounds = "two"\n', "my.toml: rounds is 'two'; it must be a whole number"),
        ("data = 3\n", "my.toml: data is 3; it is a section, [data]"),
        ("[network]\nclasses = 3\n", "my.toml: [network] has no setting 'classes'"),
        ('preset = "huge"\n', "my.toml: no preset 'huge'; there is quick, cifar10-small, paper, quick-shared"),
        ("preset = [1]\n", "my.toml: preset is [1]; it can be quick, cifar10-small, paper, quick-shared, quick-fused"),
        ("rounds = \n", "my.toml is not TOML: Invalid value (at line 1, column 10)"),
    ],
)
def test_a_config_file_that_is_wrong_is_refused_with_its_place(content, told):
    pathlib.Path("my.toml").write_text(content)

    assert told in refused(2, "search", "--config", "my.toml")


def test_a_config_file_that_is_absent_is_refused():
    assert refused(2, "search", "--config", "no.toml").startswith("error: cannot read the config file no.toml")


def test_settings_of_a_backend_that_is_not_installed_can_be_shown():
    assert shown("search", "--backend", "abacus")["machine"]["backend"] == "abacus"
    assert shown("evaluate", "--backend", "abacus")["machine"]["backend"] == "abacus"


# --- search on a table


def test_a_search_over_a_table_ends_with_its_best_genotypes(on_table, table):
    result = bnao(*on_table, "--new", 10, "--rounds", 3, "--out", "run")

    assert result.exit_code == 0
    best = table.read_text().splitlines()[30].split(",")[0].strip('"')  # all thirty were scored: the last is best
    assert best not in result.stdout
    assert re.search(rf"^   1  {parse(best).id} +0\.79 ", result.stdout, re.M)
    assert "of 30 genotypes scored, the first has 0.79" in result.stdout
    assert "run folder: run\n" in result.stdout
    assert result.stdout.endswith("next: bnao show run:1\n")
    assert "round 1/3  10 new genotypes (10 random)" in result.stderr


def test_the_folder_is_named_by_time_data_and_seed(on_table):
    bnao(*on_table, "--seed", 7)

    (folder,) = pathlib.Path("runs").iterdir()
    assert re.fullmatch(r"\d{8}-\d{6}-thirty-seed7", folder.name)
    assert {"config.toml", "log.jsonl", "result.json", "run.json"} <= {path.name for path in folder.iterdir()}


def test_with_json_stdout_is_one_json_object_and_nothing_else(on_table):
    result = bnao(*on_table, "--json", "--out", "run")

    content = json.loads(result.stdout)
    kept = json.loads(pathlib.Path("run/result.json").read_text())
    assert (content["format"], content["run"], content["ranked"]) == (1, "run", kept["ranked"])
    assert content["peak_memory_bytes"] > 10 * 2**20


def test_a_budget_that_nothing_keeps_is_refused_before_there_is_a_folder(on_table):
    told = refused(2, *on_table, "--max-parameters", 10, "--out", "run")

    assert "only 0 of the table's 30 genotypes keep the budget (at most 10 parameters)" in told
    assert not pathlib.Path("run").exists()


def test_quiet_tells_no_progress(on_table):
    assert bnao(*on_table, "--quiet", "--out", "run").stderr == ""


def test_the_folder_says_what_the_run_began_with(on_table):
    bnao(*on_table, "--out", "run", "--threads", 1)

    about = json.loads(pathlib.Path("run/run.json").read_text())
    assert about["format"] == 1
    assert about["threads"] == 1
    assert re.fullmatch("[0-9a-f]{32}", about["data"]["fingerprint"])
    assert {"bnao", "python", "numpy"} <= set(about["versions"])


def test_the_enas_table_is_searched_without_a_framework(shared_data):
    table = shared_data / "tables" / "nds_imagenet" / "ENAS_in.csv"

    result = bnao("search", "--backend", "table", "--table", table, "--controller", "evolution", "--json", "--quiet")

    ranked = json.loads(result.stdout)["ranked"]
    assert len(ranked) == 100  # quick: 60 at first, 20 in each of two later rounds, of 117 rows
    assert ranked[0]["score"] >= 70.6  # as the seven best of the 117 have


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("--backend", "table", "--controller", "random"), 1, "backend 'table' needs a table"),
        (("--backend", "table", "--table", "no.csv", "--controller", "random"), 1, "cannot read the table no.csv"),
        (("--backend", "abacus"), 1, "no backend 'abacus'; installed: broken, keras, pretend, table, torch"),
        (("--backend", "broken"), 1, "backend 'broken' cannot be imported (No module named 'no_such_module_anywhere')"),
        (("--backend", "pretend", "--data", "no.npz"), 1, "no.npz"),
        (("--backend", "pretend", "--data", "."), 1, "train"),
    ],
)
def test_what_cannot_be_met_is_said_before_a_folder_is_made(arguments, code, told):
    assert told in refused(code, "search", *arguments)
    assert not pathlib.Path("runs").exists()


def test_the_nao_controller_of_a_table_comes_from_another_backend(table):
    search = ("search", "--backend", "table", "--table", table, "--pool", 10, "--new", 5)

    told = refused(1, *search)
    result = bnao(*search, "--controller-backend", "pretend", "--out", "run")

    assert "backend 'table' has no NAO controller" in told
    assert "--controller-backend torch" in told
    assert result.exit_code == 0
    assert json.loads(pathlib.Path("run/run.json").read_text())["controller_backend"] == "pretend"


def test_a_controller_backend_without_the_nao_controller_is_refused(on_table):
    assert "--controller-backend is for --controller nao" in refused(2, *on_table, "--controller-backend", "pretend")


def test_a_table_cannot_be_reranked_by_training(on_table):
    told = refused(2, *on_table, "--rerank-epochs", 3, "--out", "run")

    assert told == "error: backend 'table' trains nothing; rerank_epochs must be 0"
    assert not pathlib.Path("run").exists()


def test_a_table_is_searched_by_the_papers_preset_without_reranking(on_table):
    result = bnao(*on_table, "--preset", "paper", "--controller", "random", "--rounds", 1, "--pool", 5, "--out", "run")

    assert result.exit_code == 0
    assert "rerank_epochs = 0\n" in pathlib.Path("run/config.toml").read_text()


def test_a_folder_that_holds_anything_is_refused_and_left_alone(on_table):
    pathlib.Path("mine").mkdir()
    pathlib.Path("mine/letter.txt").write_text("dear")
    pathlib.Path("file").write_text("dear")

    assert "mine is not empty and holds no run; name another folder with --out" in refused(
        1, *on_table, "--out", "mine"
    )
    assert "file is not empty and holds no run" in refused(1, *on_table, "--out", "file")
    assert [path.name for path in pathlib.Path("mine").iterdir()] == ["letter.txt"]


def test_a_folder_that_holds_a_run_is_refused(on_table):
    bnao(*on_table, "--out", "run")

    assert "run already holds a run; resume it with --resume run" in refused(1, *on_table, "--out", "run")


# --- a search that trains


def test_a_search_reports_its_updates_against_equation_4():
    result = bnao(*PRETEND, "--out", "run")

    assert result.exit_code == 0
    assert re.search(
        r"^rank +id +score +parameters +multiply-adds +round +updates +expected \(Eq\. 4\)$", result.stdout, re.M
    )
    # fewer than the 12 + 6 genotypes of two rounds: those expected less than once are counted together
    assert re.search(
        r"updates: 16 steps; against Eq\. 4 chi-square is \d+\.\d over \d+ degrees of freedom \(\d\.\d\d each\)",
        result.stdout,
    )
    assert re.search(r"^   1 +[0-9a-f]{8} +\d+\.\d % ± \d\.\d % +[\d,]+ ", result.stdout, re.M)
    assert result.stdout.endswith("next: bnao evaluate run --top 5\n")


def test_the_final_genotypes_can_be_ranked_by_a_training_of_their_own():
    result = bnao(*PRETEND, "--out", "run", "--rerank-epochs", 2, "--top", 3)

    ranked = json.loads(pathlib.Path("run/result.json").read_text())["ranked"]
    alone = [entry["reranked"] for entry in ranked[:4]]
    assert "trained alone" in result.stdout
    assert alone[:3] == sorted(alone[:3], reverse=True)
    assert alone[3] is None


def test_a_search_without_sharing_trains_each_genotype_alone_and_goes_on_after_a_kill():
    apart = (*PRETEND, "--sharing", "none", "--alone-epochs", 2, "--preset", "paper", "--dataset", "fashion-mnist")
    assert bnao(*apart, "--out", "whole").exit_code == 0
    process = start(*apart, "--out", "killed", PRETEND_SECONDS="0.1")
    until = time.monotonic() + 60
    while time.monotonic() < until and len(list(pathlib.Path("killed").glob("candidates/*.json"))) < 3:
        time.sleep(0.02)
    process.kill()
    process.communicate(timeout=60)
    left = {path.name: path.stat().st_mtime_ns for path in pathlib.Path("killed").glob("candidates/*.json")}
    resumed = bnao("search", "--resume", "killed")

    assert 3 <= len(left) < 18
    assert resumed.exit_code == 0
    assert len(list(pathlib.Path("killed").glob("candidates/*"))) == 18
    assert all(pathlib.Path("killed/candidates", name).stat().st_mtime_ns == time for name, time in left.items())
    assert pathlib.Path("killed/result.json").read_bytes() == pathlib.Path("whole/result.json").read_bytes()
    assert "rerank_epochs = 0\n" in pathlib.Path("whole/config.toml").read_text()
    assert not pathlib.Path("whole/supernet.safetensors").exists()
    assert "updates:" not in resumed.stdout
    assert "next: bnao evaluate killed --top 5" in resumed.stdout
    assert "share no weights" in refused(1, "score", "killed")


def test_a_table_shares_nothing_that_could_be_trained_apart(on_table):
    told = refused(2, *on_table, "--sharing", "none", "--out", "run")

    assert told == "error: backend 'table' trains nothing; sharing must be weights"
    assert not pathlib.Path("run").exists()


def test_a_finished_run_resumed_says_so_and_changes_nothing(finished):
    before = bytes_and_times(finished)

    result = bnao("search", "--resume", finished)
    as_json = bnao("search", "--resume", finished, "--json")

    assert result.exit_code == 0
    assert "run is finished already; nothing in it was changed" in result.stdout
    assert "next: bnao evaluate run --top 5" in result.stdout
    assert len(json.loads(as_json.stdout)["ranked"]) == 18
    assert bytes_and_times(finished) == before


def test_settings_beside_resume_are_refused_by_name(finished):
    before = bytes_and_times(finished)

    told = refused(2, "search", "--resume", finished, "--rounds", 9, "--no-flip", "--preset", "quick", "--out", "x")

    assert "leave out --flip, --preset, --out" in told
    assert bytes_and_times(finished) == before


def test_what_is_no_run_cannot_be_resumed():
    pathlib.Path("mine").mkdir()

    assert "no folder nowhere" in refused(1, "search", "--resume", "nowhere")
    assert "mine holds no run" in refused(1, "search", "--resume", "mine")


def test_a_second_process_on_a_run_is_refused(finished):
    (finished / "result.json").unlink()

    with Run.open(finished):
        told = refused(1, "search", "--resume", finished)

    assert "another process is working in run" in told


def test_a_run_whose_data_have_changed_is_not_gone_on_with(on_table, table):
    bnao(*on_table, "--out", "run")
    pathlib.Path("run/result.json").unlink()
    first = json.loads(pathlib.Path("run/run.json").read_text())["data"]["fingerprint"]
    table.write_text(table.read_text().replace("0.79", "0.99"))

    told = refused(1, "search", "--resume", "run")

    assert f"run was started with other data: table {table}, fingerprint {first}; now it is" in told


def test_a_run_is_not_gone_on_with_on_another_split(finished):
    (finished / "result.json").unlink()
    config = (finished / "config.toml").read_text()
    assert "split_seed = 0\n" in config
    changed = config.replace("split_seed = 0\n", "split_seed = 1\n")
    (finished / "config.toml").write_text(changed)
    assert "run/config.toml is damaged or was changed: " in refused(1, "search", "--resume", finished)

    (finished / "config.toml").write_text(changed.partition("\n")[2])
    assert "run was started with other data: " in refused(1, "search", "--resume", finished)


def test_a_searchs_folder_is_named_by_its_split_if_it_is_another():
    result = bnao(*PRETEND, "--split-seed", 3)

    (folder,) = pathlib.Path("runs").iterdir()
    assert result.exit_code == 0
    assert folder.name.endswith("-seed0-split3")


def test_a_changed_version_is_a_warning(finished, monkeypatch):
    (finished / "result.json").unlink()
    monkeypatch.setenv("PRETEND_VERSION", "2.0")

    result = bnao("search", "--resume", finished, "--quiet")

    assert result.exit_code == 0
    assert result.stderr == "warning: pretend was 1.0 and is 2.0; results may differ in their last bits\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_search_says_how_to_go_on_and_ends_as_if_it_had_not_been(number, finished):
    process = start(*PRETEND, "--out", "a b", "--checkpoint-seconds", 0, PRETEND_SECONDS="0.2")
    log = pathlib.Path("a b/log.jsonl")
    until = time.monotonic() + 60
    while time.monotonic() < until and not (log.exists() and '"step": 2' in log.read_text()):
        time.sleep(0.02)

    process.send_signal(number)
    _, told = process.communicate(timeout=60)
    resumed = bnao("search", "--resume", "a b", "--json")

    assert process.returncode == 128 + number
    again = "bnao search --resume 'a b'"
    assert shlex.split(again)[-1] == "a b"
    assert told.splitlines()[-1] == f"bnao: stopped; finished work is kept; resume with: {again}"
    assert resumed.exit_code == 0
    assert (pathlib.Path("a b") / "result.json").read_bytes() == (finished / "result.json").read_bytes()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_command_that_keeps_nothing_ends_with_the_signals_exit_code_too(number, monkeypatch):
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # the tests may run in the background
    monkeypatch.setattr("bnao.cli.commands.show.Given.of", lambda *arguments: signal.raise_signal(number))
    try:
        result = bnao("show", "DARTS_V2")
    finally:
        signal.signal(signal.SIGINT, before)

    assert result.exit_code == 128 + number
    assert result.stderr.splitlines()[-1] == "bnao: stopped"


def test_a_search_that_was_started_with_ctrl_c_ignored_goes_on_ignoring_it(finished):
    process = start(*PRETEND, "--out", "ignoring", ctrl_c=signal.SIG_IGN, PRETEND_SECONDS="0.05")
    log = pathlib.Path("ignoring/log.jsonl")
    until = time.monotonic() + 60
    while time.monotonic() < until and not (log.exists() and '"step": 2' in log.read_text()):
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)

    assert process.returncode == 0


def test_a_search_killed_again_and_again_ends_as_if_it_had_not_been(finished):
    slowly = {"PRETEND_SECONDS": "0.1"}
    process = start(*PRETEND, "--out", "killed", "--checkpoint-seconds", 0, **slowly)
    killed = 0
    for wait in stream(0, "moments").uniform(0.1, 1.0, 5):
        until = time.monotonic() + 60
        while time.monotonic() < until and not pathlib.Path("killed/config.toml").exists():
            time.sleep(0.02)
        time.sleep(wait)
        process.kill()
        process.communicate(timeout=60)
        killed += process.returncode == -signal.SIGKILL
        process = start("search", "--resume", "killed", **slowly)
    process.communicate(timeout=60)

    assert killed >= 2
    assert process.returncode == 0
    names = ["result.json", *(f"round-{number}-{what}.json" for number in (1, 2) for what in ("pool", "scores"))]
    for name in names:
        assert (pathlib.Path("killed") / name).read_bytes() == (finished / name).read_bytes()


def test_a_loss_that_is_not_a_number_ends_in_one_line(monkeypatch):
    monkeypatch.setenv("PRETEND_NAN", "3")

    result = bnao(*PRETEND, "--out", "run")

    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == "bnao: error: round 1, step 3: the loss is nan"
    assert pathlib.Path("run/round-1-pool.json").exists()


def test_a_full_disk_ends_in_one_line(monkeypatch, on_table):
    def full(*arguments, **settings):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("bnao.searches.search", full)

    result = bnao(*on_table, "--out", "run")

    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == "bnao: error: [Errno 28] No space left on device"


def test_a_bug_keeps_its_traceback(monkeypatch, on_table):
    def bug(*arguments, **settings):
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("bnao.searches.search", bug)

    with pytest.raises(ZeroDivisionError, match="a bug"):
        bnao(*on_table, "--out", "run")


def test_a_reader_that_stops_reading_is_no_error():
    genotypes = SPACES["nao"].random_genotypes(500, stream(0, "many"))
    pathlib.Path("many.txt").write_text("\n".join(map(str, genotypes)))
    process = start("show", "--json", "--file", "many.txt")  # far more than a pipe holds

    first = process.stdout.readline()
    process.stdout.close()
    told = process.stderr.read()
    process.wait(60)

    assert json.loads(first)["genotype"] == str(genotypes[0])
    assert told == ""


# --- evaluate

EVALUATE = ("evaluate", "--backend", "pretend", "--epochs", 2)


@pytest.fixture
def genotypes():
    return [str(genotype) for genotype in SPACES["nao"].random_genotypes(3, stream(0, "to evaluate"))]


def test_genotypes_are_evaluated_in_the_order_given(genotypes):
    result = bnao(*EVALUATE, "--repeats", 2, "--json", *genotypes)

    content = json.loads(result.stdout)
    assert [entry["genotype"] for entry in content["evaluations"]] == genotypes
    assert all(len(entry["test_errors"]) == 2 for entry in content["evaluations"])
    assert "agreement" not in content
    assert re.fullmatch(r"runs/evaluate-\d{8}-\d{6}", content["run"])


def test_a_published_cell_is_evaluated_by_its_name_in_its_own_space():
    done = json.loads(bnao("evaluate", "DARTS_V2", "--backend", "pretend", "--json", "--quiet", "--out", "here").stdout)

    assert done["evaluations"][0]["genotype"] == str(published_cell("DARTS_V2").genotype)
    settings = tomllib.loads((pathlib.Path("here") / "config.toml").read_text())
    assert settings["network"]["space"] == "darts"
    assert "nodes" not in settings["network"]


def test_an_evaluation_from_a_supernet_that_is_none_is_refused_before_a_folder_is_made():
    told = refused(1, "evaluate", "DARTS_V2", "--backend", "pretend", "--from-supernet", "nowhere", "--quiet")

    assert "nowhere" in told
    assert not pathlib.Path("runs").exists()


def test_published_cells_of_several_spaces_are_evaluated_beside_their_claims():
    cells = ["NAONet-V2", "DARTS_V2", "SNAS-aggressive"]
    done = bnao("evaluate", *cells, "--backend", "pretend", "--quiet", "--out", "here")

    assert done.exit_code == 0, done.output
    assert re.search(r"^1 .* NAONet-V2 +2\.60 %, 3\.8 M", done.stdout, re.MULTILINE)
    assert re.search(r"^2 .* DARTS_V2 +2\.63 %, 3\.3 M", done.stdout, re.MULTILINE)
    entries = json.loads((pathlib.Path("here") / "evaluation.json").read_text())["evaluations"]
    assert [entry["space"] for entry in entries] == ["nao", "darts", "snas"]
    for entry, name in zip(entries, cells, strict=True):
        published = published_cell(name)
        network = NetworkConfig(space=entry["space"], channels=8, cells=1, image=(14, 14, 1))
        assert entry["parameters"] == count_parameters(published.genotype, network)
    assert "space darts" in bnao("show", "here:2").stdout
    assert bnao("check", "here").exit_code == 0
    again = bnao("evaluate", *cells, "--backend", "pretend", "--quiet", "--out", "here")
    assert again.exit_code == 0


def test_several_spaces_are_refused_where_one_is_asked_for_or_a_supernet_is_of_one():
    cells = ["DARTS_V2", "NAONet-V2"]
    told = refused(1, "evaluate", *cells, "--space", "darts", "--backend", "pretend", "--quiet")

    assert told.startswith("error: genotype 2: NAONet-V2 is of space 'nao' with 5 nodes, where space 'darts' with 4")
    assert not pathlib.Path("runs").exists()


def test_the_table_of_an_evaluation_has_mean_deviation_and_size(genotypes):
    result = bnao(*EVALUATE, "--repeats", 2, *genotypes)

    assert "test error (mean ± sd, repeats)" in result.stdout
    assert re.search(r"^1 +[0-9a-f]{8} +\d+\.\d\d % ± \d+\.\d\d % \(2\) +[\d,]+ +[\d,]+$", result.stdout, re.M)
    assert "genotype 3/3  repeat 2/2  test error" in result.stderr


def test_an_evaluation_tells_the_classes_by_their_names(genotypes):
    result = bnao(*EVALUATE, "--out", "here", genotypes[0])

    content = json.loads(pathlib.Path("here/evaluation.json").read_text())
    assert content["class_names"][:2] == ["T-shirt/top", "Trouser"]
    errors = dict(zip(content["class_names"], content["evaluations"][0]["class_errors"], strict=True))
    first, second, third = sorted(errors.values(), reverse=True)[:3]
    (line,) = [line for line in result.stdout.splitlines() if line.startswith("its hardest classes: ")]
    told = re.fullmatch(r"its hardest classes: (.+) \((.+) %\), (.+) \((.+) %\), (.+) \((.+) %\)", line)
    assert [f"{100 * error:.1f}" for error in (first, second, third)] == [told[2], told[4], told[6]]
    assert [errors[told[place]] for place in (1, 3, 5)] == [first, second, third]
    assert json.loads(pathlib.Path("here/run.json").read_text())["data"]["class_names"] == content["class_names"]


def test_a_file_gives_genotypes_too_and_each_is_trained_once(genotypes):
    pathlib.Path("mine.txt").write_text(f"# mine\n\n{genotypes[1]}\n{genotypes[0]}\n")

    result = bnao(*EVALUATE, genotypes[0], "--file", "mine.txt", "--json")

    assert [entry["genotype"] for entry in json.loads(result.stdout)["evaluations"]] == genotypes[:2]
    assert "of 3 genotypes 2 differ" in result.stderr


def test_the_best_of_a_run_are_evaluated_on_its_images(finished):
    result = bnao("evaluate", finished, "--top", 4, "--epochs", 2, "--json")

    content = json.loads(result.stdout)
    ranked = json.loads((finished / "result.json").read_text())["ranked"]
    assert [entry["genotype"] for entry in content["evaluations"]] == [entry["genotype"] for entry in ranked[:4]]
    assert [entry["one_shot_score"] for entry in content["evaluations"]] == [entry["score"] for entry in ranked[:4]]
    assert content["agreement"]["pairwise_accuracy"]["n"] == 4
    assert re.fullmatch(r"run/evaluate-quick-[0-9a-f]{6}", content["run"])
    assert bnao("search", "--resume", finished).exit_code == 0  # the run is still one


def test_an_evaluation_of_a_run_reports_the_rank_agreement(finished):
    result = bnao("evaluate", finished, "--epochs", 2)

    assert "one-shot scores against stand-alone accuracies, n = 5" in result.stdout
    assert re.search(r"^  pairwise accuracy +\d\.\d{3} \[\d\.\d{3}, \d\.\d{3}\]$", result.stdout, re.M)
    assert re.search(r"^  precision at top +not defined for so few$", result.stdout, re.M)
    assert re.search(r"^5 +[0-9a-f]{8} +\d+\.\d\d % +[\d,]+ +[\d,]+ +\d+\.\d % +rank 5$", result.stdout, re.M)


def test_an_evaluation_takes_the_space_images_and_backend_of_its_run_and_the_recipe_of_the_preset():
    bnao(*PRETEND, "--nodes", 3, "--image-size", 16, "--train-images", 500, "--channels", 4, "--out", "run")

    as_usual, paper = shown("evaluate", "run"), shown("evaluate", "run", "--preset", "paper", "--image-size", 20)

    assert (as_usual["network"]["nodes"], as_usual["data"]["image_size"], as_usual["data"]["train_images"]) == (
        3,
        16,
        500,
    )
    assert (as_usual["preset"], as_usual["network"]["channels"], as_usual["epochs"]) == ("quick", 8, 15)
    assert as_usual["machine"]["backend"] == "pretend"
    assert (paper["network"]["channels"], paper["epochs"], paper["data"]["image_size"]) == (36, 600, 20)
    assert paper["data"]["dataset"] == "fashion-mnist"


def test_random_genotypes_of_the_first_pool_stand_beside_the_best(finished):
    result = bnao("evaluate", finished, "--top", 2, "--random", 5, "--epochs", 1, "--json")

    content = json.loads(result.stdout)
    pool = {entry["genotype"] for entry in json.loads((finished / "round-1-pool.json").read_text())["pool"]}
    errors = {entry["genotype"]: entry["test_error"] for entry in content["evaluations"]}
    random = [genotype for genotype in errors if genotype in pool]
    beside = content["against_random"]
    assert len(random) >= 5
    assert beside["first"] == content["evaluations"][0]["test_error"]
    assert (beside["top"], beside["random"]) == (2, 5)
    assert beside["random_median"] in errors.values()
    text = bnao("evaluate", finished, "--top", 2, "--random", 5, "--epochs", 1).stdout
    assert "on average over the top 2; the median of 5 random ones of the first pool is" in text


def test_the_same_settings_go_on_where_they_were_and_others_get_their_own_folder(finished):
    first = json.loads(bnao("evaluate", finished, "--top", 2, "--epochs", 2, "--json").stdout)
    trained = bytes_and_times(finished / pathlib.Path(first["run"]).name / "trainings")

    more = json.loads(bnao("evaluate", finished, "--top", 3, "--epochs", 2, "--json").stdout)
    other = json.loads(bnao("evaluate", finished, "--top", 2, "--epochs", 3, "--json").stdout)

    assert more["run"] == first["run"]
    assert more["evaluations"][:2] == first["evaluations"]
    assert bytes_and_times(pathlib.Path(more["run"]) / "trainings").items() >= trained.items()
    assert other["run"] != first["run"]


def test_a_folder_of_other_settings_is_refused_with_the_first_that_differs(finished, genotypes):
    bnao(*EVALUATE, "--out", "mine", genotypes[0])

    other = refused(1, *EVALUATE, "--out", "mine", "--channels", 16, "--pad", 3, genotypes[0])
    no_evaluation = refused(1, *EVALUATE, "--out", finished, genotypes[0])

    assert "mine was made with network.channels = 8, and now it is 16; name another folder with --out" in other
    assert "run was made for something else" in no_evaluation


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        ((), 2, "no genotype; give one or more, --file FILE, or - for standard input"),
        (("1 2 3",), 1, "3 integers; a genotype of space 'nao' with 5 nodes has 40"),
        (("--top", 3, "x"), 2, "--top is for the folder of a run"),
        (("--random", 3, "x"), 2, "--random is for the folder of a run"),
        (("run", "x"), 2, "run is a folder; give one RUN alone, or genotypes"),
        (("run", "--top", 99), 2, "--top is 99; run has 18 genotypes"),
        (("run", "--top", 1, "--random", 99), 2, "random is 99; the first pool of run has 12 genotypes"),
        (("run", "--device", "mars"), 1, "no device 'mars' here"),
        (("run", "--backend", "table"), 1, "backend 'table' trains nothing"),
        (("run", "--data", "no.npz"), 1, "no.npz"),
    ],
)
def test_an_evaluation_that_cannot_be_is_refused_before_a_folder_is_made(finished, arguments, code, told):
    before = bytes_and_times(finished)

    assert told in refused(code, *EVALUATE[:1], *arguments)
    assert bytes_and_times(finished) == before
    assert not pathlib.Path("runs").exists()


def test_a_run_that_is_not_finished_is_not_evaluated(finished):
    (finished / "result.json").unlink()

    assert "run is not finished; resume with: bnao search --resume run" in refused(1, "evaluate", finished)


def test_genotypes_of_another_number_of_nodes_are_refused_at_once(genotypes):
    told = refused(1, *EVALUATE, "--nodes", 4, genotypes[0])

    assert "the normal cell has 5 nodes; a cell of space 'nao' with 4 nodes needs 4" in told


def test_a_stopped_evaluation_goes_on_by_the_same_command(genotypes):
    arguments = (*EVALUATE, "--epochs", 40, "--checkpoint-seconds", 0, "--out", "mine", *genotypes[:2])
    process = start(*arguments, PRETEND_SECONDS="0.05")
    log = pathlib.Path("mine/log.jsonl")
    until = time.monotonic() + 60
    while time.monotonic() < until and not (log.exists() and '"epoch": 3' in log.read_text()):
        time.sleep(0.02)

    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    result = bnao(*arguments, "--json")

    assert process.returncode == 130
    assert told.splitlines()[-1].endswith("resume with: the same command with --out mine")
    assert len(json.loads(result.stdout)["evaluations"]) == 2


# --- a first pool from a file, more rounds, another's weights


@pytest.fixture
def pool_file():
    """A file of five lines and four genotypes."""
    genotypes = SPACES["nao"].random_genotypes(4, stream(0, "pool file"))
    path = pathlib.Path("pool.txt")
    path.write_text("\n".join(map(str, [*genotypes, genotypes[0]])) + "\n")
    return path


@pytest.mark.parametrize(("pool", "size"), [((), 4), (("--pool", 9), 9), (("--pool", 3), 4)])
def test_a_pools_file_is_the_first_pool_unless_a_larger_one_is_asked_for(pool_file, pool, size):
    arguments = [*PRETEND[:5], *PRETEND[7:], "--pool-file", pool_file, *pool]  # without its own --pool

    result = bnao(*arguments, "--out", "run")

    assert result.exit_code == 0, result.output
    content = json.loads(pathlib.Path("run/round-1-pool.json").read_text())
    assert content["sources"] == {"file": 4, "random": size - 4}
    assert tomllib.loads(pathlib.Path("run/config.toml").read_text())["pool"] == size
    filled = f", {size - 4} random" if size > 4 else ""
    told = f"round 1/2  {size} new genotypes (4 from the file{filled}; 1 lines of the file say again what others say)"
    assert told in result.stderr


def test_a_bad_line_of_a_pools_file_is_named_before_there_is_a_folder(pool_file):
    pool_file.write_text(pool_file.read_text() + "0:sep_conv_9x9+1:skip_connect|...\n")

    assert "pool.txt, line 6: " in refused(1, *PRETEND, "--pool-file", pool_file, "--out", "run")
    assert not pathlib.Path("run").exists()


def test_a_finished_run_gets_more_rounds_and_ends_as_one_that_was_started_with_them(finished):
    assert bnao(*PRETEND, "--rounds", 3, "--out", "whole").exit_code == 0

    result = bnao("search", "--resume", finished, "--rounds", 3)

    assert result.exit_code == 0, result.output
    assert "round 3/3 done" in result.stderr
    names = sorted(path.name for path in finished.iterdir() if path.suffix in (".json", ".safetensors", ".toml"))
    assert names == sorted(path.name for path in pathlib.Path("whole").iterdir() if path.name in names)
    for name in names:
        if name != "run.json":
            assert (finished / name).read_bytes() == (pathlib.Path("whole") / name).read_bytes(), name
    assert "has begun 3 rounds; rounds is 1" in refused_with_progress("search", "--resume", finished, "--rounds", 1)


def refused_with_progress(*arguments):
    """The last line of a command that ends with exit code 2."""
    result = bnao(*arguments)
    assert result.exit_code == 2, result.output
    return result.stderr.splitlines()[-1]


def test_a_search_begins_from_the_supernet_of_a_finished_one_and_says_so(finished):
    result = bnao(*PRETEND, "--from-supernet", finished, "--out", "second")

    assert result.exit_code == 0, result.output
    assert tomllib.loads(pathlib.Path("second/config.toml").read_text())["from_supernet"] == str(finished)
    first, second = (read_weights(f"{name}/supernet.safetensors")[0]["weight"] for name in (finished, "second"))
    assert second[0] == pytest.approx(2 * first[0], rel=0.2)  # each adds shares of its sixteen steps
    told = refused(2, *PRETEND, "--channels", 9, "--from-supernet", finished, "--out", "third")
    assert "from_supernet is run, a search with channels = 8, and here channels = 9; they must agree" in told
    assert not pathlib.Path("third").exists()


def test_the_report_tells_how_the_scores_go_with_size(finished):
    result = bnao("search", "--resume", finished)
    bias = json.loads(bnao("search", "--resume", finished, "--json").stdout)["size_bias"]

    assert re.search(
        r"^size: Kendall tau of score and size is [+-]\d\.\d{3} \[.*\]; edges without parameters "
        r"\(skip, pool, none\) are \d+\.\d % of those of the top 5 and \d+\.\d % of the first pool's$",
        result.stdout, re.M,
    )  # fmt: skip
    assert bias["kendall_tau_of_score_and_size"]["n"] == 18
    assert 0 < bias["parameter_free_edges_in_first_pool"] < 1


# --- evaluate on images from disk


@pytest.fixture
def photos(tmp_path):
    """A folder of 8 classes with 32 JPEGs to train on and 8 to test on."""
    return save_images(tmp_path / "photos", classes=8)


@pytest.fixture
def on_photos(photos):
    """The arguments of an evaluation on them."""
    return (
        "evaluate", "--preset", "imagenet", "--data-dir", photos, "--image-size", 32, "--backend", "pretend",
        "--epochs", 2, "--batch-size", 16, "--data-workers", 0,
    )  # fmt: skip


def test_networks_are_evaluated_on_a_folder_of_imagenets_layout(on_photos, genotypes):
    result = bnao(*on_photos, "--out", "mine", *genotypes[:2])

    assert result.exit_code == 0
    assert "imagenet: 32 train, 8 test images of 32 x 32 x 3, 8 classes" in result.stderr
    assert re.search(r"^ +id +test error +top-5 error +parameters +multiply-adds$", result.stdout, re.M)
    assert re.search(r"^2 +[0-9a-f]{8} +\d+\.\d\d % +\d+\.\d\d % +[\d,]+ +[\d,]+$", result.stdout, re.M)
    assert "left out" not in result.stdout
    about = json.loads(pathlib.Path("mine/run.json").read_text())
    assert about["data"]["description"].startswith("imagenet: 32 train")


def test_the_widest_networks_within_a_budget_are_told_with_their_channels(on_photos, genotypes):
    arguments = (*on_photos, "--cells", 1, "--channels", "auto", "--max-multiply-adds", "2M", "--out", "mine")

    result = bnao(*arguments, *genotypes[:2])
    content = json.loads(bnao(*arguments, *genotypes[:2], "--json").stdout)

    assert re.search(r"^ +id +test error +top-5 error +C +parameters +multiply-adds$", result.stdout, re.M)
    for entry in content["evaluations"]:
        assert 0 < entry["multiply_adds"] <= 2_000_000
        assert re.search(
            rf" {entry['channels']} +{entry['parameters']:,} +{entry['multiply_adds']:,}$", result.stdout, re.M
        )
    shown_again = bnao(
        "show", "--json", "--network", "imagenet", "--cells", 1, "--classes", 8, "--image", "32x32x3",
        "--channels", "auto", "--max-multiply-adds", "2M", *genotypes[:2],
    )  # fmt: skip
    assert [json.loads(line)["channels"] for line in shown_again.stdout.splitlines()] == [
        entry["channels"] for entry in content["evaluations"]
    ]


def test_the_best_of_a_search_are_evaluated_on_imagenet_by_its_preset(finished, photos):
    settings = shown("evaluate", finished, "--preset", "imagenet", "--data-dir", photos)

    assert (settings["data"]["dataset"], settings["network"]["network"]) == ("imagenet", "imagenet")
    assert (settings["network"]["channels"], settings["machine"]["backend"]) == (52, "pretend")
    assert "image_size" not in settings["data"]  # that of the search's images


def test_imagenet_is_trained_on_by_its_own_preset_where_none_is_named(finished, genotypes):
    for target in (genotypes[0], finished):
        settings = shown("evaluate", target, "--dataset", "imagenet")
        others = shown("evaluate", target, "--dataset", "imagenet", "--preset", "paper", "--crop", "resized")

        assert (settings["preset"], settings["epochs"], settings["data"]["crop"]) == ("imagenet", 250, "resized")
        assert (others["preset"], others["epochs"]) == ("paper", 600)


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (
            ("--channels", "auto"),
            2,
            "channels is auto; say how large a network may be, such as --max-multiply-adds 600M",
        ),
        (
            ("--max-multiply-adds", "1K"),
            2,
            "multiply-adds, and max_multiply_adds is 1,000; --channels auto takes as many",
        ),
        (("--channels", "auto", "--max-multiply-adds", 9), 2, "max_multiply_adds is 9, but even with 2 channels"),
        (("--crop", "shift"), 2, "--crop resized --cutout 0, or --preset imagenet"),
        (
            ("--image-size", 31),
            2,
            "images are 31 x 31 pixels; two reductions behind the stem of stride 8 need at least",
        ),
        (("--data-dir", "none"), 1, "there is no folder none; --data-dir must hold train/<class>/*.JPEG"),
        (("--channels", "wide"), 2, "'wide' is not a valid integer, such as 20 or 600M, or auto."),
        (("--batch-size", "1.5"), 2, "'1.5' is not a valid integer, such as 20 or 600M."),
    ],
)
def test_an_evaluation_on_imagenet_that_cannot_be_is_refused_before_a_folder_is_made(
    on_photos, genotypes, arguments, code, told
):
    assert told in refused(code, *on_photos, *arguments, genotypes[0])
    assert not pathlib.Path("runs").exists()


def test_without_its_folder_imagenet_says_what_that_must_look_like(genotypes):
    told = refused(1, "evaluate", "--preset", "imagenet", "--backend", "pretend", genotypes[0])

    assert "imagenet cannot be downloaded" in told
    assert "--data-dir: train/<class>/*.JPEG and val/<class>/*.JPEG" in told


def test_channels_that_are_auto_are_shown_by_the_word_and_read_back(genotypes):
    arguments = ("evaluate", "--channels", "auto", "--max-multiply-adds", "600M", genotypes[0])

    first = bnao(*arguments, "--show-config").stdout
    pathlib.Path("shown.toml").write_text(first)

    assert 'channels = "auto"' in first.splitlines()
    assert bnao("evaluate", "--config", "shown.toml", genotypes[0], "--show-config").stdout == first


@pytest.mark.parametrize("command", ["search", "evaluate", "study ranking"])
@pytest.mark.parametrize("option", ["--channels", "--cells"])
def test_a_network_beyond_all_that_is_trained_is_refused_by_every_command(command, option, genotypes):
    given = genotypes[:1] if command == "evaluate" else ()

    told = bnao(*command.split(), option, 999_999_999_999, "--out", "mine", *given)

    assert told.exit_code == 2
    assert f"error: [network] {option[2:]} is 999999999999; it must be >= " in told.stderr
    assert not pathlib.Path("mine").exists()


def test_a_search_on_imagenet_is_refused(photos):
    told = refused(1, *PRETEND, "--dataset", "imagenet", "--data-dir", photos)

    assert "read from disk while a network trains, which only bnao evaluate does" in told


@pytest.mark.parametrize("command", ["search", "study ranking"])
def test_channels_that_are_auto_are_refused_where_nothing_chooses_them(command):
    told = bnao(*command.split(), "--channels", "auto", "--backend", "pretend", "--out", "mine").stderr

    assert "error: channels is auto, which bnao evaluate and bnao show take; here it must be a number >= 2" in told
    assert not pathlib.Path("mine").exists()


def test_numbers_may_be_given_in_thousands_millions_and_billions():
    settings = shown("search", "--max-parameters", "1.5M", "--max-multiply-adds", "2G", "--pool", "1k")

    assert (settings["max_parameters"], settings["max_multiply_adds"], settings["pool"]) == (
        1_500_000, 2_000_000_000, 1000,
    )  # fmt: skip


def test_an_image_that_cannot_be_read_is_fatal_or_left_out_and_counted(on_photos, photos, genotypes):
    bad = next((photos / "val").rglob("*.jpeg"))
    bad.write_bytes(bad.read_bytes()[:-200])
    arguments = (*on_photos, "--out", "mine", genotypes[0])

    fatal = bnao(*arguments)
    skipped = bnao(*arguments, "--unreadable", "skip")
    as_json = json.loads(bnao(*arguments, "--unreadable", "skip", "--json").stdout)

    assert fatal.exit_code == 1
    (line,) = [line for line in fatal.stderr.splitlines() if line.startswith("bnao: ")]
    assert f"{bad} cannot be read as an image: image file is truncated" in line
    assert line.endswith("; --unreadable skip leaves such files out")
    # the folder that the first began is gone on with
    assert skipped.exit_code == 0
    assert skipped.stderr.count(f"left out: {bad} cannot be read") == 1
    assert f"left out: 1 image file that could not be read, {bad} (evaluation.json says why)" in skipped.stdout
    assert [entry["file"] for entry in as_json["unreadable"]] == [str(bad)]


def test_an_evaluation_may_go_on_with_another_number_of_processes_that_read(on_photos, genotypes):
    assert bnao(*on_photos, "--out", "mine", genotypes[0]).exit_code == 0
    assert bnao(*on_photos, "--out", "mine", "--data-workers", 1, *genotypes[:2]).exit_code == 0
    assert "data.pad = 4, and now it is 5" in refused(1, *on_photos, "--out", "mine", "--pad", 5, genotypes[0])


# --- backends


def test_backends_are_listed_with_what_installs_them():
    result = bnao("backends", "--json")

    found = {entry["name"]: entry for entry in json.loads(result.stdout)["backends"]}
    assert (found["table"]["installed"], found["table"]["install"]) == (True, None)
    assert found["pretend"]["versions"] == {"pretend": "1.0"}
    assert found["pretend"]["devices"] == ["cpu", "moon"]
    assert (found["broken"]["installed"], found["broken"]["install"]) == (False, "pip install 'bnao[broken]'")
    assert "torch" not in sys.modules or "torch" in os.environ.get("BNAO_FRAMEWORK", "torch")


def test_the_list_of_backends_is_readable():
    lines = bnao("backends").stdout.splitlines()

    assert re.fullmatch(r"backend +installed +versions +devices +to install", lines[0])
    assert any(re.fullmatch(r"pretend +yes +pretend 1\.0 +cpu, moon", line) for line in lines)
    assert any(re.fullmatch(r"broken +no +- +- +pip install 'bnao\[broken\]'", line) for line in lines)


# --- what is told on the way


# --- bnao score


def test_a_run_is_scored_again_by_its_weights_and_nothing_in_it_is_changed(finished):
    before = {path: path.read_bytes() for path in finished.iterdir() if path.is_file()}
    ranked = json.loads((finished / "result.json").read_text())["ranked"]

    said = bnao("score", finished, "--json")

    content = json.loads(said.stdout.splitlines()[-1])
    assert content["backend"] == "pretend"
    assert [entry["genotype"] for entry in content["scores"]] == [entry["genotype"] for entry in ranked]
    assert [entry["score"] for entry in content["scores"]] == [entry["score"] for entry in ranked]
    assert content["agreement"]["kendall_tau"]["value"] == 1
    assert {path: path.read_bytes() for path in finished.iterdir() if path.is_file()} == before


def test_weights_of_a_file_are_scored_in_place_of_the_runs(finished):
    own = bnao("score", finished, "--top", 2, "--json")
    (finished / "supernet.safetensors").rename("fit.safetensors")

    said = bnao("score", finished, "--weights", "fit.safetensors", "--top", 2, "--json")

    content, expected = (json.loads(each.stdout.splitlines()[-1]) for each in (said, own))
    assert content["weights"] == "fit.safetensors"
    assert content["scores"] == expected["scores"]


def test_the_scores_of_now_stand_beside_those_of_the_run(finished):
    said = bnao("score", finished, "--top", 4)

    assert re.search(r"rank in the run +id +score by pretend +score in the run +log-likelihood", said.stdout)
    assert re.search(r"^ +4 +[0-9a-f]{8} +\S+ % +\S+ % +-\d\.\d{4} ± \d\.\d{4}$", said.stdout, re.M)
    assert "n = 4" in said.stdout
    assert "the largest difference of a score is 0.00 %" in said.stdout


def test_what_cannot_be_scored_again_is_told_in_a_line(finished, on_table):
    assert bnao(*on_table, "--out", "table").exit_code == 0
    (finished / "other").mkdir()
    for arguments, told in (
        ([finished / "other"], "other"),
        ([finished, "--top", 999], "--top is 999; run has 18 genotypes"),
        (["table"], "table has no supernet.safetensors: its genotypes share no weights"),
        ([finished, "--backend", "table"], "backend 'table' has no weights"),
        ([finished, "--backend", "abacus"], "no backend 'abacus'"),
        ([finished, "--weights", "fit.safetensors"], "cannot read the weights in fit.safetensors: "),
        ([finished, "--weights", "fit.keras"], "fit.keras is not a complete .keras file of a network: "),
    ):
        said = bnao("score", *arguments)
        assert said.exit_code != 0
        assert told in said.stderr
        assert len(said.stderr.strip().splitlines()) <= 4
    (finished / "result.json").unlink()
    assert "run is not finished" in bnao("score", finished).stderr


def test_any_genotypes_of_the_space_are_scored_by_accuracy_and_log_likelihood(finished, genotypes):
    ranked = json.loads((finished / "result.json").read_text())["ranked"]
    known = ranked[3]
    pathlib.Path("pool.txt").write_text(f"# a comment\n{known['genotype']}\n")

    said = bnao("score", finished, "NAONet-V2", genotypes[0], "--file", "pool.txt", "--json")

    content = json.loads(said.stdout)
    assert (content["backend"], content["images"]) == ("pretend", 600)
    assert [entry["genotype"] for entry in content["scores"]] == [
        str(published_cell("NAONet-V2").genotype), str(genotypes[0]), known["genotype"]
    ]  # fmt: skip
    assert content["scores"][2]["score"] == known["score"]
    for entry in content["scores"]:
        p, n = entry["score"], 600
        assert entry["standard_error"] == pytest.approx((p * (1 - p) / n) ** 0.5)
        # the pretended logits are 1 for one of ten classes, the label or the next, and 0 for the others
        right, wrong = 1 - math.log(math.e + 9), -math.log(math.e + 9)
        assert entry["log_likelihood"] == pytest.approx(p * right + (1 - p) * wrong)
        # the two values are 1 apart, so their variance is p (1 - p) n / (n - 1)
        assert entry["log_likelihood_standard_error"] == pytest.approx((p * (1 - p) / (n - 1)) ** 0.5)


def test_the_table_of_given_genotypes_has_both_measures_with_their_errors(finished):
    said = bnao("score", finished, "NAONet-V2")

    assert re.search(r"^ +id +score by pretend +log-likelihood$", said.stdout, re.M)
    assert re.search(r"^ *1 +[0-9a-f]{8} +\S+ % ± \S+ % +-\d\.\d{4} ± \d\.\d{4}$", said.stdout, re.M)
    assert f"1  {published_cell('NAONet-V2').genotype.id}" in said.stdout
    assert "on 600 dev images; errors are standard errors" in said.stdout


def test_genotypes_of_a_table_have_its_scores_and_no_log_likelihood(on_table, table):
    assert bnao(*on_table, "--out", "table").exit_code == 0
    genotype = table.read_text().splitlines()[7].split('"')[1]

    said, as_json = bnao("score", "table", genotype), bnao("score", "table", genotype, "--json")

    assert re.search(r"^1 +[0-9a-f]{8} +0\.56$", said.stdout, re.M)
    assert "backend 'table' returns no logits, so there is no log-likelihood" in said.stdout
    (entry,) = json.loads(as_json.stdout)["scores"]
    assert (entry["score"], entry["standard_error"], entry["log_likelihood"]) == (0.56, None, None)
    assert "the table has no row for 0:sep_conv" in refused(1, "score", "table", "NAONet-V2")


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("DARTS_V2",), 1, "DARTS_V2 is of space 'darts' with 4 nodes, where space 'nao' with 5 is asked for"),
        (("0:sep_conv_3x3",), 1, "1 cell; a genotype of space 'nao' has 2"),
        (("NAONet-V2", "--top", 2), 2, "--top is for the run's own genotypes"),
        (("--file", "absent.txt"), 2, "cannot read absent.txt"),
    ],
)
def test_genotypes_that_cannot_be_scored_are_told_in_a_line(finished, arguments, code, told):
    assert told in refused(code, "score", finished, *arguments)


# --- a folder that a Python search made


@pytest.fixture
def made_in_python():
    """The folder of a search by bnao.strategies.rounds, which does not say on which images it was made."""
    config = build(
        SearchConfig,
        {
            "rounds": 2, "pool": 12, "new": 6, "steps": 8, "controller": {"epochs": 3},
            "data": {"dataset": "fashion-mnist"}, "machine": {"backend": "pretend"},
        },
    )  # fmt: skip
    dataset = load_dataset(config.data)
    with Run.create("python", config) as run:
        search(config, pretend_backend.BACKEND.supernet(config, dataset), pretend_backend._Controller(config), run=run)
    return pathlib.Path("python")


@pytest.mark.parametrize(
    "arguments",
    [
        ("score",),
        ("score", "--top", 3, "--json"),
        ("evaluate", "--top", 2, "--epochs", 1, "--quiet"),
        ("evaluate", "--random", 2, "--epochs", 1, "--quiet"),
        ("search", "--resume"),
    ],
)
def test_a_folder_that_a_python_search_made_is_read_by_every_command(made_in_python, arguments):
    at = 2 if arguments[-1] == "--resume" else 1

    said = bnao(*arguments[:at], made_in_python, *arguments[at:])

    assert said.exit_code == 0, said.output
    assert "bnao: error" not in said.stderr


def test_scores_of_a_python_search_are_those_it_found_and_its_images_are_named(made_in_python):
    ranked = json.loads((made_in_python / "result.json").read_text())["ranked"]

    said = bnao("score", made_in_python, "--json")

    assert [entry["score"] for entry in json.loads(said.stdout)["scores"]] == [entry["score"] for entry in ranked]
    assert "python does not say which images it is of; taken are: fashion-mnist: 2,700" in said.stderr


def test_a_table_has_no_log_likelihoods_to_score_by(table):
    assert "score is log-likelihood, and a table has its own scores" in refused(
        2, "search", "--backend", "table", "--table", table, "--score", "log-likelihood", "--out", "s"
    )
