"""Whole batches mirrored, shifted, enlarged, cut out and jittered."""

import colorsys

import numpy as np
import pytest

from bnao.config.settings import DataConfig
from bnao.data.augment import augmented, hue_turns, jittered, turned
from bnao.streams import stream

PLAIN = DataConfig(pad=0, flip=False, cutout=0)
RESIZED = DataConfig(crop="resized", flip=False)


def random_images(n, height=8, width=8, channels=3):
    return stream(0, "test images").standard_normal((n, height, width, channels), np.float32)


def test_augmentation_that_is_off_changes_nothing():
    images = random_images(5)

    assert (augmented(images, PLAIN, seed=0, step=0) == images).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_half_of_the_images_are_mirrored_left_to_right(channels):
    images = random_images(10_000, channels=channels)

    shown = augmented(images, DataConfig(pad=0), seed=0, step=0)

    kept = (shown == images).all(axis=(1, 2, 3))
    mirrored = (shown == images[:, :, ::-1]).all(axis=(1, 2, 3))
    assert (kept ^ mirrored).all()
    assert abs(int(mirrored.sum()) - 5000) < 250  # five standard deviations


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("ground", ["zero", "mean", "reflect"])
def test_a_crop_shows_the_image_shifted_by_up_to_the_padding_with_the_ground_around_it(channels, ground):
    images = random_images(500, height=8, width=10, channels=channels)
    black = np.array([-1.5, -2.5, -3.5][:channels])

    shown = augmented(images, DataConfig(pad=2, flip=False, pad_with=ground), seed=0, step=0, black=black)

    if ground == "reflect":
        surrounded = np.pad(images, ((0, 0), (2, 2), (2, 2), (0, 0)), mode="reflect")
    else:
        surrounded = np.pad(images, ((0, 0), (2, 2), (2, 2), (0, 0)))
        outside = np.pad(np.zeros((8, 10)), 2, constant_values=1).astype(bool)
        surrounded[:, outside] = black if ground == "zero" else 0
    shifts = []
    for index in range(500):
        found = [
            (down, right)
            for down in range(5)
            for right in range(5)
            if (shown[index] == surrounded[index, down : down + 8, right : right + 10]).all()
        ]
        assert len(found) == 1
        shifts += found
    assert len(set(shifts)) == 25  # every shift occurs: the chance that one does not is 4 * 10**-8


def test_a_mirrored_image_has_a_mirrored_border_and_a_wide_one_is_mirrored_again():
    ramp = np.broadcast_to(np.arange(8, dtype=np.float32)[:, None], (200, 8, 8, 1))

    shown = augmented(ramp, DataConfig(pad=20, pad_with="reflect"), seed=0, step=0)

    steps = np.abs(np.diff(shown[..., 0], axis=2))
    assert (steps == 1).all()  # a neighbour is a neighbour, whatever is mirrored
    assert (shown.std(axis=1) == 0).all()


def test_shifts_and_flips_do_not_depend_on_what_is_padded_with():
    images = np.abs(random_images(40)) + 1

    blacks, means, mirrors = (
        augmented(images, DataConfig(pad=2, pad_with=ground), seed=0, step=3) for ground in ("zero", "mean", "reflect")
    )

    assert (blacks == means).all()  # with black at its default, 0
    assert (mirrors == means)[means != 0].all()


def cut_areas(side, n=20_000):
    shown = augmented(np.ones((n, 8, 8, 1), np.float32), DataConfig(pad=0, flip=False, cutout=side), seed=0, step=0)
    cut = shown[..., 0] == 0
    rows, columns = cut.any(axis=2), cut.any(axis=1)
    assert (cut == rows[:, :, None] & columns[:, None, :]).all()  # it is a rectangle
    # and one without holes: at most two changes along each side
    assert (np.abs(np.diff(rows.astype(int), axis=1)).sum(axis=1) <= 2).all()
    return cut.sum(axis=(1, 2)), cut


def test_cutout_blanks_a_square_centred_anywhere_and_clipped_at_the_borders():
    areas, cut = cut_areas(4)

    # of 8 centres a side of 4 covers 2, 3, 4, 4, 4, 4, 4 and 3 places: 3.5 in the mean
    assert set(areas.tolist()) == {4, 6, 8, 9, 12, 16}
    assert abs(areas.mean() - 3.5**2) < 0.13  # five standard errors
    assert cut.any(axis=0).all()


def test_cutout_of_an_odd_side_covers_that_side():
    assert set(cut_areas(1)[0].tolist()) == {1}
    assert max(cut_areas(5)[0].tolist()) == 25


def test_cutout_blanks_all_channels():
    shown = augmented(np.ones((50, 8, 8, 3), np.float32), DataConfig(pad=0, flip=False, cutout=3), seed=0, step=0)

    assert set(shown.sum(axis=3).ravel().tolist()) == {0.0, 3.0}


def test_a_setting_does_not_change_what_the_others_draw():
    images = random_images(40)

    cropped = augmented(images, DataConfig(flip=False), seed=0, step=3)
    both = augmented(images, DataConfig(flip=False, cutout=4), seed=0, step=3)

    assert (both == cropped)[both != 0].all()


