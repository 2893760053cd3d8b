"""ImageNet's folder: what is listed, what a step sees, and what cannot be read."""

import logging
import os

import numpy as np
import pytest
from attrs import evolve
from PIL import Image

from bnao.config.settings import DataConfig, NetworkConfig
from bnao.data.dataset import Dataset, load_dataset
from bnao.data.imagenet import IMAGE_SIZE, StreamedDataset, stand_alone_images, stream_dataset
from bnao.errors import ConfigError, DataError
from bnao.streams import stream

CLASSES = ("n01", "n02", "n03")


def photo(path, number):
    """A JPEG of 50 x 60 pixels, whose mean colour tells its number."""
    pixels = stream(0, "photo", number).integers(-20, 20, (5, 6, 3)).repeat(10, 0).repeat(10, 1)
    colour = np.array([20 + 9 * (number % 24), 20 + 9 * (number // 24), 128])
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.clip(pixels + colour, 0, 255).astype(np.uint8)).save(path, "JPEG", quality=90)


@pytest.fixture
def root(tmp_path):
    """3 classes of 8 images to train on and 3 to test on."""
    for index, name in enumerate(CLASSES):
        for number in range(8):
            photo(tmp_path / "images" / "train" / name / f"{name}_{number}.JPEG", 8 * index + number)
        for number in range(3):
            photo(tmp_path / "images" / "val" / name / f"val_{number}.JPEG", 24 + 3 * index + number)
    return tmp_path / "images"


def settings(root, **changes):
    config = DataConfig(dataset="imagenet", data_dir=str(root), image_size=48, crop="resized", jitter=0.4, hue=0.2)
    return evolve(config, **changes)


def streamed(root, workers=0, **changes):
    return stream_dataset(settings(root, **changes), workers)


def train_batches(dataset, steps, batch_size=8, seed=0, **changes):
    return list(dataset.train_batches(steps, batch_size, seed, settings("", **changes)))


def same(one, other):
    return len(one) == len(other) and all(
        a.tobytes() == b.tobytes() and x.tolist() == y.tolist() for (a, x), (b, y) in zip(one, other, strict=True)
    )


# --- the folder


def test_classes_are_the_folders_in_alphabetical_order_whatever_their_number(root):
    dataset = streamed(root)

    assert dataset.describe() == "imagenet: 24 train, 9 test images of 48 x 48 x 3, 3 classes"
    assert dataset.train.class_names == list(CLASSES)
    assert dataset.train.labels.tolist() == [0] * 8 + [1] * 8 + [2] * 8
    assert dataset.train.path(9) == str(root / "train" / "n02" / "n02_1.JPEG")
    assert dataset.test.path(8) == str(root / "val" / "n03" / "val_2.JPEG")
    assert not dataset.tells_top5  # of three classes all are among the first five


def test_images_are_shown_at_224_pixels_where_nothing_else_is_said(root):
    assert streamed(root, image_size=None).image == (IMAGE_SIZE, IMAGE_SIZE, 3) == (224, 224, 3)


def test_the_part_to_test_on_may_be_called_test(root):
    as_val = streamed(root)
    (root / "val").rename(root / "test")

    assert streamed(root).fingerprint == as_val.fingerprint


def test_nothing_but_names_is_read_to_begin_with(root):
    for path in root.rglob("*.JPEG"):
        path.write_bytes(b"")

    assert streamed(root).describe().startswith("imagenet: 24 train, 9 test")


def test_the_fingerprint_tells_other_names_classes_and_sizes(root):
    first = streamed(root)
    again, larger = streamed(root), streamed(root, image_size=64)
    os.rename(root / "train" / "n01" / "n01_0.JPEG", root / "train" / "n01" / "other.JPEG")
    other = streamed(root)
    os.rename(root / "train" / "n01" / "other.JPEG", root / "train" / "n02" / "n01_0.JPEG")
    moved = streamed(root)

    assert first.fingerprint == again.fingerprint
    assert len({dataset.fingerprint for dataset in (first, larger, other, moved)}) == 4


def test_train_images_takes_the_same_share_of_each_class(root):
    dataset = streamed(root, train_images=12)

    assert np.bincount(dataset.train.labels).tolist() == [4, 4, 4]
    assert [dataset.train.path(place).split("/")[-2] for place in (0, 4, 8)] == list(CLASSES)


def remove(folder):
    for path in folder.iterdir():
        path.unlink()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda root: (root / "train").rename(root / "x"),
            r"has no folder train/; it needs train/ and val/ with a fol",
        ),
        (lambda root: (root / "val").rename(root / "x"), r"has no folder val/; it needs train/ and val/ with a folder"),
        (lambda root: photo(root / "val" / "n04" / "a.jpeg", 0), r"there is .*val/n04, but .*train has no class 'n04'"),
        (lambda root: remove(root / "train" / "n02"), r"train/n02 holds no image \(.*\); each class needs some"),
        (
            lambda root: [remove(root / "train" / name) for name in CLASSES[1:]],
            r"train/n02 holds no image \(.*\), as do 1 more class folders",
        ),
        (lambda root: [remove(root / "val" / name) for name in CLASSES], r"val holds no image; both parts need images"),
    ],
)
def test_a_folder_that_cannot_be_used_says_what_is_wrong_where(root, spoil, message):
    spoil(root)

    with pytest.raises(DataError, match=message):
        streamed(root)


