"""Algorithm 1 on small tables: what is trained, scored, proposed and kept."""

import contextlib
import json

import numpy as np
import pytest
from attrs import evolve

from bnao.backends.table import TableSupernet
from bnao.config.settings import ControllerConfig, NetworkConfig, SearchConfig
from bnao.errors import ConfigError, GenotypeError, ProtocolError, RunError, SizeError
from bnao.network.size import count_multiply_adds, count_parameters
from bnao.network.state import read_weights
from bnao.protocols import Controller, Epoch, HeldOut, Scorer, Step
from bnao.run import Run
from bnao.sampler import ProportionalSampler
from bnao.space.notation.notations import to_text
from bnao.space.spaces import SPACES
from bnao.strategies.evolution import EvolutionController
from bnao.strategies.fusion import Fusion
from bnao.strategies.journal import add_rounds
from bnao.strategies.random_search import RandomController
from bnao.strategies.result import Learning, Ranked, SearchResult, read_result
from bnao.strategies.rounds import check_start, search
from bnao.streams import stream

SPACE = SPACES["nao"]
NETWORK = NetworkConfig(channels=8, cells=1)


class CountingSupernet:
    """A supernet whose weights count how often each genotype was trained; a score is how often, mostly."""

    network = NETWORK
    epoch_steps = 10
    scored_images = 100
    candidates = None

    def __init__(self):
        self.trained = []
        self.scored = []
        self.count = np.zeros(1, np.float32)

    def train(self, pool, drawn, *, round_index, start=0):
        for step in range(start, len(drawn)):
            self.trained.append((round_index, step, pool[drawn[step]]))
            self.count += 1
            yield Step(step, int(drawn[step]), 1.0 / (1 + step), 0.1)

    def score(self, genotypes):
        self.scored.append(list(genotypes))
        return np.array([count_parameters(genotype, self.network) % 101 / 101 for genotype in genotypes])

    def sizes(self, genotypes):
        return None

    def state(self):
        return {"count": self.count.copy()}

    def load_state(self, state):
        self.count = np.array(state["count"])


class NoIdeas:
    """A controller that proposes nothing."""

    def fit(self, genotypes, scores, *, round_index):
        yield Epoch(0, 0.5, 0.001)

    def propose(self, seeds, n, accept, *, round_index):
        return []


@pytest.fixture
def config():
    return SearchConfig(rounds=3, pool=12, new=6, n_seeds=4, epochs=4, network=NETWORK)


@pytest.fixture
def controller():
    return RandomController(SPACE, ControllerConfig(), 0)


def test_a_search_trains_scores_and_ranks_as_many_genotypes_as_the_settings_say(config, controller):
    supernet = CountingSupernet()

    result = search(config, supernet, controller)

    assert len(supernet.trained) == 3 * 4 * 10  # rounds x epochs x steps of an epoch
    assert len(result.ranked) == len({entry.genotype for entry in result.ranked}) == 12 + 2 * 6
    scores = [entry.score for entry in result.ranked]
    assert scores == sorted(scores, reverse=True)
    assert [entry.round for entry in result.ranked].count(1) == 12


def test_a_round_trains_only_its_new_genotypes_unless_all_are_asked_for(config, controller):
    new, everything = CountingSupernet(), CountingSupernet()

    first_pool = {e.genotype for e in search(config, new, controller).ranked if e.round == 1}
    search(evolve(config, sample_from="all"), everything, controller)

    assert {genotype for round_index, _, genotype in new.trained if round_index > 0}.isdisjoint(first_pool)
    assert {genotype for round_index, _, genotype in everything.trained if round_index > 0} & first_pool


def test_every_round_scores_all_again_unless_only_the_new_are_asked_for(config, controller):
    everything, new = CountingSupernet(), CountingSupernet()

    search(config, everything, controller)
    search(evolve(config, rescore="new"), new, controller)

    assert sum(map(len, everything.scored)) == 12 + 18 + 24
    assert sum(map(len, new.scored)) == 12 + 6 + 6


def test_updates_follow_equation_4(config, controller):
    supernet = CountingSupernet()
    steps = 3000

    result = search(evolve(config, rounds=1, steps=steps), supernet, controller)

    total = sum(entry.parameters for entry in result.ranked)
    for entry in result.ranked:
        assert entry.expected_updates == pytest.approx(steps * entry.parameters / total, abs=1e-5)
        # five standard deviations of a binomial count
        assert abs(entry.updates - entry.expected_updates) < 5 * entry.expected_updates**0.5
        assert entry.updates == sum(genotype == entry.genotype for _, _, genotype in supernet.trained)


