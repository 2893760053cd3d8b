import attrs
import numpy as np
import pytest

from bnao.config.settings import DataConfig, NetworkConfig
from bnao.data.augment import hue_turns, turned
from bnao.data.dataset import Dataset, epoch_batches, load_dataset, train_batch
from bnao.errors import ConfigError, DataError

LABELS = np.array([0, 1])
PLAIN = DataConfig(pad=0, flip=False, cutout=0)


def numbered_images(n):
    """Images of 8 x 8 x 3 of which the first pixel is the place: (place // 256, place % 256, 0)."""
    images = np.zeros((n, 8, 8, 3), np.uint8)
    images[:, 0, 0, 0], images[:, 0, 0, 1] = np.divmod(np.arange(n), 256)
    return images


def numbers(images):
    return (images[:, 0, 0, 0].astype(int) * 256 + images[:, 0, 0, 1]).tolist()


def numbered_file(folder, labels):
    path = folder / "numbered.npz"
    test = np.arange(max(labels) + 1)
    np.savez(path, x_train=numbered_images(len(labels)), y_train=labels, x_test=numbered_images(len(test)), y_test=test)
    return str(path)


def numbered_dataset(n):
    x, y = numbered_images(n), np.arange(n) % 2
    return Dataset("numbered", x, y, x[:0], y[:0], x[:2], y[:2], ("even", "odd"))


# --- the data set ---------------------------------------------------------------------------------------------


def test_moments_are_those_of_each_channel_of_the_train_part_alone():
    x = np.zeros((2, 8, 8, 3), np.uint8)
    x[1, ..., 0] = 255
    x[..., 1] = 51
    other = np.full((2, 8, 8, 3), 200, np.uint8)
    dataset = Dataset("halves", x, LABELS, other, LABELS, other, LABELS, ("a", "b"))

    assert dataset.mean.tolist() == [0.5, 0.2, 0.0]
    assert dataset.std.tolist() == [0.5, 0.0, 0.0]


def test_moments_of_many_white_images_do_not_overflow():
    # 5,000 images x 64 pixels x 255**2 is 2 * 10**10, more than 32 bits hold
    x = np.full((5000, 8, 8, 1), 255, np.uint8)
    x[:2500] = 0
    dataset = Dataset("white", x, np.arange(5000) % 2, x[:0], LABELS[:0], x[:2], LABELS, ("a", "b"))

    assert dataset.mean.tolist() == [0.5]
    assert dataset.std.tolist() == [0.5]


def test_normalised_images_lie_a_standard_deviation_around_the_mean():
    x = np.zeros((2, 8, 8, 3), np.uint8)
    x[1, ..., :2] = [255, 102]  # means 127.5 and 51, standard deviations the same
    dataset = Dataset("halves", x, LABELS, x, LABELS, x, LABELS, ("a", "b"))

    normal = dataset.normalised(x)

    assert normal.dtype == np.float32
    np.testing.assert_allclose(normal[0, ..., :2], -1, rtol=1e-6)
    np.testing.assert_allclose(normal[1, ..., :2], 1, rtol=1e-6)
    assert (normal[..., 2] == 0).all()  # a channel of one value has no deviation to divide by


