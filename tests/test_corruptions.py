"""The corrupted test images, beside SciPy, scikit-image and Pillow, and how the table is filled."""

import csv
import io

import corruptions
import notebooks
import numpy as np
import pytest
from PIL import Image
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


def test_zoom_blur_by_hand():
    """A pixel beside the middle is `factor` times as far from it in each enlargement; the mean of all is what is returned."""
    ramp = np.broadcast_to(np.arange(32.0)[:, None] - 15.5, (1, 32, 32))[..., None] * np.ones(3)
    factors = [1, *(1 + percent / 100 for percent in range(16))]
    expected = np.arange(-15.5, 16) * np.mean([1 / factor for factor in factors])
    found = corruptions.zoom_blur(ramp, rng())[0]
    np.testing.assert_allclose(found, np.broadcast_to(expected[:, None, None], found.shape), atol=1e-9)


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
    """Model number m is right about m + n of thirty images under corruption n; rows that are there are left alone."""
    images, labels = cifar10[2][:30], cifar10[3][:30]
    numbers = {corruptions.corrupt(images, name).tobytes(): n for n, name in enumerate(corruptions.NAMES)}
    built = []

    def build(*arguments):
        built.append(arguments[0])
        model = len(built) - 1

        def score(x):
            answers = []
            for part in np.split(x, len(corruptions.NAMES)):
                right = np.arange(30) < model + numbers[part.tobytes()]
                answers.append(np.eye(10)[np.where(right, labels, (labels + 1) % 10)])
            return np.concatenate(answers)

        return score

    data = [images, labels, images, labels]
    tools = {
        "load_cifar10": lambda _: data,
        "accuracy": lambda s, y: int((s.argmax(1) == y).sum()),
    }
    monkeypatch.setattr(corruptions.notebooks, "definitions", lambda _: tools)
    start = {"hardware": "", "versions": {"keras": ""}, "commit": ""}
    monkeypatch.setattr(corruptions.notebooks, "provenance", lambda: start)
    monkeypatch.setattr(corruptions, "TABLE", tmp_path / "corruptions.csv")
    monkeypatch.setattr(corruptions, "probe", build)
    monkeypatch.setattr(corruptions, "classifier", build)
    corruptions.main()
    rows = list(csv.DictReader((tmp_path / "corruptions.csv").open()))
    models = corruptions.MODELS
    probes = {"probe, untrained": False, "probe": True}  # is the encoder trained? The others are files.
    assert built == [probes.get(row["model"], models[row["model"]]) for row in rows]
    assert {row["model"] for row in rows} == set(models) and set(probes) < set(models)
    for m, row in enumerate(rows):
        assert [int(row[name]) for name in corruptions.NAMES] == [m + n for n in range(16)]
    corruptions.main()
    assert len(built) == len(rows)


def test_probes_ask_the_encoder_that_is_named(cifar10):
    """Fitted on few images, the one of the pre-trained encoder is right far more often."""
    x, y, x_test, y_test = cifar10
    tools = notebooks.definitions(notebooks.PROBE)
    untrained, trained = (
        tools["accuracy"](corruptions.probe(state, tools, (x[:1000], y[:1000]))(x_test[:500]), y_test[:500])
        for state in (False, True)
    )
    assert trained > untrained + 10 > 30


@pytest.mark.parametrize("method", corruptions.few_labels.PROBES)
def test_probes_are_as_right_without_corruption_as_when_they_were_released(method):
    """The table's probes have the encoder and the learning rate of probe.json, so on clean images about its accuracy."""
    (row,) = [row for row in notebooks.read_csv(corruptions.TABLE) if row["model"] == method]
    folder = corruptions.few_labels.ENCODER.replace("weights", "logs")
    chosen = notebooks.read(corruptions.ROOT / folder / "probe.json")["test"]["probe, final tokens"]
    state = "trained" if corruptions.few_labels.PROBES[method] else "untrained"
    assert float(row["none"]) == pytest.approx(chosen[state]["accuracy"], abs=0.5)