def test_alpha_0_is_the_uniform_sampler(config, controller):
    result = search(evolve(config, rounds=1, alpha=0.0), CountingSupernet(), controller)
    uniform = search(evolve(config, rounds=1, sampler="uniform"), CountingSupernet(), controller)

    assert [entry.updates for entry in result.ranked] == [entry.updates for entry in uniform.ranked]
    assert {entry.expected_updates for entry in result.ranked} == {round(40 / 12, 6)}


def test_the_budget_sampler_gives_each_its_budget_exactly(config, controller):
    result = search(evolve(config, rounds=1, sampler="budget"), CountingSupernet(), controller)

    assert all(abs(entry.updates - entry.expected_updates) < 1 for entry in result.ranked)


def test_size_can_be_multiply_adds_or_any_function(config, controller):
    by_products = search(evolve(config, rounds=1, size="multiply-adds"), CountingSupernet(), controller)
    by_function = search(evolve(config, rounds=1), CountingSupernet(), controller, size=lambda g: np.ones(len(g)))

    assert all(entry.size == count_multiply_adds(entry.genotype, NETWORK) for entry in by_products.ranked)
    assert {entry.expected_updates for entry in by_function.ranked} == {round(40 / 12, 6)}
    with pytest.raises(SizeError, match=r"sizes\[0\] is 0"):
        search(config, CountingSupernet(), controller, size=lambda g: np.zeros(len(g)))


def test_a_controller_without_ideas_is_helped_out_by_random_genotypes_and_the_events_say_so(config):
    events = []

    result = search(config, CountingSupernet(), NoIdeas(), listen=events.append)

    pools = [event for event in events if event["event"] == "pool"]
    assert [pool["sources"] for pool in pools] == [{"random": 12}, {"nao": 0, "random": 6}, {"nao": 0, "random": 6}]
    assert len(result.ranked) == 24


def test_every_genotype_keeps_the_budgets(config, controller):
    most = int(np.median(count_parameters(SPACE.random_genotypes(100, stream(0, "sample")), NETWORK)))

    result = search(evolve(config, max_parameters=most), CountingSupernet(), controller)

    assert max(entry.parameters for entry in result.ranked) <= most


def test_a_budget_nothing_can_keep_is_refused_with_figures(config, controller):
    with pytest.raises(ConfigError, match=r"only 0 of [\d,]+ random genotypes keep the budget \(at most 10 parameters"):
        search(evolve(config, max_parameters=10), CountingSupernet(), controller)


def test_a_space_that_is_exhausted_on_the_way_ends_the_search_with_what_there_is(config):
    tiny = evolve(SPACE, nodes=1)
    supernet = CountingSupernet()
    supernet.network = evolve(NETWORK, nodes=1)
    most = int(np.sort(count_parameters(tiny.random_genotypes(200, stream(0, "tiny")), supernet.network))[5])
    config = evolve(config, rounds=60, pool=4, new=4, steps=1, max_parameters=most, network=supernet.network)

    result = search(config, supernet, NoIdeas())

    assert 4 <= len(result.ranked) < 4 + 59 * 4
    assert max(entry.parameters for entry in result.ranked) <= most


def test_the_standard_error_is_that_of_a_share_of_the_dev_images(config, controller):
    result = search(config, CountingSupernet(), controller)

    for entry in result.ranked:
        assert entry.standard_error == pytest.approx((entry.score * (1 - entry.score) / 100) ** 0.5, abs=1e-6)


def test_a_result_survives_json(config, controller):
    result = search(config, CountingSupernet(), controller)

    assert SearchResult.from_json(json.loads(json.dumps(result.to_json()))) == result


def test_genotypes_that_come_back_from_plain_data_know_how_their_output_forms():
    genotypes = SPACES["darts"].random_genotypes(2, stream(0, "read again"))
    ranked = tuple(Ranked(genotype, 0.5, None, 10.0, 10, 100, 1, 0, 0.0) for genotype in genotypes)

    again = SearchResult.from_json(SearchResult("darts", 0, ranked).to_json())

    assert [entry.genotype for entry in again.ranked] == genotypes
    assert {entry.genotype.output for entry in again.ranked} == {"nodes"}


def test_a_result_shows_itself_in_a_line_and_in_a_notebook_by_its_ten_best():
    genotypes = SPACES["darts"].random_genotypes(12, stream(0, "shown"))
    ranked = tuple(Ranked(each, 0.5, None, 10.0, 1234, 5678, 1, 0, 0.0) for each in genotypes)

    result = SearchResult("darts", 3, ranked)

    assert repr(result) == f"SearchResult(darts, seed 3, 12 genotypes, the best 0.5: {genotypes[0]})"
    assert repr(SearchResult("darts", 3, ())) == "SearchResult(darts, seed 3, 0 genotypes)"
    shown = result._repr_html_()
    assert "seed 3: 10 of 12 genotypes" in shown
    assert shown.count("<tr>") == 11
    assert f"<td>10</td><td>0.5000</td><td>1,234</td><td>5,678</td><td>{genotypes[9]}</td>" in shown