def test_the_normalised_train_part_has_mean_0_and_deviation_1(tiny_dataset):
    normal = tiny_dataset.normalised(tiny_dataset.x_train).astype(np.float64)

    np.testing.assert_allclose(normal.mean(axis=(0, 1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(normal.std(axis=(0, 1, 2)), 1, atol=1e-5)


def test_the_network_gets_its_classes_and_image_from_the_data(tiny_dataset):
    network = tiny_dataset.network(NetworkConfig(channels=8))

    assert network == NetworkConfig(channels=8, classes=4, image=(12, 12, 3))


def test_a_network_that_needs_larger_images_says_so(tiny_dataset):
    with pytest.raises(ConfigError, match="images are 12 x 12 pixels"):
        tiny_dataset.network(NetworkConfig(network="imagenet"))


def test_equal_data_have_equal_fingerprints_and_one_pixel_makes_another(tiny_dataset):
    same = attrs.evolve(tiny_dataset, x_dev=tiny_dataset.x_dev.copy())
    changed = tiny_dataset.x_dev.copy()
    changed[-1, -1, -1, -1] ^= 1

    assert same.fingerprint == tiny_dataset.fingerprint
    assert attrs.evolve(tiny_dataset, x_dev=changed).fingerprint != tiny_dataset.fingerprint
    assert attrs.evolve(tiny_dataset, y_test=tiny_dataset.y_test[::-1]).fingerprint != tiny_dataset.fingerprint


def test_another_split_of_the_same_images_has_another_fingerprint(tiny_dataset):
    assert tiny_dataset.joined().fingerprint != tiny_dataset.fingerprint


def test_joined_trains_on_the_dev_images_too(tiny_dataset):
    joined = tiny_dataset.joined()

    assert joined.describe() == "tiny: 160 train, 40 test images of 12 x 12 x 3, 4 classes"
    assert (joined.x_train[120:] == tiny_dataset.x_dev).all()
    assert (joined.y_train[120:] == tiny_dataset.y_dev).all()
    assert joined.x_dev.shape == (0, 12, 12, 3)
    assert joined.joined().fingerprint == joined.fingerprint


def test_a_data_set_cannot_be_made_of_other_arrays():
    x, y = numbered_images(4), np.array([0, 1, 0, 1])

    with pytest.raises(DataError, match=r"data set 'mine': x_dev is float64"):
        Dataset("mine", x, y, x / 255, y, x, y, ("a", "b"))
    with pytest.raises(DataError, match=r"data set 'mine': labels out of range: y_test\[1\] is 2"):
        Dataset("mine", x, y, x, y, x, y * 2, ("a", "b"))
    with pytest.raises(DataError, match=r"data set 'mine': x_test has images of 4 x 8 x 3, x_train of 8 x 8 x 3"):
        Dataset("mine", x, y, x, y, x[:, :4], y, ("a", "b"))


# --- the split ------------------------------------------------------------------------------------------------


def test_the_embedded_data_set_is_split_evenly_over_its_ten_classes():
    dataset = load_dataset(DataConfig(dataset="fashion-mnist", dev_share=0.2))

    assert dataset.describe() == "fashion-mnist: 2,400 train, 600 dev, 1,000 test images of 28 x 28 x 1, 10 classes"
    assert np.bincount(dataset.y_train).tolist() == [240] * 10
    assert np.bincount(dataset.y_dev).tolist() == [60] * 10
    assert np.bincount(dataset.y_test).tolist() == [100] * 10
    assert dataset.class_names[9] == "Ankle boot"
    assert all(part.dtype == np.uint8 and part.flags.c_contiguous for part in (dataset.x_train, dataset.x_dev))


def test_train_and_dev_share_no_image_and_lose_none(tmp_path):
    labels = np.arange(300) % 3
    dataset = load_dataset(DataConfig(data=numbered_file(tmp_path, labels), dev_share=0.1))

    train, dev = numbers(dataset.x_train), numbers(dataset.x_dev)
    assert (len(train), len(dev)) == (270, 30)
    assert sorted(train + dev) == list(range(300))
    assert (dataset.y_train == labels[train]).all()
    assert (dataset.y_dev == labels[dev]).all()


def test_the_split_is_the_split_seeds(tmp_path):
    path = numbered_file(tmp_path, np.arange(300) % 3)
    first, again, other = (load_dataset(DataConfig(data=path, split_seed=seed)) for seed in (7, 7, 8))

    assert first.fingerprint == again.fingerprint != other.fingerprint
    assert numbers(first.x_dev) != numbers(other.x_dev)
    assert np.bincount(first.y_dev).tolist() == np.bincount(other.y_dev).tolist() == [10, 10, 10]
    assert numbers(first.x_test) == numbers(other.x_test)


def test_the_usual_split_is_that_of_before_there_was_a_split_seed(tmp_path):
    path = numbered_file(tmp_path, np.arange(60) % 3)

    assert numbers(load_dataset(DataConfig(data=path)).x_dev) == [5, 21, 30, 37, 50, 52]
    assert numbers(load_dataset(DataConfig(data=path, dev_images=3)).x_dev) == [30, 37, 50]


def test_another_split_is_of_the_same_images(tmp_path):
    path = numbered_file(tmp_path, np.arange(300) % 3)

    one, other = (load_dataset(DataConfig(data=path, train_images=90, split_seed=seed)) for seed in (0, 1))
    whole = [load_dataset(DataConfig(data=path, train_images=90, split_seed=seed), dev=False) for seed in (0, 1)]

    assert numbers(one.x_dev) != numbers(other.x_dev)
    assert sorted(numbers(one.x_train) + numbers(one.x_dev)) == sorted(numbers(other.x_train) + numbers(other.x_dev))
    assert whole[0].fingerprint == whole[1].fingerprint


def test_without_a_dev_part_all_images_are_to_train_on(tmp_path):
    dataset = load_dataset(DataConfig(data=numbered_file(tmp_path, np.arange(30) % 3)), dev=False)

    assert numbers(dataset.x_train) == list(range(30))
    assert len(dataset.x_dev) == 0


def test_unequal_classes_keep_their_shares(tmp_path):
    labels = np.repeat([0, 1, 2], [100, 50, 10])
    dataset = load_dataset(DataConfig(data=numbered_file(tmp_path, labels), dev_share=0.2))

    assert np.bincount(dataset.y_dev).tolist() == [20, 10, 2]


def test_a_class_of_one_image_stays_in_the_train_part(tmp_path):
    labels = np.repeat([0, 1, 2], [10, 10, 1])
    dataset = load_dataset(DataConfig(data=numbered_file(tmp_path, labels), dev_share=0.8))

    # 80 % of 21 are 17; the ten keep at least one each
    assert np.bincount(dataset.y_dev, minlength=3).sum() == 17
    assert np.bincount(dataset.y_train, minlength=3)[2] == 1


def test_train_images_takes_the_same_share_of_each_class(tmp_path):
    labels = np.repeat([0, 1, 2], [100, 50, 1])
    config = DataConfig(data=numbered_file(tmp_path, labels), train_images=31)

    dataset = load_dataset(config, dev=False)

    # 31 of 151: 20.5, 10.3 and 0.2, of which the last must be one image
    assert np.bincount(dataset.y_train).tolist() == [20, 10, 1]
    assert (dataset.y_train == labels[numbers(dataset.x_train)]).all()
    assert load_dataset(config, dev=False).fingerprint == dataset.fingerprint


def test_the_dev_part_is_taken_from_the_train_images_asked_for(tmp_path):
    config = DataConfig(data=numbered_file(tmp_path, np.arange(300) % 3), train_images=60, dev_share=0.2)

    dataset = load_dataset(config)

    assert (len(dataset.x_train), len(dataset.x_dev)) == (48, 12)


def test_dev_images_scores_on_a_part_of_the_dev_part_and_leaves_the_train_part_alone(tmp_path):
    path = numbered_file(tmp_path, np.arange(300) % 3)

    whole = load_dataset(DataConfig(data=path, dev_share=0.2))
    fewer = load_dataset(DataConfig(data=path, dev_share=0.2, dev_images=12))

    assert set(numbers(fewer.x_dev)) < set(numbers(whole.x_dev))
    assert np.bincount(fewer.y_dev).tolist() == [4, 4, 4]
    assert numbers(fewer.x_train) == numbers(whole.x_train)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"train_images": 31}, r"train_images is 31; it can be 3 \(one image per class\) to 30 \(all train images\)"),
        ({"train_images": 2}, r"train_images is 2; it can be 3"),
        ({"dev_share": 0.2, "dev_images": 7}, r"dev_images is 7; it can be 3 \(one image per class\) to 6 \(all dev"),
        ({"dev_share": 0.2, "dev_images": 1}, r"dev_images is 1; it can be 3"),
        ({"dev_share": 0.01}, r"leaves 0 for the dev part and 30 to train on"),
        ({"dev_share": 0.05}, r"leaves 2 for the dev part .* at least one image for each of the 3 classes"),
        ({"train_images": 4, "dev_share": 0.8}, r"leaves 3 for the dev part and 1 to train on"),
    ],
)
def test_parts_that_cannot_be_are_refused_with_what_can(tmp_path, settings, message):
    path = numbered_file(tmp_path, np.arange(30) % 3)

    with pytest.raises(DataError, match=f"^numbered: (dev_share 0.* of .* train images )?{message}"):
        load_dataset(DataConfig(data=path, **settings))


