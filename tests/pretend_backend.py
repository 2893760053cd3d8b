"""A backend of somebody else's that pretends to train: found by entry point, no framework, the same bits each time."""

import hashlib
import os
import time

import numpy as np

from bnao.classification import Classification
from bnao.config.strategies import STEP_LEVEL
from bnao.errors import BackendError, DivergedError
from bnao.protocols import Epoch, Exporter, Step
from bnao.space.spaces import space_named
from bnao.streams import stream

#: what makes Python find it: the file entry_points.txt of a folder that ends in .dist-info
ENTRY_POINTS = "[bnao.backends]\npretend = pretend_backend:BACKEND\nbroken = no_such_module_anywhere:BACKEND\n"


def _share(*parts):
    """A number in [0, 1) that the parts decide."""
    digest = hashlib.blake2b("/".join(map(str, parts)).encode(), digest_size=4).digest()
    return int.from_bytes(digest, "little") / 2**32


class _Supernet:
    epoch_steps = 4
    candidates = None

    def __init__(self, config, dataset):
        self.network = dataset.network(config.network)
        self.labels = dataset.y_dev
        self.scored_images = len(dataset.y_dev)
        self.weight = np.zeros(1, np.float32)

    def train(self, pool, drawn, *, round_index, start=0):
        for step in range(start, len(drawn)):
            time.sleep(float(os.environ.get("PRETEND_SECONDS", 0)))
            if str(round_index * len(drawn) + step) == os.environ.get("PRETEND_NAN"):
                raise DivergedError(f"round {round_index + 1}, step {step}: the loss is nan")
            self.weight += np.float32(_share(round_index, step, drawn[step]))
            yield Step(step, int(drawn[step]), loss=2.0 / (step + 1), rate=0.05)

    def _right(self, genotype):
        return round(self.scored_images * _share(self.weight[0], genotype))

    def score(self, genotypes):
        return np.array([self._right(genotype) for genotype in genotypes]) / self.scored_images

    def classify(self, genotypes):
        """Logits are 1 for the label of the first images, and for the next class of the others; else 0."""
        return [Classification.of([(self._logits(genotype), self.labels)]) for genotype in genotypes]

    def _logits(self, genotype):
        told = self.labels + (np.arange(len(self.labels)) >= self._right(genotype))
        return np.eye(self.network.classes, dtype=np.float32)[told % self.network.classes]

    def sizes(self, genotypes):
        return None

    def state(self):
        return {"weight": self.weight.copy()}

    def load_state(self, state):
        self.weight = np.array(state["weight"])


def _toy(config, dataset):
    """A table in place of a supernet, for strategies that decide at each update; slow, where it is asked to be."""
    from bnao.testing.strategies import ToyScorer  # which imports pytest

    made = ToyScorer(config, dataset)
    step = made.supernet.step

    def slow(passes, rate):
        time.sleep(float(os.environ.get("PRETEND_SECONDS", 0)))
        return step(passes, rate)

    made.supernet.step = slow
    return made


class _Controller:
    def __init__(self, config):
        self.config, self.space = config, space_named(config.network.space, config.network.nodes)

    def fit(self, genotypes, scores, *, round_index):
        for epoch in range(self.config.controller.epochs):
            yield Epoch(epoch, loss=0.1, rate=0.001)

    def propose(self, seeds, n, accept, *, round_index):
        found = self.space.random_genotypes(2 * n, stream(self.config.seed, "pretend", round_index))
        return [genotype for genotype in found if accept(genotype)][:n]


class _StandAlone:
    parameters = 0
    epoch_steps = 1

    def __init__(self, genotype, config, dataset, seed):
        self.genotype, self.config, self.seed, self.classes = genotype, config, seed, dataset.classes

    def train(self, start=0):
        for step in range(start, self.config.epochs):
            time.sleep(float(os.environ.get("PRETEND_SECONDS", 0)))
            yield Step(step, 0, loss=1.0, rate=0.01)

    def logits(self, images):
        rng = stream(self.seed, f"pretend {self.genotype}")
        return rng.random((len(images), self.classes), np.float32)

    def state(self):
        return {"weight": np.ones(1, np.float32)}

    def load_state(self, state):
        pass


class _Probe:
    """Every number is one that genotype and seed decide; a genotype of no operation but none reacts to nothing."""

    def __init__(self, genotype, seed):
        self.rng = stream(seed, f"pretend probe {genotype}")
        self.dead = "sep_conv" not in str(genotype) and "nor_conv" not in str(genotype)

    def kernels(self):
        return {"classifier.weight": np.ones((2, 3), np.float32)}

    def jacobian(self, images):
        return np.zeros((len(images), 9)) if self.dead else self.rng.standard_normal((len(images), 9))

    def agreements(self, images):
        n = len(images)
        return np.ones((n, n)) if self.dead else 100 * np.eye(n) + self.rng.integers(50, size=(n, n))

    def loss_gradients(self, images, labels):
        return {"classifier.weight": self.rng.standard_normal((2, 3))}

    def flow_gradients(self):
        return {"classifier.weight": self.rng.random((2, 3))}


def _write(trained, path):
    path.write_text(f"{trained.genotype}\n", encoding="utf-8")


def _logits(classes):
    # the mean of the first channel for every class
    return lambda images: np.repeat(images[..., 0].mean((1, 2))[:, None], classes, axis=1)


_EXPORTERS = {"note": Exporter((".note",), _write, lambda path: _logits(4), channels_first=True)}


class _Backend:
    name = "pretend"
    exporters = _EXPORTERS

    def logits(self, trained):
        return _logits(trained.network.classes)

    def versions(self):
        return {"pretend": os.environ.get("PRETEND_VERSION", "1.0")}

    def devices(self):
        return ["cpu", "moon"]

    def supernet(self, config, dataset):
        if config.strategy in STEP_LEVEL and "PRETEND_OWN_WAY" not in os.environ:
            return _toy(config, dataset)
        return _Supernet(config, dataset)

    def controller(self, config):
        return _Controller(config)

    def stand_alone(self, genotype, config, dataset, *, seed):
        if config.machine.device == "mars":
            raise BackendError("no device 'mars' here; there is auto, cpu, moon")
        return _StandAlone(genotype, config, dataset, seed)

    def forward_seconds(self, genotype, network, machine, *, batch, warm_up, repetitions):
        """A millisecond, and one more for each convolution; every second pass takes a tenth longer."""
        milliseconds = batch * (1 + str(genotype).count("conv"))
        return [milliseconds * (1 + number % 2 / 10) / 1000 for number in range(repetitions)]

    def probe(self, genotype, network, machine, *, seed):
        return _Probe(genotype, seed)


BACKEND = _Backend()