def test_the_best_are_reranked_by_their_own_training(config, controller):
    plain = search(config, CountingSupernet(), controller)
    worst_first = {entry.genotype: number / 10 for number, entry in enumerate(plain.ranked)}

    result = search(config, CountingSupernet(), controller, rerank=worst_first.__getitem__)

    assert [e.genotype for e in result.ranked[:5]] == [e.genotype for e in plain.ranked[:5]][::-1]
    assert result.ranked[5:] == plain.ranked[5:]


def by_size_alone(genotypes, scores, listen):
    listen({"event": "probed", "genotype": len(genotypes), "of": len(genotypes)})
    sizes = np.array([str(genotype).count("sep_conv") for genotype in genotypes], dtype=np.float64)
    undefined = np.where(np.arange(len(genotypes)) == 0, np.nan, 1.0)
    return Fusion(sizes, {"score": scores, "size": sizes, "naswot": undefined}, {"size": 1.0})


def test_a_fused_ranking_is_by_the_joined_scores_and_shows_the_parts(config, controller):
    plain = search(config, CountingSupernet(), controller)

    result = search(config, CountingSupernet(), controller, fuse=by_size_alone)

    counts = [str(entry.genotype).count("sep_conv") for entry in result.ranked]
    assert counts == sorted(counts, reverse=True)
    assert [entry.fused for entry in result.ranked] == counts
    assert {entry.genotype: entry.parts["score"] for entry in result.ranked} == {
        entry.genotype: entry.score for entry in plain.ranked
    }
    assert [entry.genotype for entry in result.ranked if entry.parts["naswot"] is None] == [plain.best]
    assert result.fusion == {"weights": {"size": 1.0}, "landmarks": 0}
    assert SearchResult.from_json(json.loads(json.dumps(result.to_json()))) == result
    assert "fused" not in json.dumps(plain.to_json())


def test_the_top_of_a_fused_ranking_is_what_is_reranked(config, controller):
    fused = search(config, CountingSupernet(), controller, fuse=by_size_alone)
    worst_first = {entry.genotype: number / 10 for number, entry in enumerate(fused.ranked)}

    result = search(config, CountingSupernet(), controller, fuse=by_size_alone, rerank=worst_first.__getitem__)

    assert [e.genotype for e in result.ranked[:5]] == [e.genotype for e in fused.ranked[:5]][::-1]


def test_a_fused_ranking_needs_something_that_joins_the_scores(config, controller):
    with pytest.raises(ConfigError, match="rank_by is fused, and nothing is given that joins scores"):
        search(evolve(config, rank_by="fused"), CountingSupernet(), controller)


# --- tables


@pytest.fixture
def table():
    pool = SPACE.random_genotypes(40, stream(0, "table"))
    return TableSupernet(pool, scores=np.linspace(0.1, 0.9, 40), network=NETWORK)


def test_a_search_on_a_table_proposes_only_its_rows_and_ends_when_all_are_known(config, table):
    result = search(evolve(config, rounds=20), table, EvolutionController(SPACE, ControllerConfig(), 0))

    assert {entry.genotype for entry in result.ranked} == set(table.candidates)
    assert result.best == table.candidates[-1]
    assert result.ranked[0].standard_error is None


# --- the run's folder


class Killed(BaseException):
    pass


def _contents(folder):
    """Every file's content; in the log, all but the seconds."""
    contents = {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.name != ".lock"}
    events = [json.loads(line) for line in contents.pop("log.jsonl").splitlines()]
    return contents, [{name: value for name, value in event.items() if name != "seconds"} for event in events]


def test_of_a_pool_of_one_size_the_newest_take_the_place_of_the_worst(config, controller):
    supernet = CountingSupernet()

    result = search(evolve(config, sample_from="survivors", rescore="trained"), supernet, controller)

    first, second, third = (dict.fromkeys(some) for some in _scored_by_round(supernet, 12))
    assert len(first) == len(second) == len(third) == 12
    best = sorted(first, key=lambda each: -(count_parameters(each, NETWORK) % 101))[:6]
    assert set(first) & set(second) == set(best)
    assert {entry.genotype for entry in result.ranked} == set(third)
    assert {genotype for index, _, genotype in supernet.trained if index == 1} <= set(second)


def _scored_by_round(supernet, n):
    scored = [genotype for some in supernet.scored for genotype in some]
    return [scored[at : at + n] for at in range(0, len(scored), n)]