def test_a_val_folder_that_was_not_sorted_says_so(root):
    for folder in list((root / "val").iterdir()):
        for path in folder.iterdir():
            path.rename(root / "val" / f"{folder.name}{path.name}")
        folder.rmdir()

    with pytest.raises(DataError, match=r"val holds images but no folders; sort them into a folder for each class"):
        streamed(root)


def test_a_class_without_test_images_is_told(root, caplog):
    remove(root / "val" / "n02")

    streamed(root)

    assert caplog.messages == [f"{root}/val has no images of 1 of 3 classes, such as n02; they are not tested"]


def test_without_a_folder_the_message_says_what_it_must_look_like(tmp_path):
    with pytest.raises(DataError, match=r"imagenet cannot be downloaded.*--data-dir: train/<class>/\*.JPEG and val/"):
        stream_dataset(settings("", data_dir=None))
    with pytest.raises(DataError, match=rf"there is no folder {tmp_path}/none; --data-dir must hold train/<class>/"):
        streamed(tmp_path / "none")


def test_augmentations_that_streamed_images_do_not_have_are_refused(root):
    for changes in ({"crop": "shift"}, {"cutout": 16}):
        with pytest.raises(ConfigError, match=r"--crop resized --cutout 0, or --preset imagenet"):
            streamed(root, **changes)


def test_a_search_cannot_have_images_that_are_streamed(root):
    with pytest.raises(DataError, match=r"'imagenet' is read from disk while a network trains, which only bnao eval"):
        load_dataset(settings(root))


def test_stand_alone_images_are_streamed_by_name_and_in_memory_else(root):
    by_name = stand_alone_images(settings(root))
    (root / "val").rename(root / "test")
    own = stand_alone_images(settings("", data=str(root)))

    assert isinstance(by_name, StreamedDataset)
    assert isinstance(own, Dataset)
    assert own.describe() == "images: 24 train, 9 test images of 48 x 48 x 3, 3 classes"


# --- what a step sees


def test_white_is_one_standard_deviation_scale_away_from_the_mean(root):
    dataset = streamed(root)

    white = dataset.normalised(np.full((1, 48, 48, 3), 255, np.uint8))[0, 0, 0]

    assert white == pytest.approx([(1 - 0.485) / 0.229, (1 - 0.456) / 0.224, (1 - 0.406) / 0.225], rel=1e-5)


def test_an_epoch_visits_every_image_once_in_its_own_order(root):
    dataset = streamed(root)

    epochs = [train_batches(dataset, range(3 * epoch, 3 * epoch + 3)) for epoch in range(2)]

    labels = [[label for _, batch in epoch for label in batch.tolist()] for epoch in epochs]
    assert sorted(labels[0]) == sorted(labels[1]) == [0] * 8 + [1] * 8 + [2] * 8
    assert labels[0] != labels[1]


def test_a_batch_is_float32_as_networks_take_it_with_int64_labels(root):
    ((images, labels),) = train_batches(streamed(root), range(1))

    assert images.shape == (8, 48, 48, 3)
    assert images.dtype == np.float32 and images.flags.c_contiguous and images.flags.writeable
    assert labels.dtype == np.int64 and labels.shape == (8,)


