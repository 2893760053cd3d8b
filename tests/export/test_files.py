"""Which network is meant, what is held against what, and which files are written: on a format of somebody else's."""

import json
from pathlib import Path

import numpy as np
import pytest

from bnao.config.evaluation import EvaluateConfig
from bnao.config.settings import NetworkConfig, SearchConfig
from bnao.errors import BackendError, ExportError, GenotypeError, RunError, WeightsError
from bnao.export.files import FORMATS, default_name, export, exporter_of, find_trained, largest_difference
from bnao.network.parameters import initial_weights, stand_alone_shapes
from bnao.network.state import to_bytes
from bnao.network.state_dict import NAMES, torch_name
from bnao.network.trained import about_training, trained_of, with_statistics
from bnao.protocols import Exporter
from bnao.run import Run
from bnao.space.spaces import space_named
from bnao.streams import stream
from bnao.testing import small_dataset

NETWORK = NetworkConfig(channels=4, cells=1, nodes=2)
FIRST, SECOND, THIRD = space_named("nao", 2).random_genotypes(3, stream(0, "export test"))


def keep_training(folder, genotype, seed, test_error, channels=4):
    """What bnao evaluate leaves of a training."""
    dataset = small_dataset()
    network = dataset.network(NETWORK)
    state = initial_weights(with_statistics(stand_alone_shapes(genotype, network)), seed)
    about = about_training(genotype, network, dataset, seed, test_error)
    path = folder / "trainings" / f"{genotype.digest}-seed-{seed}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(to_bytes(state, about))
    says = {"format": 1, "genotype": str(genotype), "seed": seed, "test_error": test_error}
    path.with_suffix(".json").write_text(json.dumps(says))
    return path


def test_of_trainings_of_which_one_has_no_result_none_is_the_best(evaluation):
    next((evaluation / "trainings").glob(f"{SECOND.digest}-seed-1.json")).unlink()

    with pytest.raises(RunError, match=rf"lacks trainings/{SECOND.digest}-seed-1.json, .* or give a weights file"):
        find_trained(evaluation)


@pytest.fixture
def evaluation(tmp_path):
    """The folder of an evaluation of two genotypes, the second the better one on average."""
    folder = tmp_path / "evaluation"
    Run.create(folder, EvaluateConfig(network=NETWORK)).close()
    for genotype, errors in ((FIRST, (0.1, 0.9)), (SECOND, (0.3, 0.2))):
        for seed, error in enumerate(errors):
            keep_training(folder, genotype, seed, error)
    return folder


@pytest.fixture
def trained(evaluation):
    return find_trained(evaluation)[0]


class Sums:
    """A backend whose networks give the sums of each image's channels, and which writes two formats."""

    name = "sums"

    def __init__(self, error=0.0):
        self.error = error
        self.exporters = {
            "sums": Exporter((".txt", ".bin"), self._write, self._read, channels_first=False),
            "grey": Exporter((".grey",), self._write, self._read, channels_first=True),
        }

    def logits(self, trained):
        return lambda images: images.sum((1, 2))

    def _write(self, trained, path):
        path.write_text(str(trained.genotype))
        path.with_suffix(".bin").write_bytes(b"the same each time")

    def _read(self, path):
        assert path.read_text()
        return lambda images: images.sum((1, 2)) + self.error


# --- which network


def test_of_a_folder_the_best_training_of_the_best_genotype_on_average_is_taken(evaluation):
    trained, file = find_trained(evaluation)

    assert (trained.genotype, trained.seed, trained.test_error) == (SECOND, 1, 0.2)
    assert file == evaluation / "trainings" / f"{SECOND.digest}-seed-1.safetensors"


def test_of_a_folder_the_genotype_that_is_named_is_taken(evaluation):
    trained, _ = find_trained(evaluation, str(FIRST))

    assert (trained.genotype, trained.seed) == (FIRST, 0)