@pytest.mark.parametrize(("rescore", "sample_from"), [("all", "new"), ("new", "new"), ("trained", "survivors")])
def test_a_search_killed_after_any_event_ends_as_if_it_had_not_been(config, controller, tmp_path, rescore, sample_from):
    config = evolve(
        config, rounds=2, epochs=1, checkpoint_seconds=0.0, rescore=rescore, sample_from=sample_from
    )  # fmt: skip
    with Run.create(tmp_path / "whole", config) as run:
        events = []
        whole = search(config, CountingSupernet(), controller, run=run, listen=events.append)

    for last in range(len(events)):
        left = iter(range(last))

        def kill(event, left=left):
            if next(left, None) is None:
                raise Killed

        folder = tmp_path / f"killed after {last}"
        with Run.create(folder, config) as run, pytest.raises(Killed):
            search(config, CountingSupernet(), controller, run=run, listen=kill)
        with Run.open(folder) as run:
            resumed = search(config, CountingSupernet(), controller, run=run)

        assert resumed == whole
        assert _contents(folder) == _contents(tmp_path / "whole")


def test_a_full_disk_keeps_the_last_complete_round_and_the_search_goes_on_from_it(
    config, controller, tmp_path, monkeypatch
):
    with Run.create(tmp_path / "whole", config) as run:
        whole = search(config, CountingSupernet(), controller, run=run)
    original = Run.write

    def full(self, name, content):
        if name == "round-2-scores.json":
            raise self._cannot_write(name, OSError(28, "No space left on device"))
        original(self, name, content)

    monkeypatch.setattr(Run, "write", full)
    with Run.create(tmp_path / "run", config) as run, pytest.raises(RunError, match="No space left on device"):
        search(config, CountingSupernet(), controller, run=run)
    monkeypatch.undo()

    assert (tmp_path / "run" / "round-1-scores.json").exists()
    with Run.open(tmp_path / "run") as run:
        assert search(config, CountingSupernet(), controller, run=run) == whole


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("round-1-pool.json", '{"format": 1}', "it lacks what bnao wrote in it"),
        ("round-1-pool.json", '{"format": 1, "space": "nao", "pool": [{"genotype": "x"}]}', "node 0 has the edge 'x'"),
        ("round-1-scores.json", '{"format": 1, "scores": [{"genotype": 3}]}', "it lacks what bnao wrote in it"),
        ("round-1-scores.json", '{"format": 1, "scores": 5}', "it lacks what bnao wrote in it"),
    ],
)
def test_a_file_of_the_run_that_was_changed_into_something_else_is_named(
    config, controller, tmp_path, name, content, told
):
    with Run.create(tmp_path / "run", config) as run:
        search(config, CountingSupernet(), controller, run=run)
    (tmp_path / "run" / name).write_text(content)

    with Run.open(tmp_path / "run") as run, pytest.raises(RunError, match=f"{name} was changed by hand .*: {told}"):
        search(config, CountingSupernet(), controller, run=run)


def flip(path, place):
    """Change one bit of a file."""
    content = bytearray(path.read_bytes())
    content[place] ^= 4
    path.write_bytes(content)


def folder_of(path):
    """The files of a run but its log, which has times in it."""
    return {file.name: file.read_bytes() for file in path.iterdir() if file.name != "log.jsonl"}


@pytest.mark.parametrize(
    ("damaged", "missing", "told", "trained"),
    [
        (("checkpoint.safetensors",), (), "from the end of round 2", [2]),
        ((), ("checkpoint.safetensors",), "from the end of round 2", [2]),
        # what a later round's weights would score is another result
        ((), ("round-2-scores.json",), "from the end of round 2", [2]),
        ((), ("round-1-scores.json",), "from the beginning", [0, 1, 2]),
        (("checkpoint.safetensors", "checkpoint-earlier.safetensors"), (), "from the beginning", [0, 1, 2]),
    ],
)
def test_a_damaged_checkpoint_falls_back_to_the_last_whole_one_and_the_search_ends_alike(
    config, controller, tmp_path, caplog, damaged, missing, told, trained
):
    with Run.create(tmp_path / "run", config) as run:
        whole = search(config, CountingSupernet(), controller, run=run)
        events = [(event["event"], event.get("step")) for event in run.events()]
    files = folder_of(tmp_path / "run")
    for name in damaged:
        flip(tmp_path / "run" / name, -1)
    for name in ("result.json", *missing):
        (tmp_path / "run" / name).unlink()
    again = CountingSupernet()

    with Run.open(tmp_path / "run") as run:
        assert search(config, again, controller, run=run) == whole
        assert [(event["event"], event.get("step")) for event in run.events()] == events

    assert f"resuming {told}; what came after it is computed again" in caplog.text
    assert ("checkpoint.safetensors is damaged" in caplog.text) == bool(damaged)
    assert sorted({round_index for round_index, _, _ in again.trained}) == trained
    assert folder_of(tmp_path / "run") == files