def test_images_and_labels_belong_together(root):
    plain = {"jitter": 0.0, "hue": 0.0, "flip": False}

    ((images, labels),) = train_batches(streamed(root), range(1), batch_size=24, **plain)

    # a photo's mean red tells its number, to within its noise: class 0 is the first eight numbers
    red = (images[..., 0] * 0.229 + 0.485).mean((1, 2)) * 255
    numbers = (red - 20) / 9
    assert np.abs(numbers // 8 - labels).max() <= 1
    assert np.corrcoef(numbers, labels)[0, 1] > 0.8


def test_hues_of_images_from_disk_turn_by_the_setting(root):
    plain = {"jitter": 0.0, "flip": False}

    ((still, _),), ((turning, _),) = (train_batches(streamed(root), range(1), hue=hue, **plain) for hue in (0.0, 0.5))

    pixels, turned = (images * [0.229, 0.224, 0.225] + [0.485, 0.456, 0.406] for images in (still, turning))
    assert turned.max(3) == pytest.approx(pixels.max(3), abs=1e-5)  # the value stays
    assert np.abs(turned - pixels).max() > 0.1


def test_batches_do_not_depend_on_the_number_of_processes_or_on_earlier_steps(root):
    steps = range(5)
    here = train_batches(streamed(root), steps)

    for workers in (1, 3):
        assert same(train_batches(streamed(root, workers), steps), here)
    assert same(train_batches(streamed(root), range(3, 5)), here[3:])
    assert not same(train_batches(streamed(root), steps, seed=1), here)


def test_tests_show_each_image_once_in_order_however_many_at_once(root):
    whole = [batch for batch in streamed(root).test_batches(100)]
    parts = [batch for batch in streamed(root, workers=2).test_batches(4)]

    assert [len(labels) for _, labels in parts] == [4, 4, 1]
    assert np.concatenate([labels for _, labels in parts]).tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert (np.concatenate([images for images, _ in parts]) == whole[0][0]).all()
    assert whole[0][0].dtype == np.uint8


def test_joined_is_itself_since_there_is_no_dev_part(root):
    dataset = streamed(root)

    assert dataset.joined() is dataset
    assert dataset.network(NetworkConfig(channels=8)) == NetworkConfig(channels=8, classes=3, image=(48, 48, 3))


# --- files that cannot be read


@pytest.fixture
def damaged(root):
    """Two files that cannot be read: one to train on, and one to test on."""
    paths = [root / "train" / "n02" / "n02_3.JPEG", root / "val" / "n01" / "val_1.JPEG"]
    paths[0].write_bytes(paths[0].read_bytes()[:-200])
    paths[1].write_bytes(b"")
    return [str(path) for path in paths]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_file_that_cannot_be_read_is_the_end_with_its_name(root, damaged, workers):
    dataset = streamed(root, workers)

    with pytest.raises(DataError) as error:
        train_batches(dataset, range(3))

    assert str(error.value).startswith(f"{damaged[0]} cannot be read as an image: image file is truncated")
    assert str(error.value).endswith("; --unreadable skip leaves such files out")


@pytest.mark.parametrize("workers", [0, 2])
def test_skipped_a_file_is_named_once_and_left_out_of_batches_and_tests(root, damaged, workers, caplog):
    dataset = streamed(root, workers, unreadable="skip")
    caplog.set_level(logging.WARNING)

    batches = train_batches(dataset, range(6))  # two epochs
    tested = list(dataset.test_batches(4))

    sizes = [len(labels) for _, labels in batches]
    assert sorted(sizes[:3]) == sorted(sizes[3:]) == [7, 8, 8]
    assert all(len(images) == len(labels) for images, labels in batches)
    assert np.bincount(np.concatenate([labels for _, labels in batches])).tolist() == [16, 14, 16]
    assert np.concatenate([labels for _, labels in tested]).tolist() == [0, 0, 1, 1, 1, 2, 2, 2]
    assert list(dataset.unreadable) == damaged
    assert [message.split(" cannot")[0] for message in caplog.messages] == [f"left out: {path}" for path in damaged]


def test_what_is_skipped_changes_nothing_in_the_other_images(root):
    whole = train_batches(streamed(root), range(3))
    path = root / "train" / "n02" / "n02_3.JPEG"
    path.write_bytes(b"")

    without = train_batches(streamed(root, unreadable="skip"), range(3))

    for (images, _), (fewer, _) in zip(whole, without, strict=True):
        rows = {image.tobytes() for image in images}
        assert all(image.tobytes() in rows for image in fewer)


def test_a_batch_of_which_nothing_can_be_read_is_the_end(root):
    for path in root.rglob("*.JPEG"):
        path.write_bytes(b"")

    with pytest.raises(
        DataError, match=r"no image of a batch can be read; the first of 8 files: .*JPEG cannot be read"
    ):
        train_batches(streamed(root, unreadable="skip"), range(1))
    with pytest.raises(
        DataError, match=r"no image of the test can be read; the first of 9 files: .*JPEG cannot be read"
    ):
        list(streamed(root, unreadable="skip").test_batches(4))


def test_a_last_few_test_images_that_cannot_be_read_are_left_out_as_others_are(root):
    (root / "val" / "n03" / "val_2.JPEG").write_bytes(b"")

    tested = list(streamed(root, unreadable="skip").test_batches(4))

    assert [len(labels) for _, labels in tested] == [4, 4]


# --- processes


def running():
    """Processes of this one that read images."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat") as file:
                state, parent = file.read().rpartition(")")[2].split()[:2]
            with open(f"/proc/{pid}/cmdline") as file:
                command = file.read()
        except OSError:
            continue
        if int(parent) == os.getpid() and state != "Z" and "bnao.data.decoding" in command:
            found.append(int(pid))
    return found


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="looks into /proc")
def test_no_process_is_left_when_batches_are_no_longer_wanted(root, damaged):
    batches = streamed(root, workers=2, unreadable="skip").train_batches(range(99), 8, 0, settings(root))
    next(batches)
    during = len(running())

    batches.close()
    after_closing = len(running())
    with pytest.raises(DataError):
        train_batches(streamed(root, workers=2), range(3))

    assert (during, after_closing, len(running())) == (2, 0, 0)
