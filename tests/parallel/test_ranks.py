"""Several processes of one search, pretended in threads: the folder and the pool that the first gives to all."""

import threading

import pytest

from bnao.config.ranks import RanksConfig
from bnao.config.settings import MachineConfig, SearchConfig
from bnao.errors import ConfigError, RunError
from bnao.parallel.ranks import is_first, run_of
from bnao.run import Run
from bnao.searches import join, prepare_search
from bnao.space.spaces import space_named
from bnao.strategies.candidates import Pool, shared_pool
from bnao.streams import stream


class Pretended:
    """One of two ranks that are threads of this process."""

    def __init__(self, rank, board):
        self.rank, self.count, self._board = rank, 2, board

    def share(self, content):
        if self.rank == 0:
            self._board.append(content)
        self._board.barrier.wait(timeout=60)
        return self._board[-1]

    def ends_first(self):
        return self.rank == 0


class Board(list):
    def __init__(self):
        super().__init__()
        self.barrier = threading.Barrier(2)


def in_both(work):
    """What the work returns in each of two ranks."""
    board, found = Board(), {}
    threads = [
        threading.Thread(target=lambda rank=rank: found.__setitem__(rank, work(Pretended(rank, board))))
        for rank in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found[0], found[1]


def test_the_first_alone_writes_the_folder_and_the_others_read_a_copy(tmp_path):
    with Run.create(tmp_path / "run", SearchConfig(rounds=2)) as run:
        run.write_json("notes.json", {"good": True})

    def work(ranks):
        with run_of(ranks, lambda: Run.open(tmp_path / "run")) as run:
            run.write_json(f"of-{ranks.rank}.json", {})
            run.log({"event": "step", "rank": ranks.rank})
            return run.folder, run.config(SearchConfig).rounds, run.read_json("notes.json")["good"]

    first, second = in_both(work)

    assert first == (tmp_path / "run", 2, True)
    assert second[0] != first[0] and second[1:] == (2, True)
    assert not second[0].exists()
    assert (tmp_path / "run" / "of-0.json").exists() and not (tmp_path / "run" / "of-1.json").exists()
    assert [event["rank"] for event in map(dict, run.events())] == [0]


def test_the_first_alone_proposes():
    space = space_named("nao", 3)
    made = []

    def work(ranks):
        def propose():
            made.append(ranks.rank)
            return Pool(space.random_genotypes(3, stream(0, "pool")), {"random": 3})

        return shared_pool(ranks, space, propose).genotypes

    first, second = in_both(work)

    assert first == second and len(first) == 3
    assert made == [0]


def test_one_process_is_the_first_and_opens_the_folder_itself(tmp_path):
    assert is_first(None)
    with pytest.raises(RunError, match="no folder"), run_of(None, lambda: Run.open(tmp_path / "none")):
        pass


def test_a_backend_of_one_process_is_not_divided():
    config = SearchConfig(machine=MachineConfig(backend="table"), ranks=RanksConfig(across="paths"), rerank_epochs=0)

    with pytest.raises(ConfigError, match="across is paths, and backend is table; the shared weights of backend torch"):
        join(config)


def test_strategies_that_decide_at_each_update_are_given_no_number_of_paths(tmp_path):
    from bnao.config.settings import DataConfig

    config = SearchConfig(
        strategy="spos", machine=MachineConfig(backend="torch"), ranks=RanksConfig(paths=2),
        data=DataConfig(dataset="fashion-mnist"),
    )  # fmt: skip
    pytest.importorskip("torch")

    with pytest.raises(ConfigError, match="paths is 2, and strategy spos decides itself what an update trains"):
        prepare_search(config)
