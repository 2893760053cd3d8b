"""Seconds of the NAO controller's training until its predictions have a given Kendall tau with scores held out.

    python benchmarks/controller_tau.py --table nasbench201.csv --tau 0.55
    python benchmarks/controller_tau.py --table nasbench201.csv --tau 0.55 --settings table
    python benchmarks/controller_tau.py --table nasbench201.csv --tau 0.55 --controller nao-paper

prints one JSON line. ``--settings table`` takes those of ``bnao study controllers``, of a smaller network. Every few
epochs tau is taken on genotypes that are neither learned from nor in the controller's own held-out part; the time that
this takes is not counted. Processor seconds are told beside those of the clock: on a machine with other work they alone
can be compared.
"""

import argparse
import json
import time

from arguments import file, refusals, whole


def measure(
    table: str, controller: str, aim: float, sequences: int, held_out: int, settings: dict[str, object], backend: str,
    seed: int,
) -> dict[str, object]:  # fmt: skip
    """The seconds until the aim is reached, None where it is not."""
    from pathlib import Path

    from bnao import load_backend
    from bnao.config.settings import ControllerConfig, MachineConfig, NetworkConfig, SearchConfig
    from bnao.data.tables import SCORE_COLUMNS, read_rows
    from bnao.metrics import kendall_tau
    from bnao.space.spaces import SPACES
    from bnao.strategies.registry import make_controller
    from bnao.streams import stream

    rows, space = read_rows(Path(table)), SPACES["nas-bench-201"]
    genotypes = rows.genotypes(space)
    scores = rows.numbers(rows.column("score", None, SCORE_COLUMNS))
    order = stream(seed, "benchmark").permutation(len(genotypes))
    learned, unseen = order[:sequences], order[-held_out:]
    config = SearchConfig(
        seed=seed,
        network=NetworkConfig(space=space.name),
        controller=ControllerConfig(**{**settings, "controller": controller}),
        machine=MachineConfig(threads=1),
    )
    loaded = load_backend(backend)
    made = make_controller(config, loaded)
    every = max(1, config.controller.epochs // 100)
    known = [genotypes[place] for place in learned]
    others = [genotypes[place] for place in unseen]
    clock = processor = 0.0
    best, reached = -1.0, None
    last = time.perf_counter(), time.process_time()
    for epoch in made.fit(known, scores[learned], round_index=0):
        clock, processor = clock + time.perf_counter() - last[0], processor + time.process_time() - last[1]
        if epoch.epoch % every == 0:
            tau = kendall_tau(made.predict(others), scores[unseen])
            best = max(best, tau)
            if tau >= aim:
                reached = epoch.epoch + 1
                break
        last = time.perf_counter(), time.process_time()
    return {
        "controller": controller, "sequences": sequences, "seed": seed, "tau": aim, "best_tau": best,
        "seconds": clock if reached else None, "processor_seconds": processor if reached else None,
        "epochs": reached, "backend": backend, **loaded.versions(),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=file, required=True, help="CSV of NAS-Bench-201")
    parser.add_argument("--controller", default="nao", choices=("nao", "nao-paper"))
    parser.add_argument("--tau", type=float, default=0.55, help="Kendall tau to reach")
    for name, default, least in (("sequences", 200, 10), ("held-out", 1000, 10), ("epochs", 1000, 1), ("seed", 0, 0)):
        parser.add_argument(f"--{name}", type=whole(least), default=default)
    parser.add_argument(
        "--settings", default="preset", choices=("preset", "table"), help="those of presets, or of tables"
    )
    own = {"batch_size": whole(1), "learning_rate": float, "swaps": whole(1), "mlp_layers": whole(0)}
    for name, read in own.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=read, help="in place of that of --settings")
    parser.add_argument("--backend", default="torch", choices=("torch", "keras"))
    given = parser.parse_args()
    with refusals(parser):
        from bnao.config.presets import RANKED_NAO, TABLE_NAO

        settings = {
            **{"preset": {**RANKED_NAO, "swaps": 1}, "table": TABLE_NAO}[given.settings],
            "epochs": given.epochs,
            **{name: getattr(given, name) for name in own if getattr(given, name) is not None},
        }
        found = measure(
            given.table, given.controller, given.tau, given.sequences, given.held_out, settings, given.backend,
            given.seed,
        )  # fmt: skip
        print(json.dumps(found))


if __name__ == "__main__":
    main()
