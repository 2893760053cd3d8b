"""A folder made in Python is that of the command line, byte for byte, and is not gone on with on other data."""

import json
import pathlib
import re

import numpy as np
import pytest
from attrs import evolve
from click.testing import CliRunner

import bnao
from bnao.cli import main
from bnao.config.evaluation import EvaluateConfig
from bnao.config.presets import preset
from bnao.config.settings import MachineConfig, SearchConfig
from bnao.config.studies import StudyConfig
from bnao.config.table_studies import AgreementConfig, ControllersConfig, PredictorConfig, SizeConfig
from bnao.data.dataset import load_dataset
from bnao.data.imagenet import stand_alone_images
from bnao.errors import ConfigError, RunError
from bnao.provenance import about_images, keep_about, origin
from bnao.run import Folder, Run, read_config
from bnao.searches import prepare_search, resumed_search, run_search
from bnao.streams import stream
from tests.commands import workplace  # noqa: F401  # the fixture is used by its name

SEARCH = "search --backend pretend --rounds 2 --pool 12 --new 6 --steps 8 --controller-epochs 3 --quiet --out cli"
STUDY = (
    "study ranking --backend pretend --genotypes 6 --epochs 1,2 --seeds 2 --alone-epochs 1 --top 2 --resamples 100 "
    "--nodes 2 --quiet --out cli --store cli-store"
)


def command(line):
    result = CliRunner().invoke(main, line.split())
    assert result.exit_code == 0, result.output


def without_times(line):
    event = json.loads(line)
    event.pop("seconds", None)
    return event


def files(folder):
    """Every file of a folder; of the log the events without how long they took. Pictures are the command's own."""
    found = {}
    for path in sorted(pathlib.Path(folder).rglob("*")):
        if path.is_file() and path.name != ".lock" and path.suffix != ".svg":
            name = str(path.relative_to(folder))
            found[name] = path.read_bytes()
            if path.name == "log.jsonl":
                found[name] = [without_times(line) for line in path.read_text().splitlines()]
    return found


def test_the_folder_of_a_search_in_python_is_that_of_the_command():
    command(SEARCH)
    config = read_config("cli", SearchConfig)

    run_search(config, "whole")
    backend, dataset = bnao.load_backend("pretend"), load_dataset(config.data)
    about = {**origin(about_images(dataset), config.machine, [backend]), "controller_backend": None}
    with Run.create("parts", config) as run:
        bnao.search(config, backend.supernet(config, dataset), backend.controller(config), run=run, about=about)

    assert {"run.json", "config.toml", "result.json", "supernet.safetensors", "log.jsonl"} <= set(files("cli"))
    assert files("whole") == files("cli")
    # the settings ask for no short training of the best
    assert files("parts") == files("cli")


def test_a_search_that_is_resumed_in_python_ends_as_one_that_was_started_with_as_many_rounds():
    command(SEARCH.replace("--rounds 2", "--rounds 3"))
    config = read_config("cli", SearchConfig)

    run_search(evolve(config, rounds=2), "python")
    with Run.open("python") as run:
        resumed_search(run, rounds=3).search(run)

    # the log tells with each round how many there are to be
    python, cli = files("python"), files("cli")
    assert len(python.pop("log.jsonl")) == len(cli.pop("log.jsonl"))
    assert python == cli


def test_a_run_of_a_supernet_of_ones_own_says_its_versions():
    machine = MachineConfig(backend="pretend")
    config = evolve(preset(SearchConfig, "quick"), rounds=1, pool=4, epochs=1, machine=machine)
    prepared = prepare_search(config)

    with Run.create("own", config) as run:
        bnao.search(config, prepared.supernet, prepared.controller, run=run)

    content = json.loads(pathlib.Path("own/run.json").read_text())
    assert content["data"] is None
    assert content["versions"]["bnao"] == bnao.__version__


def test_the_folder_of_an_evaluation_in_python_is_that_of_the_command():
    command("evaluate NAONet-V2 --backend pretend --epochs 2 --quiet --out cli")
    config = read_config("cli", EvaluateConfig)

    with Run.join("python", config) as run:
        bnao.evaluate(
            [bnao.parse("NAONet-V2")], config, bnao.load_backend("pretend"), stand_alone_images(config.data, 0), run=run
        )

    assert {"run.json", "evaluation.json", "log.jsonl"} <= set(files("cli"))
    assert files("python") == files("cli")


@pytest.mark.parametrize("sizes", ["diverse", "diverse,similar"])
def test_the_folder_of_a_ranking_study_in_python_is_that_of_the_command(sizes):
    command(f"{STUDY} --sizes {sizes}")
    config = read_config("cli", StudyConfig)
    study = bnao.study_ranking_sets if "," in sizes else bnao.study_ranking
    pathlib.Path("python-store").mkdir()

    with Run.join("python", config) as run:
        study(
            config, bnao.load_backend("pretend"), load_dataset(config.data), load_dataset(config.data, dev=False),
            run=run, store=Folder(pathlib.Path("python-store")),
        )  # fmt: skip

    assert {"run.json", "study.json", "log.jsonl" if "," not in sizes else "similar/run.json"} <= set(files("cli"))
    assert {"data", "config", "versions"} <= set(json.loads(pathlib.Path("python/study.json").read_text()))
    assert files("python") == files("cli")
    assert files("python-store") == files("cli-store")


