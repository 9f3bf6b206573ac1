"""What common corruptions of the test images do to released models with and without pre-training, into logs/corruptions.csv.

The fifteen of Hendrycks and Dietterich (arXiv 1903.12261) with their strengths of severity 3 of 5 for CIFAR-10, written for
arrays and drawn anew. So these are not the images of CIFAR-10-C: glass and zoom blur, elastic transform and fog differ in
detail, and frost is a random texture instead of photographs of ice. Rows that are there are left alone.
"""

import functools
import io
import os

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from PIL import Image
from scipy import ndimage

import few_labels
import notebooks
from notebooks import ROOT, read

TABLE = ROOT / "logs" / "corruptions.csv"
MODELS = dict.fromkeys(few_labels.PROBES, f"{few_labels.ENCODER}/encoder.keras")  # by method: all saw 50,000 labels
MODELS |= few_labels.CLASSIFIERS

# Each takes images x (M, S, S, 3), values 0-1, and a NumPy random generator, and returns the same; values may leave 0-1.


def gaussian_noise(x, rng):
    """Noise of one strength everywhere."""
    return x + rng.normal(0, 0.08, x.shape)


def shot_noise(x, rng):
    """Few photons: each value is a count, with a mean of 100 for white."""
    return rng.poisson(100 * x) / 100


def impulse_noise(x, rng):
    """3 % of the values become 0 or 1."""
    chance = rng.uniform(size=x.shape)
    return np.where(chance < 0.015, 0, np.where(chance > 0.985, 1, x))


def gaussian(x, sigma, reach):
    """Blur by a Gaussian of `sigma` pixels, cut off at `reach` pixels."""
    return ndimage.gaussian_filter(x, sigma, axes=(1, 2), radius=reach, mode="mirror")


def defocus_blur(x, rng):
    """A disc that is smaller than a pixel, smoothed."""
    return gaussian(x, 0.6, 1)


def glass_blur(x, rng):
    """Each pixel comes from itself or a neighbour above or to the left, between two light blurs."""
    rows, columns = places(x) - rng.integers(0, 2, (2, *x.shape[:3]))
    return gaussian(pick(gaussian(x, 0.4, 2), rows, columns), 0.4, 2)


def places(x):
    """Row and column of each pixel, (2, 1, S, S)."""
    return np.mgrid[: x.shape[1], : x.shape[2]][:, None]


def pick(x, rows, columns):
    """Pixels of x (M, S, S, ...) at whole rows and columns (M, S, S); beyond the border, those of the border."""
    rows, columns = (np.clip(where, 0, x.shape[1] - 1) for where in (rows, columns))
    return x[np.arange(len(x))[:, None, None], rows, columns]


def smear(x, reach, sigma, angles):
    """Blur along a line from each pixel, `reach` pixels long, by half a Gaussian; angles (M,) in degrees."""
    angles = np.deg2rad(angles)[:, None, None]
    weights = np.exp(-0.5 * (np.arange(reach + 1) / sigma) ** 2)
    total = np.zeros_like(x)
    for i, weight in enumerate(weights / weights.sum()):
        rows, columns = places(x)
        rows, columns = (np.round(w + i * part(angles)).astype(int) for w, part in ((rows, np.sin), (columns, np.cos)))
        total += weight * pick(x, rows, columns)
    return total


def motion_blur(x, rng):
    """Smeared towards one side."""
    return smear(x, 6, 2, rng.uniform(-45, 45, len(x)))


def zoom(x, factor):
    """The middle of each image, enlarged."""
    middle = (x.shape[1] - 1) / 2
    first = middle - middle / factor  # the row and column that become the first
    return ndimage.affine_transform(x, [1, 1 / factor, 1 / factor, 1], [0, first, first, 0], order=1)


def zoom_blur(x, rng):
    """The mean of the image and enlargements by up to 15 %."""
    factors = [1, *np.arange(1, 1.155, 0.01)]
    return sum(zoom(x, factor) for factor in factors) / len(factors)


def snow(x, rng):
    """Flakes that fall from two sides, on a whitened image."""
    flakes = zoom(rng.normal(0.15, 0.3, (*x.shape[:3], 1)), 1.75)
    flakes = smear(np.where(flakes < 0.55, 0, flakes.clip(0, 1)), 10, 4, rng.uniform(-135, -45, len(x)))
    grey = x @ np.array([[0.299], [0.587], [0.114]])
    return 0.9 * x + 0.1 * np.maximum(x, 1.5 * grey + 0.5) + flakes + flakes[:, ::-1, ::-1]


def clouds(x, rng, decay):
    """Random textures (M, S, S, 1), values 0-1: coarse noise and finer noise, each step `decay` times weaker."""
    size, texture, grid, weight = x.shape[1], 0, 3, 1
    while grid <= size:
        noise = rng.uniform(-1, 1, (len(x), grid, grid, 1))
        texture = texture + weight * ndimage.zoom(noise, (1, size / grid, size / grid, 1), order=1, mode="nearest")
        grid, weight = 2 * grid, weight / decay
    low, high = (part(texture, axis=(1, 2), keepdims=True) for part in (np.min, np.max))
    return (texture - low) / (high - low)