@pytest.mark.parametrize("name", ["round-2-pool.json", "round-2-scores.json", "result.json"])
def test_a_flipped_bit_in_a_file_of_the_run_is_noticed(config, controller, tmp_path, name):
    with Run.create(tmp_path / "run", config) as run:
        search(config, CountingSupernet(), controller, run=run)
    path = tmp_path / "run" / name
    text = path.read_text()
    at = text.rindex("0.") + 2  # the first digit of a number
    path.write_text(f"{text[:at]}{9 - int(text[at])}{text[at + 1 :]}")

    with pytest.raises(RunError, match=f"{name} is damaged or was changed.* delete it and resume"):
        if name == "result.json":
            read_result(tmp_path / "run")
        else:
            with Run.open(tmp_path / "run") as run:
                search(config, CountingSupernet(), controller, run=run)


def without_checksum(path, change):
    """Change a file as an earlier version, which had no checksums, might have written it."""
    content = json.loads(path.read_text())
    del content["sha256"]
    change(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("name", "change", "told"),
    [
        ("round-2-pool.json", lambda content: content["pool"].clear(), "a round has one genotype or more"),
        ("round-2-pool.json", lambda content: content["pool"].pop(), "it has scores of 18 genotypes, and not of the"),
        (
            "round-2-pool.json",
            lambda content: content["pool"].append(content["pool"][0]),
            "a round .* none twice; it has 7",
        ),
        ("round-1-scores.json", lambda content: content["scores"].pop(), "it has scores of 11 genotypes, and not"),
        ("round-1-scores.json", lambda content: content["scores"][0].update(score=True), "it lacks what bnao wrote"),
    ],
)
def test_a_file_of_another_length_or_type_is_named(config, controller, tmp_path, name, change, told):
    with Run.create(tmp_path / "run", config) as run:
        search(config, CountingSupernet(), controller, run=run)
    without_checksum(tmp_path / "run" / name, change)

    with Run.open(tmp_path / "run") as run, pytest.raises(RunError, match=f"json was changed by hand .*: {told}"):
        search(config, CountingSupernet(), controller, run=run)


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content["ranked"].clear(),
        lambda content: content["ranked"][0].update(score="high"),
        lambda content: content["ranked"][0].pop("score"),
        lambda content: content.update(seed=[1]),
        lambda content: content["ranked"][0].update(round=None),
    ],
)
def test_a_result_of_other_content_is_named(config, controller, tmp_path, change):
    with Run.create(tmp_path / "run", config) as run:
        search(config, CountingSupernet(), controller, run=run)
    without_checksum(tmp_path / "run" / "result.json", change)

    with pytest.raises(RunError, match=r"result\.json was changed by hand or by another program"):
        read_result(tmp_path / "run")


def test_lines_of_the_log_that_are_no_events_are_left_out(config, controller, tmp_path):
    with Run.create(tmp_path / "run", config) as run:
        whole = search(config, CountingSupernet(), controller, run=run)
        events = list(run.events())
    with open(tmp_path / "run" / "log.jsonl", "a") as log:
        log.write('[1]\n{"a": 1}\nnot json\n{"event": "step"}\n')

    with Run.open(tmp_path / "run") as run:
        assert search(config, CountingSupernet(), controller, run=run) == whole
        assert [e["event"] for e in run.events()] == [e["event"] for e in events]


def test_the_files_of_a_round_hold_its_pool_scores_and_updates(config, controller, tmp_path):
    with Run.create(tmp_path / "run", config) as run:
        result = search(config, CountingSupernet(), controller, run=run)
        pool = run.read_json("round-2-pool.json")
        scores = run.read_json("round-2-scores.json")

    assert pool["sources"] == {"nao": 6, "random": 0}
    assert [entry["size"] for entry in pool["pool"]] == [
        entry.size
        for text in (e["genotype"] for e in pool["pool"])
        for entry in result.ranked
        if str(entry.genotype) == text
    ]
    assert len(scores["scores"]) == 12 + 6
    assert set(scores["scores"][0]) == {"genotype", "score", "standard_error", "updates", "expected_updates"}


def test_the_logs_draws_are_the_samplers(config, controller, tmp_path):
    with Run.create(tmp_path / "run", config) as run:
        search(config, CountingSupernet(), controller, run=run)
        steps = [event for event in run.events() if event["event"] == "step" and event["round"] == 2]
        sizes = [entry["size"] for entry in run.read_json("round-2-pool.json")["pool"]]

    seed = int(stream(0, "sampler", 1).integers(2**63))
    assert [step["genotype"] for step in steps] == ProportionalSampler(range(6), sizes, seed).draw(40).tolist()
    assert [step["step"] for step in steps] == list(range(1, 41))
    assert set(steps[0]) >= {"round", "step", "loss", "rate", "genotype", "seconds"}


# --- a first pool from a file


@pytest.fixture
def pool_file(tmp_path):
    """Five genotypes in six lines, in several notations; the third line says again what the first says."""
    known = SPACE.random_genotypes(5, stream(0, "pool file"))
    lines = [str(known[0]), "# a comment", str(known[0]), to_text(known[1], SPACE, "json"), *map(str, known[2:])]
    path = tmp_path / "pool.txt"
    path.write_text("\n".join(lines) + "\n")
    return path, known