def test_a_genotype_that_a_folder_lacks_is_refused_with_those_it_has(evaluation):
    with pytest.raises(RunError, match="holds no training of this genotype; it has ") as error:
        find_trained(evaluation, str(THIRD))

    assert str(FIRST) in str(error.value)
    assert str(SECOND) in str(error.value)


def test_a_file_alone_is_enough(evaluation, tmp_path):
    (weights,) = (evaluation / "trainings").glob(f"{FIRST.digest}-seed-1.safetensors")
    alone = weights.rename(tmp_path / "alone.safetensors")

    trained, file = find_trained(alone, str(FIRST))

    assert (trained.genotype, trained.seed, file) == (FIRST, 1, alone)


def test_a_file_of_another_genotype_is_refused_by_the_first_parameter_that_differs(evaluation):
    file = evaluation / "trainings" / f"{FIRST.digest}-seed-1.safetensors"

    with pytest.raises(GenotypeError, match=r"seed-1.safetensors is of another genotype: it (lacks|has) cells\.0\."):
        find_trained(file, str(SECOND))


def test_of_a_search_its_only_evaluation_is_taken_and_of_several_none(tmp_path):
    search = tmp_path / "run"
    Run.create(search, SearchConfig(network=NETWORK)).close()
    with pytest.raises(RunError, match="run holds no trained network; bnao evaluate trains one"):
        find_trained(search)

    for name, genotype in (("evaluate-quick-0a0a0a", FIRST), ("evaluate-quick-1b1b1b", SECOND)):
        Run.create(search / name, EvaluateConfig(network=NETWORK)).close()
        keep_training(search / name, genotype, 0, 0.5)
        if genotype == FIRST:
            assert find_trained(search)[0].genotype == FIRST

    with pytest.raises(RunError, match=r"holds 2 evaluations; give one of them: .*0a0a0a, .*1b1b1b"):
        find_trained(search)


def test_a_folder_whose_trainings_are_not_finished_is_refused(tmp_path):
    Run.create(tmp_path / "run", EvaluateConfig(network=NETWORK)).close()
    (tmp_path / "run" / "trainings").mkdir()

    with pytest.raises(RunError, match="run holds no finished training"):
        find_trained(tmp_path / "run")


def test_what_is_not_there_or_damaged_is_refused_by_name(evaluation, tmp_path):
    file = keep_training(evaluation, FIRST, 7, 0.0)
    whole = file.read_bytes()

    with pytest.raises(RunError, match=r"no file or folder .*nowhere"):
        find_trained(tmp_path / "nowhere")
    for content in (b"", whole[:20], whole[:-1], b"not weights\n" * 100):
        file.write_bytes(content)
        with pytest.raises(WeightsError, match=r"cannot read the weights in .*-seed-7.safetensors"):
            find_trained(file)
    file.with_suffix(".json").write_text('{"format": 1, "genotype": 7}')
    with pytest.raises(RunError, match=r"seed-7.json was changed by hand"):
        find_trained(evaluation)


@pytest.mark.parametrize("suffix", [".safetensors", ".pt2", ".py"])
def test_an_exported_state_dict_is_weights_again_itself_or_by_the_program_beside_it(evaluation, tmp_path, suffix):
    trained, _ = find_trained(evaluation)
    state = {torch_name(name): value for name, value in trained.weights.items()}
    state |= {name: np.zeros((1, 3, 1, 1), np.float32) for name in ("image_mean", "image_std")}
    (tmp_path / "net.safetensors").write_bytes(to_bytes(state, {**trained.about(), "names": NAMES}))
    (tmp_path / f"net{suffix}").touch()

    again, file = find_trained(tmp_path / f"net{suffix}")

    assert (again.about(), file) == (trained.about(), tmp_path / "net.safetensors")
    assert again.weights.keys() == trained.weights.keys()
    assert all((again.weights[name] == value).all() for name, value in trained.weights.items())


def test_weights_of_the_time_before_files_said_their_network_are_refused(tmp_path):
    state = initial_weights(with_statistics(stand_alone_shapes(FIRST, NETWORK)), 0)
    (tmp_path / "old.safetensors").write_bytes(to_bytes(state, {"genotype": str(FIRST), "seed": 0}))

    with pytest.raises(WeightsError, match="does not say which network it is of"):
        find_trained(tmp_path / "old.safetensors")


