"""Where two released classifiers, with and without pre-training, are wrong on the test images, and what their last blocks
look at, into logs/mistakes.json; and two pictures beside it.

    python scripts/mistakes.py
"""

import os

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("MPLBACKEND", "agg")

import keras
import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

import notebooks
from few_labels import CLASSIFIERS, ENCODER
from notebooks import CLASSIFICATION, ROOT
from release import paired_difference

LOOKING = 1000  # test images whose attention is measured


def mistakes(answers, truth):
    """How many of the test images are named wrongly. answers: {model: classes (T,)} of two models, truth (T,)."""
    (first, one), (second, other) = answers.items()
    wrong, wrong_too = one != truth, other != truth
    lead, margin = paired_difference(~wrong, ~wrong_too)
    return {
        first: int(wrong.sum()),
        second: int(wrong_too.sum()),
        "both": int((wrong & wrong_too).sum()),
        "both, with the same answer": int((wrong & (one == other)).sum()),
        f"lead of {second}, points": lead,
        "its margin (95 %)": margin,
    }


def hardest(probabilities, truth, number):
    """Positions of the test images that all models get wrong with the same answer, the surest first.

    probabilities: one (T, classes) for each model, truth (T,) -> at most `number` positions. How sure they are is the
    smallest of their probabilities.
    """
    answers = np.stack([each.argmax(axis=1) for each in probabilities])
    sure = np.stack([each.max(axis=1) for each in probabilities]).min(axis=0)
    agreed = np.flatnonzero((answers != truth).all(axis=0) & (answers == answers[0]).all(axis=0))
    return agreed[np.argsort(-sure[agreed], kind="stable")][:number]


def strongest(received):
    """How often the average the patch gets that receives most, mean over images: (M, grid, grid) -> float."""
    return round(float(received.max(axis=(1, 2)).mean()), 2)


def draw_attention(images, maps):
    """Images (M, S, S, C), below them the same lit by each model's attention: maps {model: (M, grid, grid)} -> figure."""
    figure, rows = plt.subplots(
        1 + len(maps), len(images), figsize=(len(images), 1.1 * (1 + len(maps))), layout="constrained"
    )
    for row, (name, received) in zip(rows, [("test images", None), *maps.items()]):
        row[0].set_ylabel(name, fontsize=8)
        for axis, image, shares in zip(row, images, received if received is not None else images):
            if received is not None:
                side = image.shape[0] // len(shares)  # of a patch
                image = image * np.kron(shares / shares.max(), np.ones((side, side)))[..., None]
            axis.imshow(image.round().astype("uint8"))
            axis.set(xticks=[], yticks=[])
    return figure


def save(figure, name, **options):
    """Write a figure to logs/<name>, in 256 colours: a third of the bytes."""
    path = ROOT / "logs" / name
    figure.savefig(path, **options)
    Image.open(path).convert("RGB").quantize(256).save(path, optimize=True)


def main():
    """Measure, draw and write."""
    tools = notebooks.definitions(CLASSIFICATION)
    x_test, y_test = tools["load_cifar10"](ROOT / "data")[2:]
    files = {"pre-trained": f"{ENCODER}/encoder.keras"} | CLASSIFIERS
    models = {name: keras.saving.load_model(ROOT / file) for name, file in files.items()}
    scores = {name: models[name].predict(x_test, batch_size=500, verbose=0) for name in CLASSIFIERS}
    maps = {name: tools["attention_received"](model, x_test[:LOOKING]) for name, model in models.items()}
    answers = {name: logits.argmax(axis=1) for name, logits in scores.items()}
    shown = hardest([keras.ops.convert_to_numpy(keras.ops.softmax(logits)) for logits in scores.values()], y_test, 8)

    names = notebooks.CIFAR10["classes"]
    called = answers["scratch"][shown]
    titles = [f"{names[truth]},\ncalled {names[answer]}" for truth, answer in zip(y_test[shown], called)]
    save(tools["draw_row"](x_test[shown], titles), "mistakes.png", dpi=100, bbox_inches="tight")
    first = [int(np.argmax(y_test[:LOOKING] == label)) for label in range(len(names))]
    figure = draw_attention(x_test[first], {name: received[first] for name, received in maps.items()})
    save(figure, "attention.png", dpi=80)

    start = notebooks.provenance()
    found = {
        "test images": len(y_test),
        "wrong": mistakes(answers, y_test),
        "hardest": shown.tolist(),
        "strongest patch, times the average": {name: strongest(received) for name, received in maps.items()},
        "images looked at": LOOKING,
        "sha256": {name: notebooks.sha256(ROOT / file) for name, file in files.items()},
        "hardware": start["hardware"],
        "versions": start["versions"],
        "commit": start["commit"],
    }
    notebooks.write(ROOT / "logs" / "mistakes.json", found)
    print(found)


if __name__ == "__main__":
    main()