def test_the_first_pool_is_that_of_the_file_and_random_ones_fill_it_up(config, controller, pool_file):
    path, known = pool_file
    events = []

    result = search(evolve(config, pool_file=str(path)), CountingSupernet(), controller, listen=events.append)

    first = [entry.genotype for entry in result.ranked if entry.round == 1]
    assert len(first) == 12
    assert set(known) < set(first)
    (pool, *_) = [event for event in events if event["event"] == "pool"]
    assert (pool["sources"], pool["duplicates"]) == ({"file": 5, "random": 7}, 1)


def test_a_line_of_the_pools_file_may_be_a_genotype_of_a_run(config, controller, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with Run.create("before", config) as run:
        before = search(config, CountingSupernet(), controller, run=run)
    (tmp_path / "pool.txt").write_text(f"before:3\nbefore:{before.ranked[1].genotype.id}\n")

    result = search(evolve(config, pool=2, pool_file="pool.txt"), CountingSupernet(), controller)

    first = {entry.genotype for entry in result.ranked if entry.round == 1}
    assert first == {before.ranked[2].genotype, before.ranked[1].genotype}
    (tmp_path / "pool.txt").write_text("before:1\nnowhere:1\n")
    with pytest.raises(RunError, match=r"pool\.txt, line 2: no folder nowhere"):
        check_start(evolve(config, pool_file="pool.txt"), CountingSupernet(), controller)


def test_a_file_of_more_genotypes_than_the_pools_size_is_the_pool(config, controller, pool_file):
    result = search(evolve(config, pool=2, pool_file=str(pool_file[0])), CountingSupernet(), controller)

    assert {entry.genotype for entry in result.ranked if entry.round == 1} == set(pool_file[1])


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (["x"], r"pool.txt, line 2: 'x' is not a genotype"),
        (["DARTS_V2"], r"pool.txt, line 2: DARTS_V2 is of space 'darts'"),
        ([], "pool.txt has no genotype; it must have one per line"),
    ],
)
def test_a_line_of_the_pools_file_that_is_no_genotype_of_the_space_is_named(config, controller, tmp_path, lines, told):
    (tmp_path / "pool.txt").write_text("\n".join(["# mine", *lines]))

    with pytest.raises((GenotypeError, ConfigError), match=told):
        check_start(evolve(config, pool_file=str(tmp_path / "pool.txt")), CountingSupernet(), controller)


def test_a_pool_file_that_is_absent_or_breaks_the_budget_or_is_not_in_the_table_is_refused(
    config, controller, pool_file, table
):
    path, known = pool_file
    sizes = count_parameters(known, NETWORK)
    most = int(np.sort(sizes)[3])
    assert sizes.argmax() > 0  # else it is also the third line
    line = sizes.argmax() + 3
    with pytest.raises(ConfigError, match=r"cannot read no.txt: No such file"):
        check_start(evolve(config, pool_file="no.txt"), CountingSupernet(), controller)
    with pytest.raises(ConfigError, match=rf"pool.txt, line {line}: the genotype does not keep the budget \(at most"):
        check_start(evolve(config, pool_file=str(path), max_parameters=most), CountingSupernet(), controller)
    with pytest.raises(ConfigError, match=r"pool.txt, line 1: the table has no row for the genotype"):
        check_start(evolve(config, pool_file=str(path)), table, controller)


def test_a_search_with_a_pool_file_is_resumed_without_it(config, controller, tmp_path, pool_file):
    config = evolve(config, pool_file=str(pool_file[0]))
    whole = search(config, CountingSupernet(), controller)

    def kill(event):
        if event["event"] != "plan":  # told before anything is done
            raise Killed

    with Run.create(tmp_path / "run", config) as run, pytest.raises(Killed):
        search(config, CountingSupernet(), controller, run=run, listen=kill)
    pool_file[0].unlink()
    with Run.open(tmp_path / "run") as run:
        assert search(config, CountingSupernet(), controller, run=run) == whole


# --- more rounds, and another search's weights


class Momentum(CountingSupernet):
    """A supernet whose score depends on all its steps and on a momentum, which a weights file lacks."""

    def __init__(self):
        super().__init__()
        self.momentum = np.zeros(1, np.float32)

    def train(self, pool, drawn, *, round_index, start=0):
        for step in super().train(pool, drawn, round_index=round_index, start=start):
            self.momentum = self.momentum * np.float32(0.9) + np.float32(step.index)
            self.count += self.momentum
            yield step

    def score(self, genotypes):
        return super().score(genotypes) * float(self.count[0] % 7 + 1) / 8

    def state(self):
        return super().state() | {"momentum.count": self.momentum.copy()}

    def load_state(self, state):
        super().load_state(state)
        self.momentum = np.array(state.get("momentum.count", np.zeros(1, np.float32)))


