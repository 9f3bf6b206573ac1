"""The corrupted test images, beside SciPy, scikit-image and Pillow, and how the table is filled."""

import csv
import io

import corruptions
import numpy as np
import pytest
from PIL import Image
from scipy import ndimage
from skimage import color


@pytest.fixture(scope="module")
def x(cifar10):
    """Forty test images, values 0-1."""
    return cifar10[2][:40] / 255


def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize("name", corruptions.NAMES[1:])
def test_images_stay_images_and_are_always_the_same(cifar10, name):
    images = cifar10[2][:40]
    changed = corruptions.corrupt(images, name)
    assert changed.shape == images.shape and changed.dtype == np.uint8
    assert np.array_equal(changed, corruptions.corrupt(images, name))
    difference = np.abs(changed.astype(int) - images).mean(axis=(1, 2, 3))
    assert 1 < np.median(difference) < 80 and (difference > 0).all(), (
        "too weak, too strong, or not on every image"
    )


def test_there_are_fifteen(cifar10):
    assert len(set(corruptions.NAMES)) == 16
    assert corruptions.corrupt(cifar10[2], "none") is cifar10[2]


def test_strength_of_the_noises():
    grey = np.full((100, 32, 32, 3), 0.5)
    assert (corruptions.gaussian_noise(grey, rng()) - grey).std() == pytest.approx(0.08, rel=0.02)
    assert corruptions.shot_noise(grey, rng()).std() == pytest.approx((0.5 / 100) ** 0.5, rel=0.02)
    impulses = corruptions.impulse_noise(grey, rng())
    assert (impulses == 0).mean() == pytest.approx(0.015, rel=0.1)
    assert (impulses == 1).mean() == pytest.approx(0.015, rel=0.1)


def test_zoom_is_that_of_scipy(x):
    middle, factor = 15.5, 1.4
    matrix, offset = (
        [1, 1 / factor, 1 / factor, 1],
        [0, middle - middle / factor, middle - middle / factor, 0],
    )
    expected = ndimage.affine_transform(x, matrix, offset, order=1)
    np.testing.assert_allclose(corruptions.zoom(x, factor), expected, atol=1e-6)


def test_places_between_pixels_are_those_of_scipy(x):
    rows, columns = rng().uniform(-3, 34, (2, len(x), 32, 32))
    found = corruptions.between(x, rows, columns)
    for i in (0, 7):
        expected = ndimage.map_coordinates(x[i, ..., 1], [rows[i], columns[i]], order=1, mode="nearest")
        np.testing.assert_allclose(found[i, ..., 1], expected, atol=1e-6)


def test_brightness_is_that_of_scikit_image(x):
    hsv = color.rgb2hsv(x)
    hsv[..., 2] = np.clip(hsv[..., 2] + 0.15, 0, 1)
    np.testing.assert_allclose(corruptions.brightness(x, rng()), color.hsv2rgb(hsv), atol=1e-6)