# --- the export


def test_all_files_of_a_format_are_written_and_nothing_else_is_left(trained, tmp_path):
    done = export(trained, "sums", Sums(), tmp_path / "out.txt")

    assert done.files == (tmp_path / "out.txt", tmp_path / "out.bin")
    assert (tmp_path / "out.txt").read_text() == str(SECOND)
    assert done.difference == 0
    assert {path.name for path in tmp_path.iterdir()} == {"evaluation", "out.txt", "out.bin"}


def test_a_name_without_a_suffix_gets_the_formats(trained, tmp_path):
    assert export(trained, "sums", Sums(), tmp_path / "out").files[0] == tmp_path / "out.txt"


@pytest.mark.parametrize("error", [2e-2, float("nan"), float("inf")])
def test_a_file_that_gives_other_logits_is_an_error_and_not_kept(trained, tmp_path, error):
    # sums over 144 pixels of 0..1 are about 72, so that 2e-2 is 2.8e-4 of the largest
    with pytest.raises(ExportError, match=r"does not reproduce the network's logits: the largest difference is "):
        export(trained, "sums", Sums(error), tmp_path / "out.txt")

    assert [path.name for path in tmp_path.iterdir()] == ["evaluation"]


def test_differences_are_absolute_up_to_logits_of_one_and_relative_beyond():
    dataset = small_dataset()
    network = dataset.network(NETWORK)
    state = initial_weights(with_statistics(stand_alone_shapes(FIRST, network)), 0)
    trained = trained_of(state, about_training(FIRST, network, dataset, 0, 0.5), "w")

    def constant(value):
        return lambda images: np.full((len(images), 4), value, np.float32)

    assert largest_difference(trained, constant(0.5), constant(0.75)) == 0.25
    assert largest_difference(trained, constant(-8), constant(-9)) == 1 / 8


def test_an_existing_file_is_not_overwritten_unless_it_is_the_same(trained, tmp_path):
    (tmp_path / "out.bin").write_bytes(b"somebody's weights")
    with pytest.raises(ExportError, match=r"out\.bin exists already; remove it, or name another file with -o"):
        export(trained, "sums", Sums(), tmp_path / "out.txt")
    assert (tmp_path / "out.bin").read_bytes() == b"somebody's weights"
    assert not (tmp_path / "out.txt").exists()

    (tmp_path / "out.bin").write_bytes(b"the same each time")
    export(trained, "sums", Sums(), tmp_path / "out.txt")
    with pytest.raises(ExportError, match=r"out\.txt exists already"):
        export(trained, "sums", Sums(), tmp_path / "out.txt")


def test_where_no_file_can_be_written_is_told(trained, tmp_path):
    with pytest.raises(ExportError, match=r"cannot write .*absent/out.txt: No such file or directory"):
        export(trained, "sums", Sums(), tmp_path / "absent" / "out.txt")
    with pytest.raises(ExportError, match=r"out.onnx ends in .onnx; a file of this format ends in .txt"):
        export(trained, "sums", Sums(), tmp_path / "out.onnx")


def test_formats_are_onnx_and_the_backends_own():
    with pytest.raises(BackendError, match="backend 'sums' does not write 'keras'; it writes onnx, sums, grey"):
        exporter_of("keras", Sums())


def test_a_backend_without_networks_exports_nothing():
    from bnao.backends import load

    with pytest.raises(BackendError, match="backend 'table' exports nothing: it has no networks of its own"):
        exporter_of("onnx", load("table"))


def test_every_built_in_format_has_a_backend():
    assert FORMATS == {"onnx": "torch", "torch": "torch", "keras": "keras", "python": "torch"}


def test_the_default_name_is_that_of_the_weights_and_one_that_python_can_import(trained):
    name = default_name(trained.genotype)

    assert name == f"bnao_{SECOND.digest}"
    assert Path(name).stem.isidentifier()