@pytest.mark.parametrize("finished", [True, False])
def test_a_run_resumed_to_more_rounds_is_bit_for_bit_one_that_was_started_with_them(
    config, controller, tmp_path, finished
):
    with Run.create(tmp_path / "whole", config) as run:
        whole = search(config, Momentum(), controller, run=run)
    short = evolve(config, rounds=2)

    def kill(event):
        if not finished and event["event"] == "step" and (event["round"], event["step"]) == (2, 3):
            raise Killed

    with Run.create(tmp_path / "run", short) as run, contextlib.suppress(Killed):
        search(short, Momentum(), controller, run=run, listen=kill)
    assert (tmp_path / "run" / "result.json").exists() == finished
    with Run.open(tmp_path / "run") as run:
        longer = add_rounds(run, 3)
        assert not run.has("result.json")
        assert search(longer, Momentum(), controller, run=run) == whole

    assert longer == config
    (files, events), (files_of_whole, events_of_whole) = (_contents(tmp_path / name) for name in ("run", "whole"))
    assert files == files_of_whole
    for event in events + events_of_whole:
        event.pop("rounds", None)  # the first ones were logged when there were to be two
    assert events == events_of_whole


def test_rounds_that_were_begun_are_not_taken_back(config, controller, tmp_path):
    with Run.create(tmp_path / "run", config) as run:
        search(config, CountingSupernet(), controller, run=run)

        with pytest.raises(ConfigError, match="has begun 3 rounds; rounds is 2 and must be at least 3"):
            add_rounds(run, 2)
        assert add_rounds(run, 3) == config
        assert run.has("result.json")


def test_a_run_without_its_checkpoints_gets_no_more_rounds(config, controller, tmp_path):
    with Run.create(tmp_path / "run", config) as run:
        search(config, CountingSupernet(), controller, run=run)
    for name in ("checkpoint.safetensors", "checkpoint-earlier.safetensors"):
        (tmp_path / "run" / name).unlink()

    with Run.open(tmp_path / "run") as run, pytest.raises(RunError, match=r"has no checkpoint.* of the end of round 3"):
        search(add_rounds(run, 4), CountingSupernet(), controller, run=run)


def test_a_search_begins_with_the_weights_of_another_and_needs_its_folder_no_more_once_it_has_begun(
    config, controller, tmp_path
):
    with Run.create(tmp_path / "first", config) as run:
        search(config, Momentum(), controller, run=run)
    further = evolve(config, seed=1, from_supernet=str(tmp_path / "first"))
    supernet = Momentum()
    with Run.create(tmp_path / "whole", further) as run:
        whole = search(further, supernet, controller, run=run)
    made = 3 * 4 * 10

    def kill(event):
        if event["event"] != "plan":  # told before anything is done
            raise Killed

    with Run.create(tmp_path / "run", further) as run, pytest.raises(Killed):
        search(further, Momentum(), controller, run=run, listen=kill)
    (tmp_path / "first").rename(tmp_path / "elsewhere")
    with Run.open(tmp_path / "run") as run:
        assert search(further, Momentum(), controller, run=run) == whole

    alone = Momentum()
    search(evolve(further, from_supernet=None), alone, controller)
    first, _ = read_weights(tmp_path / "elsewhere" / "supernet.safetensors")
    assert len(supernet.trained) == made
    assert supernet.count == pytest.approx(alone.count + first["count"], rel=1e-5)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"channels": 12}, "a search with channels = 12, and here channels = 8; they must agree"),
        ({"cells": 2}, "cells = 2"),
        ({"nodes": 4}, "nodes = 4, and here nodes = 5"),
        ({"space": "darts"}, "space = darts"),
        ({"slots": "sorted"}, "slots = sorted, and here slots = hashed; they must agree"),
    ],
)
def test_a_supernet_of_another_network_is_no_first_supernet(config, controller, tmp_path, change, told):
    other = evolve(config, network=evolve(NETWORK, **change))
    with Run.create(tmp_path / "first", other):
        pass

    with pytest.raises(ConfigError, match=told):
        check_start(evolve(config, from_supernet=str(tmp_path / "first")), CountingSupernet(), controller)
    with pytest.raises(RunError, match="is not finished"):
        check_start(evolve(other, from_supernet=str(tmp_path / "first")), _of_network(other.network), controller)


def _of_network(network):
    supernet = CountingSupernet()
    supernet.network = network
    return supernet


def test_a_table_begins_with_no_weights(config, controller, table):
    with pytest.raises(ConfigError, match="from_supernet is first, and no supernet is trained here"):
        check_start(evolve(config, from_supernet="first"), table, controller)


# --- what the controller learned