def test_contrast_and_pixels(x, cifar10):
    mean = x.mean(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(corruptions.contrast(x, rng()), 0.4 * x + 0.6 * mean, atol=1e-9)
    image, box = Image.fromarray(cifar10[2][3]), Image.Resampling.BOX
    expected = np.asarray(image.resize((27, 27), box).resize((32, 32), box))
    assert np.array_equal(corruptions.corrupt(cifar10[2][:4], "pixelate")[3], expected)


def test_zoom_blur_is_the_mean_of_enlargements(x):
    expected = [x, x]
    for percent in range(1, 16):
        scale = 1 / (1 + percent / 100)
        offset = [0, 15.5 - 15.5 * scale, 15.5 - 15.5 * scale, 0]
        expected.append(ndimage.affine_transform(x, [1, scale, scale, 1], offset, order=1))
    np.testing.assert_allclose(corruptions.zoom_blur(x, rng()), np.mean(expected, axis=0), atol=1e-6)


def test_fog_is_as_coarse_as_that_of_the_authors():
    """Their texture, by diamond-square with 2.5, differs between neighbours by 0.021 on average."""
    texture = corruptions.clouds(np.zeros((300, 32, 32, 3)), rng(), 2.5**2)[..., 0]
    assert texture.min() == 0 and texture.max() == 1
    assert np.abs(np.diff(texture, axis=1)).mean() == pytest.approx(0.021, abs=0.006)


def test_jpeg_is_that_of_pillow(cifar10):
    file = io.BytesIO()
    Image.fromarray(cifar10[2][3]).save(file, "JPEG", quality=58)
    assert np.array_equal(
        corruptions.corrupt(cifar10[2][:4], "jpeg compression")[3], np.asarray(Image.open(file))
    )


def test_a_dot_is_smeared_along_the_angle():
    dot = np.zeros((2, 32, 32, 1))
    dot[:, 16, 16] = 1
    across, down = corruptions.smear(dot, 6, 2, np.array([0, -90]))[..., 0]
    assert across.sum() == pytest.approx(1) and down.sum() == pytest.approx(1)
    assert (np.argwhere(across)[:, 0] == 16).all() and set(np.argwhere(across)[:, 1]) == set(range(10, 17))
    assert (np.argwhere(down)[:, 1] == 16).all() and across[16, 16] == across.max()


@pytest.mark.parametrize(
    "name", ["defocus blur", "glass blur", "motion blur", "zoom blur", "elastic transform"]
)
def test_an_even_image_stays_as_it_is(name):
    """Corruptions that only move or mix pixels keep one colour."""
    even = np.ones((4, 32, 32, 3), "uint8") * np.array([200, 100, 50], "uint8")
    assert np.array_equal(corruptions.corrupt(even, name), even)


def test_moved_points_move_the_plane():
    """Each row is brighter than the one above: the bent image shows from which row each pixel came, at most some away."""
    ramp = np.broadcast_to(np.arange(32)[:, None] / 31, (50, 32, 32))[..., None] * np.ones(3)
    came_from = 31 * corruptions.elastic_transform(ramp, rng())[..., 0]
    moves = (came_from - np.arange(32)[:, None])[:, 8:24, 8:24]
    assert 0.3 < np.abs(moves).mean() < 3 and np.abs(moves.mean(axis=0)).max() < 1


def test_each_accuracy_is_that_of_its_corruption(monkeypatch, tmp_path, cifar10):
    """A model that is right about the images as they are, and about nothing else; rows that are there are left alone."""
    images, labels = cifar10[2][:30], cifar10[3][:30]
    known = {image.tobytes(): label for image, label in zip(images, labels)}
    built = []

    def build(*arguments):
        built.append(arguments)
        wrong = np.eye(10)[(labels + 1) % 10]
        return lambda x: np.array(
            [
                np.eye(10)[known[i.tobytes()]] if i.tobytes() in known else wrong[n % 30]
                for n, i in enumerate(x)
            ]
        )

    data = [images, labels, images, labels]
    tools = {
        "load_cifar10": lambda _: data,
        "accuracy": lambda s, y: round(100 * float((s.argmax(1) == y).mean()), 2),
    }
    monkeypatch.setattr(corruptions.notebooks, "definitions", lambda _: tools)
    start = {"hardware": "", "versions": {"keras": ""}, "commit": ""}
    monkeypatch.setattr(corruptions.notebooks, "provenance", lambda: start)
    monkeypatch.setattr(corruptions, "TABLE", tmp_path / "corruptions.csv")
    monkeypatch.setattr(corruptions, "probe", build)
    monkeypatch.setattr(corruptions, "classifier", build)
    corruptions.main()
    rows = list(csv.DictReader((tmp_path / "corruptions.csv").open()))
    assert len(rows) == len(built) == 4
    assert {row["none"] for row in rows} == {"100.0"}
    assert {row[name] for row in rows for name in corruptions.NAMES[1:]} == {"0.0"}
    corruptions.main()
    assert len(built) == len(rows)