def frost(x, rng):
    """A texture over the image."""
    return 0.9 * x + 0.4 * clouds(x, rng, 1.5)


def fog(x, rng):
    """Clouds before the image, then as bright as before."""
    brightest = x.max(axis=(1, 2, 3), keepdims=True)
    return (x + 0.75 * clouds(x, rng, 2.5**2)) * brightest / (brightest + 0.75)


def brightness(x, rng):
    """The largest channel of each pixel gains 0.15, hue and saturation stay."""
    value = x.max(axis=-1, keepdims=True)
    brighter = np.minimum(value + 0.15, 1)
    return np.where(value > 0, x * brighter / np.maximum(value, 1e-9), brighter)


def contrast(x, rng):
    """Less of it: 0.4 of the distance to the mean of each channel."""
    mean = x.mean(axis=(1, 2), keepdims=True)
    return mean + 0.4 * (x - mean)


def elastic_transform(x, rng):
    """Bent: three points are moved and with them the plane, then each pixel a little."""
    size = x.shape[1]
    points = size // 2 + size // 3 * np.array([[1, 1], [1, -1], [-1, -1]])  # rows and columns
    moved = rng.uniform(-0.06 * size, 0.06 * size, (len(x), 3, 2))
    plane = np.linalg.solve(np.c_[points, np.ones(3)], moved)  # (M, 3, 2), of (row, column, 1)
    small = 0.08 * size * gaussian(rng.uniform(-1, 1, (len(x), size, size, 2)), 0.06 * size, 6)
    rows, columns = np.broadcast_to(places(x), (2, len(x), size, size))
    moves = np.stack([rows, columns, np.ones_like(rows)], axis=-1) @ plane[:, None] + small
    bent = np.empty_like(x)
    for image, channel in np.ndindex(len(x), x.shape[3]):
        where = [rows[image] + moves[image, ..., 0], columns[image] + moves[image, ..., 1]]
        bent[image, ..., channel] = ndimage.map_coordinates(x[image, ..., channel], where, order=1, mode="nearest")
    return bent


def one_by_one(x, change):
    """`change` of each image, a PIL.Image, as an array like x."""
    return np.stack([np.asarray(change(Image.fromarray(image))) for image in (255 * x).round().astype("uint8")]) / 255


def pixelate(x, rng):
    """Made smaller by 15 % and large again, without smoothing."""
    small, size = 2 * (int(0.85 * x.shape[1]),), x.shape[1:3]
    box = Image.Resampling.BOX
    return one_by_one(x, lambda image: image.resize(small, box).resize(size, box))


def jpeg_compression(x, rng):
    """A JPEG file of quality 58."""

    def compress(image):
        file = io.BytesIO()
        image.save(file, "JPEG", quality=58)
        return Image.open(file)

    return one_by_one(x, compress)


CORRUPTIONS = [gaussian_noise, shot_noise, impulse_noise, defocus_blur, glass_blur, motion_blur, zoom_blur, snow, frost]
CORRUPTIONS += [fog, brightness, contrast, elastic_transform, pixelate, jpeg_compression]
NAMES = ["none", *(corruption.__name__.replace("_", " ") for corruption in CORRUPTIONS)]


def corrupt(images, name):
    """Images uint8 (M, S, S, 3) under one of NAMES, always the same for the same images; "none" leaves them as they are."""
    if name == "none":
        return images
    number = NAMES.index(name)
    changed = CORRUPTIONS[number - 1](images / 255, np.random.default_rng(number))
    return (255 * np.clip(changed, 0, 1)).round().astype("uint8")


def probe(trained, tools, data):
    """Scores of images, as a function: a linear probe on the encoder's final tokens, with the rate that logs/ says was chosen."""
    encoder = few_labels.load_encoder(trained)
    chosen = read(ROOT / "logs" / few_labels.ENCODER.split("/")[-1] / "probe.json")["test"]["probe, final tokens"]
    rate = chosen["trained" if trained else "untrained"]["learning_rate"]
    pooled = tools["pooling_model"](encoder)
    known = tools["pooled_features"](pooled, data[0])[:, -1]
    return lambda x: tools["linear_probe"](known, data[1], tools["pooled_features"](pooled, x)[:, -1], rate)


def classifier(path):
    """The same: a released classifier."""
    return functools.partial(keras.saving.load_model(ROOT / path).predict, batch_size=500, verbose=0)


def main():
    """Fill the table."""
    tools = notebooks.definitions(notebooks.PROBE)
    data = tools["load_cifar10"](ROOT / "data")
    for name, path in MODELS.items():

        def measure(name=name, path=path):
            trained = few_labels.PROBES.get(name)
            score = classifier(path) if trained is None else probe(trained, tools, data)
            scores = score(np.concatenate([corrupt(data[2], corruption) for corruption in NAMES]))
            return dict(zip(NAMES, [tools["accuracy"](part, data[3]) for part in np.split(scores, len(NAMES))]))

        notebooks.row_once(TABLE, {"model": name, "weights": notebooks.sha256(ROOT / path)[:12]}, measure)


if __name__ == "__main__":
    main()