def test_image_size_shows_all_parts_at_that_size():
    dataset = load_dataset(DataConfig(dataset="fashion-mnist", image_size=14))

    assert dataset.image == (14, 14, 1)
    assert dataset.x_test.shape == (1000, 14, 14, 1)


def test_eurosat_is_read_in_colour_with_its_names(shared_data):
    dataset = load_dataset(DataConfig(data=str(shared_data / "images" / "eurosat_rgb32_3k_1k.npz")))

    assert dataset.describe() == (
        "eurosat_rgb32_3k_1k: 2,700 train, 300 dev, 1,000 test images of 32 x 32 x 3, 10 classes"
    )
    assert dataset.class_names[1] == "Forest"


# --- batches --------------------------------------------------------------------------------------------------


def test_an_epoch_drops_its_last_incomplete_batch():
    assert epoch_batches(100, 25) == 4
    assert epoch_batches(99, 25) == 3
    assert epoch_batches(10, 25) == 1


def batch_numbers(dataset, step, batch_size, seed=0):
    images, labels = train_batch(dataset, step, batch_size, seed, PLAIN)
    raw = np.rint((images * dataset.std + dataset.mean) * 255).astype(int)
    found = numbers(raw)
    assert labels.tolist() == [number % 2 for number in found]
    return found


