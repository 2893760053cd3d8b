"""``--estimate``, and the end of a command that lacks memory: on work that is pretended."""

import json
from pathlib import Path

import pretend_backend
import pytest

from bnao.config.presets import preset
from bnao.config.settings import SearchConfig
from bnao.config.strategies import STEP_LEVEL
from bnao.memory import is_out_of_memory, what_to_lower
from bnao.reporting.estimates import estimate_search
from tests.cli.commands.test_study import SMALL
from tests.cli.test_cli import PRETEND, bnao, finished, on_table, refused, table, workplace  # noqa: F401  # by name


def costs(*arguments):
    done = bnao(*arguments, "--estimate", "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def units(content):
    return {(work["name"], work["unit"]): work["units"] for work in content["work"]}


def test_a_searchs_estimate_counts_its_steps_scores_and_epochs_and_makes_nothing():
    found = costs(*PRETEND, "--rescore", "all")

    # two rounds of 8 steps; 12 genotypes are scored, then 18
    assert units(found)["supernet", "step"] == 16
    assert units(found)["scores", "genotype"] == 30
    assert found["seconds"] == pytest.approx(sum(work["units"] * work["seconds_each"] for work in found["work"]))
    assert found["peak_memory_bytes"] > 10**6
    assert list(Path().iterdir()) == []


def test_without_rescoring_each_genotype_is_scored_once():
    assert units(costs(*PRETEND, "--rescore", "new"))["scores", "genotype"] == 18


@pytest.mark.parametrize("strategy", STEP_LEVEL)
def test_a_search_by_each_strategy_is_counted_before_it_starts(strategy):
    found = units(costs(*PRETEND, "--strategy", strategy, "--top", 2))

    assert sum(number for (name, _), number in found.items() if name.startswith("updates")) == 16
    # quick: evolution in 5 generations of 20; ENAS scores 20 candidates, the others what they chose
    assert found["scores", "genotype"] == {"spos": 100, "fairnas": 100, "enas": 20}.get(strategy, 2)
    assert ("rewards of the policy" in {name for name, _ in found}) == (strategy == "enas")
    assert list(Path().iterdir()) == []


def test_later_stages_of_p_darts_cost_by_their_cells_and_operations():
    work = costs(*PRETEND, "--strategy", "p-darts", "--space", "darts", "--p-darts-depths", "1,3,5")["work"]

    # 5, 11 and 17 cells of 7, 5 and 3 operations
    stages = [each["seconds_each"] for each in work if each["name"].startswith("updates")]
    assert [each / stages[0] for each in stages] == pytest.approx([1, 11 * 5 / 35, 17 * 3 / 35])


def test_a_search_without_shared_weights_is_counted_by_its_trainings():
    found = costs(*PRETEND, "--sharing", "none", "--alone-epochs", 3)

    # an epoch of a training that is pretended is one step
    assert units(found)["trainings of the pool", "step"] == 18 * 3


def test_an_evaluations_estimate_counts_every_training(finished):  # noqa: F811
    found = costs("evaluate", finished, "--top", 3, "--epochs", 2, "--repeats", 2)

    assert units(found) == {("trainings", "step"): 3 * 2 * 2}
    assert not list(finished.glob("evaluate-*"))


def test_a_studys_estimate_counts_trainings_supernets_and_scores():
    found = costs("study", "ranking", *SMALL, "--out", "s")

    # six genotypes, two repeats; 2 samplers and 2 seeds, scored at two marks
    names = {name for name, _ in units(found)}
    assert names == {"stand-alone trainings", "supernets", "scores"}
    assert units(found)["scores", "genotype"] == 2 * 2 * 2 * 6
    assert not Path("s").exists()


def test_an_estimate_for_people_has_a_total():
    shown = bnao(*PRETEND, "--estimate").stdout

    assert "total" in shown
    assert "peak memory" in shown


def test_a_table_costs_nothing(on_table):  # noqa: F811
    assert "a table is looked up: nothing is trained" in bnao(*on_table, "--estimate").stdout


def test_three_real_steps_of_the_first_search_are_measured():
    pytest.importorskip("torch")

    found = estimate_search(preset(SearchConfig, "quick-fused"))

    by_name = {work.name: work for work in found.work}
    assert by_name["supernet"].units == 888
    assert all(work.seconds_each > 0 for work in found.work)
    assert {"supernet", "scores", "controller", "zero-cost scores"} <= set(by_name)


# --- too little memory


@pytest.mark.parametrize(
    ("error", "where"),
    [
        (RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB."), "the device has too little memory"),
        (MemoryError("Unable to allocate 9. GiB for an array"), "this machine has too little memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"), "this machine has"),
        (RuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate"), "this machine has too little"),
    ],
)
def test_too_little_memory_ends_in_one_line_that_names_what_to_lower(error, where, monkeypatch):
    def step(self, *arguments, **others):
        raise error

    monkeypatch.setattr(pretend_backend._Supernet, "train", step)

    why = refused(1, *PRETEND, "--quiet", "--out", "run")

    assert where in why
    assert "lower --batch-size first, then --channels, --cells or --image-size" in why


def test_torch_says_that_memory_did_not_suffice():
    torch = pytest.importorskip("torch")
    with pytest.raises(RuntimeError) as told:
        torch.empty(2**60, dtype=torch.uint8)

    assert is_out_of_memory(told.value)
    assert "this machine" in what_to_lower(told.value)


def test_another_error_is_a_bug_and_keeps_its_traceback(monkeypatch):
    def step(self, *arguments, **others):
        raise RuntimeError("a bug")

    monkeypatch.setattr(pretend_backend._Supernet, "train", step)

    with pytest.raises(RuntimeError, match="a bug"):
        bnao(*PRETEND, "--quiet", "--out", "run")