class Foreteller(RandomController):
    """Proposes random genotypes, predicts their size, and says that it held out two genotypes."""

    def predict(self, genotypes):
        return count_parameters(genotypes, NETWORK).astype(float)

    def held_out(self):
        return HeldOut(10, 2, 1.0, None, 0.25)


class OfSize(CountingSupernet):
    """A supernet whose scores rise with size."""

    def score(self, genotypes):
        return count_parameters(genotypes, self.network) / 1e6


def test_each_round_tells_held_out_figures_and_predicted_against_found_scores(config, tmp_path):
    controller, events = Foreteller(SPACE, ControllerConfig(), 0), []

    with Run.create(tmp_path / "run", config) as run:
        result = search(config, OfSize(), controller, run=run, listen=events.append)
        pool, scores = run.read_json("round-2-pool.json"), run.read_json("round-2-scores.json")

    measured = {"round": 1, "learned_from": 10, "n": 2, "pairwise_accuracy": 1.0, "kendall_tau": None}
    found = {"proposals": 6, "pairwise_accuracy": 1.0, "kendall_tau": 1.0}
    assert next(e for e in events if e["event"] == "measured") == {
        "event": "measured", **measured, "reconstruction_distance": 0.25
    }  # fmt: skip
    assert next(e for e in events if e["event"] == "proposals") == {"event": "proposals", "round": 2, **found}
    assert scores["predicted"] == found
    assert pool["held_out"] == {
        name: value for name, value in {**measured, "reconstruction_distance": 0.25}.items() if name != "round"
    }
    assert [entry["predicted"] for entry in pool["pool"]] == [entry["size"] for entry in pool["pool"]]
    assert result.learning == tuple(Learning(number, HeldOut(10, 2, 1.0, None, 0.25), 6, 1.0, 1.0) for number in (2, 3))
    assert SearchResult.from_json(json.loads(json.dumps(result.to_json()))) == result
    assert read_result(tmp_path / "run") == result


def test_a_controller_that_predicts_nothing_leaves_nothing_to_compare(config, controller):
    events = []

    result = search(config, CountingSupernet(), controller, listen=events.append)

    assert result.learning == ()
    assert {"measured", "proposals"}.isdisjoint(event["event"] for event in events)
    assert "learning" not in result.to_json()


def test_what_the_controller_learned_survives_a_kill_after_any_event(config, tmp_path):
    config = evolve(config, rounds=2, epochs=1, checkpoint_seconds=0.0)
    controller, events = Foreteller(SPACE, ControllerConfig(), 0), []
    with Run.create(tmp_path / "whole", config) as run:
        whole = search(config, OfSize(), controller, run=run, listen=events.append)

    for last in [at for at, event in enumerate(events) if event["event"] not in ("step", "controller")]:
        left = iter(range(last))

        def kill(event, left=left):
            if next(left, None) is None:
                raise Killed

        folder = tmp_path / f"killed after {last}"
        with Run.create(folder, config) as run, pytest.raises(Killed):
            search(config, OfSize(), controller, run=run, listen=kill)
        with Run.open(folder) as run:
            assert search(config, OfSize(), controller, run=run) == whole
        assert _contents(folder) == _contents(tmp_path / "whole")


def test_all_that_a_supernet_or_a_controller_lacks_is_said_in_one_line(config, controller):
    class Half:
        network = NETWORK
        candidates = None

        def train(self, pool, drawn, *, round_index, start=0): ...

        def score(self, genotypes): ...

        state = None

    with pytest.raises(ProtocolError) as refusal:
        search(config, Half(), controller)
    assert str(refusal.value) == (
        "the supernet, of class Half, lacks epoch_steps, scored_images, sizes(), state() and load_state(); "
        "see bnao.protocols.Scorer"
    )
    with pytest.raises(TypeError, match=r"the controller, of class Half, lacks fit\(\) and propose\(\); see bnao"):
        search(config, CountingSupernet(), Half())
    with pytest.raises(ProtocolError, match="the supernet is the class CountingSupernet; give an object of it"):
        search(config, CountingSupernet, controller)


def test_what_a_search_needs_of_its_parts_is_named_where_it_is_documented():
    for protocol in (Scorer, Controller):
        for name in [*getattr(protocol, "__annotations__", {}), *vars(protocol)]:
            if not name.startswith("_"):
                assert f"``{name}``" in search.__doc__, name


def test_rounds_are_not_added_where_splits_are_fractions_of_all(config, tmp_path):
    network = evolve(config.network, share_over="cell")
    config = evolve(config, network=network, training=evolve(config.training, split_at="0.5:edge"))
    with (
        Run.create(tmp_path / "run", config) as run,
        pytest.raises(ConfigError, match=r"counts split_at in fractions of its \d rounds; start a search of 9 rounds"),
    ):
        add_rounds(run, 9)