def test_each_epoch_visits_every_image_once_in_its_own_order():
    dataset = numbered_dataset(60)

    epochs = [[n for step in range(4) for n in batch_numbers(dataset, 4 * epoch + step, 15)] for epoch in range(2)]

    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(60))
    assert epochs[0] != epochs[1]


def test_a_batch_is_a_function_of_the_seed_and_the_step():
    dataset, config = numbered_dataset(60), DataConfig(cutout=3)

    last = train_batch(dataset, 4711, 15, 1, config)
    for step in (3, 0, 99):
        train_batch(dataset, step, 15, 1, config)
    again = train_batch(dataset, 4711, 15, 1, config)

    assert last[0].tobytes() == again[0].tobytes()
    assert last[1].tolist() == again[1].tolist()
    assert train_batch(dataset, 4711, 15, 2, config)[0].tobytes() != last[0].tobytes()
    assert train_batch(dataset, 4712, 15, 1, config)[0].tobytes() != last[0].tobytes()


def test_a_batch_holds_all_images_where_there_are_fewer():
    dataset = numbered_dataset(6)

    assert sorted(batch_numbers(dataset, 0, 64)) == sorted(batch_numbers(dataset, 5, 64)) == list(range(6))


def test_a_batch_is_contiguous_float32_with_int64_labels(tiny_dataset):
    images, labels = train_batch(tiny_dataset, 0, 32, 0, DataConfig(cutout=4))

    assert images.shape == (32, 12, 12, 3)
    assert images.dtype == np.float32
    assert images.flags.c_contiguous and images.flags.writeable
    assert labels.shape == (32,)
    assert labels.dtype == np.int64


def test_a_crop_is_padded_with_black_as_images_on_a_black_ground_have_it():
    x = np.zeros((40, 8, 8, 3), np.uint8)
    x[:, 2:6, 2:6] = [200, 100, 50]
    y = np.arange(40) % 2
    dataset = Dataset("on black", x, y, x[:0], y[:0], x, y, ("a", "b"))

    images, _ = train_batch(dataset, step=0, batch_size=40, seed=0, config=DataConfig(pad=2))
    on_mean, _ = train_batch(dataset, step=0, batch_size=40, seed=0, config=DataConfig(pad=2, pad_with="mean"))

    # shifted by up to 2 the square stays whole, and all around it is black, the padding too
    black, coloured = dataset.normalised(x[:1])[0, 0, 0], dataset.normalised(x[:1])[0, 4, 4]
    assert dataset.black.tolist() == black.tolist()
    assert ((images == black).all(3) | (images == coloured).all(3)).all()
    assert (images == coloured).all(3).sum(axis=(1, 2)).tolist() == [16] * 40
    assert (on_mean == 0).any()


def test_hues_of_a_batch_turn_by_up_to_the_setting():
    x = np.broadcast_to(np.array([200, 40, 40], np.uint8), (40, 8, 8, 3))
    y = np.arange(40) % 2
    dataset = Dataset("red", x, y, x[:0], y[:0], x, y, ("a", "b"))

    still, turning = (
        train_batch(dataset, 3, 40, 0, DataConfig(pad=0, flip=False, hue=hue))[0][:, 0, 0] for hue in (0.0, 0.2)
    )

    assert (still == still[0]).all()
    expected = turned(x[:, :1, :1], hue_turns(40, 0.2, seed=0, step=3))
    assert turning == pytest.approx(dataset.normalised(expected)[:, 0, 0])


def test_rows_of_a_batch_are_what_they_are_in_the_whole_batch(tiny_dataset):
    for config in (DataConfig(cutout=4, jitter=0.4, hue=0.2), DataConfig(crop="resized")):
        whole, labels = train_batch(tiny_dataset, 3, 32, 0, config)
        part, same = train_batch(tiny_dataset, 3, 32, 0, config, slice(10, 17))

        assert (part[10:17] == whole[10:17]).all()
        assert not part[:10].any() and not part[17:].any()
        assert (same == labels).all()
