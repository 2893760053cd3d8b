import numpy as np
import pytest
from PIL import Image

from bnao.data.checks import checked_part, resize
from bnao.errors import DataError
from bnao.streams import stream


def random_images(*shape):
    return stream(0, "test images").integers(0, 256, shape, dtype=np.uint8)


def test_a_dividing_size_shows_the_mean_of_each_block_with_halves_rounded_up():
    image = np.array([[0, 1, 10, 20], [0, 1, 30, 41], [0, 0, 255, 255], [0, 1, 255, 254]], np.uint8)

    shown = resize(image.reshape(1, 4, 4, 1), (2, 2))

    # means 0.5, 25.25, 0.25 and 254.75
    assert shown.reshape(2, 2).tolist() == [[1, 25], [0, 255]]
    assert shown.dtype == np.uint8


def test_a_dividing_size_need_not_be_square():
    image = np.arange(24, dtype=np.uint8).reshape(1, 2, 4, 3)

    shown = resize(image, (1, 2))

    # the first block's first channel is 0, 3, 12 and 15
    assert shown.tolist() == [[[[8, 9, 10], [14, 15, 16]]]]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("size", "kernel"), [((20, 20), Image.Resampling.BOX), ((32, 40), Image.Resampling.BICUBIC)])
def test_other_sizes_are_pillows(channels, size, kernel):
    images = random_images(3, 28, 28, channels)

    shown = resize(images, size)

    mode = "L" if channels == 1 else "RGB"
    last = Image.frombytes(mode, (28, 28), images[2].tobytes()).resize(size[::-1], kernel)
    assert shown.shape == (3, *size, channels)
    assert shown[2].tobytes() == last.tobytes()


def test_a_flat_image_stays_as_it_is_at_any_size():
    images = np.full((2, 12, 16, 3), 77, np.uint8)

    for size in [(12, 16), (6, 8), (9, 9), (24, 24)]:
        assert (resize(images, size) == 77).all()


def test_a_part_is_given_its_channel_axis_and_whole_number_labels():
    x, y = checked_part("here", "train", random_images(4, 8, 9), np.array([[0], [1], [2], [1]], np.uint8))

    assert x.shape == (4, 8, 9, 1)
    assert y.dtype == np.int64
    assert y.tolist() == [0, 1, 2, 1]


def test_a_part_is_contiguous_whatever_came():
    x, _ = checked_part("here", "train", random_images(3, 8, 8, 4).transpose(3, 1, 2, 0), np.array([0, 1, 0, 1]))

    assert x.flags.c_contiguous


X, Y = random_images(4, 8, 8, 3), np.array([0, 1, 0, 1])


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (X / 255, Y, r"x_train is float64; images must be uint8, 0..255; for values in 0..1"),
        (X.astype(np.int32), Y, r"x_train is int32; images must be uint8, 0..255$"),
        (X[0, 0], Y, r"x_train has the shape \(8, 3\); it must be \(n, height, width\)"),
        (X[None], Y, r"x_train has the shape \(1, 4, 8, 8, 3\)"),
        (X[..., :2], Y, r"that is 2 channels; it must have 1 or 3$"),
        (X.transpose(0, 3, 1, 2), Y, r"that is 8 channels; it must have 1 or 3; channels come last: x.transpose"),
        (X[:, :0], Y, r"x_train has the shape \(4, 0, 8, 3\); its images have no pixels"),
        (X, Y.astype(float), r"y_train is float64; labels must be integers"),
        (X, np.array(list("abab")), r"y_train is <U1; labels must be integers"),
        (X, Y > 0, r"y_train is bool; labels must be integers"),
        (X, np.eye(4, dtype=int), r"y_train has the shape \(4, 4\); it must be \(n,\), one label per image"),
        (X, Y[:3], r"x_train has 4 images but y_train has 3 labels"),
        (X, np.array([0, 1, -1, 1]), r"labels out of range: y_train\[2\] is -1; with at most 1000 classes it can be"),
        (X, np.array([0, 1, 1, 1000]), r"labels out of range: y_train\[3\] is 1000; .* 0..999$"),
        (X, np.array([0, 2**64 - 1, 1, 0], np.uint64), r"labels out of range: y_train\[1\] is 18446744073709551615"),
    ],
)
def test_what_is_no_labelled_image_is_named(x, y, message):
    with pytest.raises(DataError, match=rf"^here: .*{message}|^here: {message}"):
        checked_part("here", "train", x, y)


def test_a_label_beyond_the_classes_is_named():
    with pytest.raises(DataError, match=r"labels out of range: y_test\[3\] is 2; with 2 classes it can be 0..1"):
        checked_part("here", "test", X, np.array([0, 1, 0, 2]), classes=2)