def other_images(config):
    dataset = load_dataset(config.data)
    return evolve(dataset, x_train=np.flip(dataset.x_train, axis=0))


def test_a_search_in_python_is_not_gone_on_with_on_other_images():
    command(SEARCH)
    config = read_config("cli", SearchConfig)
    backend, dataset = bnao.load_backend("pretend"), other_images(config)

    with (
        Run.open("cli") as run,
        pytest.raises(RunError, match=r"cli was started with other data: .* in another folder"),
    ):
        bnao.search(
            config, backend.supernet(config, dataset), backend.controller(config),
            run=run, about=origin(about_images(dataset), config.machine, [backend]),
        )  # fmt: skip


def test_a_study_and_an_evaluation_in_python_are_not_gone_on_with_on_other_images():
    command(STUDY)
    config = read_config("cli", StudyConfig)
    backend, dataset = bnao.load_backend("pretend"), other_images(config)
    evaluation = EvaluateConfig(data=config.data, machine=config.machine, epochs=1)

    with Run.open("cli") as run, pytest.raises(RunError, match="cli was started with other data"):
        bnao.study_ranking(config, backend, dataset, dataset, run=run)
    with Run.join("evaluated", evaluation) as run:
        keep_about(run, origin(about_images(load_dataset(config.data)), config.machine))
        with pytest.raises(RunError, match="evaluated was started with other data"):
            bnao.evaluate([bnao.parse("NAONet-V2")], evaluation, backend, dataset, run=run)


def test_a_folder_takes_work_of_its_own_settings_alone():
    with Run.join("work", SearchConfig(rounds=2)):
        pass

    with Run.join("work", SearchConfig(rounds=2)) as run:
        assert run.config(SearchConfig).rounds == 2
    with pytest.raises(RunError, match="work was made for something else"):
        Run.join("work", EvaluateConfig())
    with pytest.raises(RunError, match="work was made with seed = 0, and now it is 1"):
        Run.join("work", SearchConfig(rounds=2, seed=1))


# --- studies of tables

TABLE_STUDIES = {
    "controllers": (
        "--space nas-bench-201 --table table.csv --test-column test --controllers random:5:2,evolution:5:2 --pool 5 "
        "--queries 15",
        ControllersConfig,
        {"run.json", "study.json", "searches/evolution-5-seed-1.json"},
    ),
    "predictor": (
        "--space nas-bench-201 --table table.csv --controller ridge --sizes 10,20 --seeds 2",
        PredictorConfig,
        {"run.json", "study.json", "trainings/20-seed-1.json"},
    ),
    "size": ("table.csv other.csv --resamples 100", SizeConfig, {"config.toml", "study.json"}),
    "agreement": (
        "table.csv --truth-column test --score-column score --draw 5 --draws 10 --resamples 100",
        AgreementConfig,
        {"config.toml", "study.json"},
    ),
}


def write_table(name, seed=0):
    genotypes = bnao.SPACES["nas-bench-201"].random_genotypes(40, stream(seed, "table"))
    figures = stream(seed, "figures").random((40, 3)).round(4).tolist()
    lines = [
        f"{genotype},{1000 + number},{','.join(map(str, figures[number]))}" for number, genotype in enumerate(genotypes)
    ]
    pathlib.Path(name).write_text("\n".join(["genotype,params,score,test_ep5,test", *lines]) + "\n")


def without_seconds(content):
    """Files of a study, but for how long the trainings of a predictor took, and for the checksums over that."""
    kept = {}
    for name, text in content.items():
        others = re.sub(rb'("seconds": |"each_seconds": )(\[[^]]*\]|[0-9.e-]+)', rb"\1_", text)
        kept[name] = text if others == text else re.sub(rb'"sha256": "[0-9a-f]*"', b"", others)
    return kept


@pytest.mark.parametrize("kind", TABLE_STUDIES)
def test_the_folder_of_a_study_of_tables_in_python_is_that_of_the_command(kind):
    options, config_of, expected = TABLE_STUDIES[kind]
    write_table("table.csv")
    write_table("other.csv", seed=1)
    command(f"study {kind} {options} --quiet --out cli")

    found = bnao.run_study(read_config("cli", config_of), "python")

    assert expected <= set(files("cli"))
    assert {"data", "config", "versions"} <= set(json.loads(pathlib.Path("python/study.json").read_text()))
    assert without_seconds(files("python")) == without_seconds(files("cli"))
    assert found is not None


def test_a_study_of_tables_knows_in_python_what_it_found_before():
    options, config_of, _ = TABLE_STUDIES["predictor"]
    write_table("table.csv")
    command(f"study predictor {options} --quiet --out cli")
    before, told = files("cli"), []

    bnao.run_study(read_config("cli", config_of), "cli", listen=told.append)

    assert [event["known"] for event in told if event["event"] == "training"] == [True] * 4
    assert files("cli") == before


def test_a_study_is_not_resumed_with_another_table():
    options, config_of, _ = TABLE_STUDIES["controllers"]
    write_table("table.csv")
    command(f"study controllers {options} --quiet --out cli")
    write_table("table.csv", seed=1)

    with pytest.raises(RunError, match=r"cli was started with other data: table table\.csv"):
        bnao.run_study(read_config("cli", config_of), "cli")


def test_a_study_that_names_no_table_says_so():
    with pytest.raises(ConfigError, match="table is None; name a CSV file"):
        bnao.run_study(PredictorConfig(), "python")
    assert not pathlib.Path("python").exists()