def test_augmentation_leaves_its_input_as_it_was():
    images = random_images(20)
    before = images.copy()

    augmented(images, DataConfig(cutout=4), seed=0, step=0)

    assert (images == before).all()


# --- resized crops


def test_a_resized_crop_of_a_ramp_is_a_ramp_of_the_part_it_shows():
    height, width, n = 32, 32, 400
    ramp = np.broadcast_to(np.arange(width, dtype=np.float32)[:, None], (n, height, width, 1))

    shown = augmented(ramp, RESIZED, seed=0, step=0)

    slopes = (shown[:, :, 20, 0] - shown[:, :, 10, 0]) / 10
    assert (shown.std(axis=1) < 1e-4).all()  # columns stay columns
    # the width shown is a share sqrt(area x ratio) of the image: 0.24 at the least, all at the most
    assert slopes.min() >= np.sqrt(0.08 * 3 / 4) - 1e-3
    assert slopes.max() <= 1 + 1e-5
    assert slopes.std() > 0.1
    assert shown.min() >= -1e-4 and shown.max() <= width - 1 + 1e-4


def test_a_resized_crop_of_an_even_image_changes_nothing():
    assert (augmented(np.full((3, 9, 12, 3), 0.5, np.float32), RESIZED, seed=0, step=0) == 0.5).all()


# --- jitter


def test_no_jitter_changes_nothing():
    images = stream(0, "test images").integers(0, 256, (4, 8, 8, 3), dtype=np.uint8)

    assert jittered(images, 0.0, seed=0, step=0) is images


def test_grey_images_stay_grey_and_values_stay_in_range():
    grey = stream(0, "test images").integers(0, 256, (50, 8, 8, 1), dtype=np.uint8)

    shown = jittered(np.repeat(grey, 3, axis=3), 0.8, seed=0, step=0)

    assert shown.min() >= 0 and shown.max() <= 255
    assert np.allclose(shown, shown[..., :1], atol=1e-2)
    assert np.allclose(shown[..., :1], jittered(grey, 0.8, seed=0, step=0), atol=1e-2)


def test_brightness_of_an_even_image_is_its_factor():
    even = np.full((2000, 8, 8, 1), 100, np.uint8)

    means = jittered(even, 0.4, seed=0, step=0).mean(axis=(1, 2, 3))

    # contrast leaves an even image as it is: what remains is uniform within 60..140
    assert 60 <= means.min() < 61 and 139 < means.max() <= 140
    assert abs(means.mean() - 100) < 2.6  # five standard errors


def test_jitter_is_a_function_of_seed_and_step():
    images = stream(0, "test images").integers(0, 256, (4, 8, 8, 3), dtype=np.uint8)

    assert (jittered(images, 0.4, 0, 7) == jittered(images, 0.4, 0, 7)).all()
    assert (jittered(images, 0.4, 0, 7) != jittered(images, 0.4, 0, 8)).any()


# --- hue


@pytest.mark.parametrize("turn", [0.0, 1 / 6, 0.2, -0.2, 0.5])
def test_turned_hues_are_those_of_the_colour_circle(turn):
    images = stream(0, "test images").integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)
    images[0, 0] = images[0, 0, :, :1]  # grey ones too

    shown = turned(images, np.full(2, turn, np.float32))

    for pixel, found in zip(images.reshape(-1, 3), shown.reshape(-1, 3), strict=True):
        hue, saturation, value = colorsys.rgb_to_hsv(*(pixel / 255).tolist())
        assert found == pytest.approx(
            np.array(colorsys.hsv_to_rgb((hue + turn) % 1, saturation, value)) * 255, abs=1e-3
        )


def test_each_image_of_a_step_turns_by_its_own_share_of_up_to_the_setting():
    red = np.broadcast_to(np.array([250, 0, 0], np.uint8), (2000, 2, 2, 3))

    shown = jittered(red, 0.0, seed=0, step=5, hue=0.2)

    hues = np.array([colorsys.rgb_to_hsv(*pixel)[0] for pixel in (shown[:, 0, 0] / 255).tolist()])
    found = (hues + 0.5) % 1 - 0.5
    assert found == pytest.approx(hue_turns(2000, 0.2, seed=0, step=5), abs=1e-5)
    assert -0.2 <= found.min() < -0.199 and 0.199 < found.max() <= 0.2
    assert abs(found.mean()) < 5 * 0.2 / np.sqrt(3 * 2000)


def test_hue_changes_neither_grey_images_nor_what_jitter_draws():
    coloured = stream(0, "test images").integers(0, 256, (4, 8, 8, 3), dtype=np.uint8)
    grey = coloured[..., :1]

    assert jittered(grey, 0.0, seed=0, step=0, hue=0.5) is grey
    assert (jittered(grey, 0.4, 0, 0, hue=0.5) == jittered(grey, 0.4, 0, 0)).all()
    values, turned_values = (jittered(coloured, 0.4, 0, 0, hue=hue).max(3) for hue in (0.0, 0.5))
    assert turned_values == pytest.approx(values)
