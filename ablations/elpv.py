"""Solar cells: is pre-training worth it for two thousand pictures and a hundred labels? Into logs/elpv.csv: make elpv

The package elpv-dataset (Deitsch et al., arXiv 1807.02894) holds 2,624 pictures of solar cells and how likely each is to be
defective; here 0.5 and more counts as defective. Everything is what `make pretrain IMAGES=data/elpv` does, and then labels of
50, 100 and 400 of the training pictures are used in four ways. Rows that are there are left alone.
"""

import csv
import importlib.util
import os
import pathlib
import shutil
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import images  # noqa: E402
import keras  # noqa: E402
import notebooks  # noqa: E402
import numpy as np  # noqa: E402

PICTURES, TABLE, ENCODER = ROOT / "data" / "elpv", ROOT / "logs" / "elpv.csv", ROOT / "runs" / "elpv"
PRETRAINING = {"PATCH_SIZE": 8, "BATCH_SIZE": 128, "EPOCHS": 400, "WARMUP_EPOCHS": 20}
LABELS = 50, 100, 400
BATCH_SIZE, STEPS = 20, 500  # with labels, for all methods
METHODS = {  # (weights of the encoder, what learns): learning rates to choose from, of which 400 labels choose one for all
    ("untrained", "probe"): (1e-3, 1e-2, 1e-1),
    ("pre-trained", "probe"): (1e-3, 1e-2, 1e-1),
    ("untrained", "all"): (1e-4, 3e-4, 1e-3),
    ("pre-trained", "all"): (1e-4, 3e-4, 1e-3),
}
DRAWS = range(5)


def bring():
    """Copy the pictures of the installed package into data/elpv/sound and data/elpv/defective, unless they are there."""
    spec = importlib.util.find_spec("elpv_dataset")
    if spec is None:
        sys.exit("The package elpv-dataset is missing: `make elpv` installs it.")
    source = pathlib.Path(spec.origin).parent / "data"
    for line in (source / "labels.csv").read_text().splitlines():
        name, probability, _ = line.split()
        target = PICTURES / ("defective" if float(probability) >= 0.5 else "sound") / pathlib.Path(name).name
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / name, target)


def average_precision(scores, labels):
    """Average precision in %, the mean of the precision at each positive: scores (M,), labels (M,), 1 = positive."""
    found = labels[np.argsort(-scores, kind="stable")]
    precision = np.cumsum(found) / np.arange(1, len(found) + 1)
    return 100 * float(precision[found == 1].mean())


def draw_labelled(labels, number, draw):
    """Positions (number,) of pictures drawn so that each class keeps its share, in random order."""
    rng = np.random.default_rng(draw)
    order = rng.permutation(len(labels))
    positive = round(number * labels.mean())
    of_class = order[labels[order] == 1][:positive], order[labels[order] == 0][: number - positive]
    return rng.permutation(np.concatenate(of_class))


class Cells:
    """The pictures, the pre-trained encoder and what the notebooks define."""

    def __init__(self, folder):
        self.pictures = [np.load(folder / f"{name}.npy") for name in images.ARRAYS]
        self.classes = self.pictures.pop().tolist()
        self.tools = notebooks.definitions(notebooks.PROBE) | notebooks.definitions(notebooks.CLASSIFICATION)
        x, y, x_test, y_test = self.pictures
        defective = self.classes.index("defective")
        self.pictures = x, (y == defective).astype("int32"), x_test, (y_test == defective).astype("int32")
        self.features = {}

    def encoder(self, weights, seed=0):
        """The encoder, "pre-trained" or "untrained"."""
        encoder = keras.saving.load_model(ENCODER / "encoder.keras")
        keras.utils.set_random_seed(seed)
        return encoder if weights == "pre-trained" else keras.models.clone_model(encoder)

    def probe(self, weights, fit, asked, rate, draw):
        """Scores (Q, 2) of a linear probe on the means of the final tokens. fit, asked: positions; None asks the test pictures."""
        x, y, x_test, _ = self.pictures
        if weights not in self.features:
            pooled = self.tools["pooling_model"](self.encoder(weights))
            self.features[weights] = [self.tools["pooled_features"](pooled, part)[:, -1] for part in (x, x_test)]
        known, new = self.features[weights]
        queries, epochs = new if asked is None else known[asked], STEPS * BATCH_SIZE // len(fit)
        return self.tools["linear_probe"](known[fit], y[fit], queries, rate, epochs, BATCH_SIZE, seed=draw)

    def all(self, weights, fit, asked, rate, draw):
        """The same of the encoder and a linear layer, trained as regular-classification.ipynb does."""
        t, (x, y, x_test, _) = self.tools, self.pictures
        steps = len(fit) // BATCH_SIZE
        epochs = STEPS // steps
        model = t["build_classifier"](self.encoder(weights, draw), 2)
        s = notebooks.parameters(notebooks.CLASSIFICATION)
        optimizer = t["build_adamw"](model, rate, s["WEIGHT_DECAY"], epochs, epochs // 10, steps)
        loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=s["LABEL_SMOOTHING"])
        model.compile(optimizer, loss, jit_compile=True)
        batches = t["LabelledBatches"]([x[fit], y[fit]], BATCH_SIZE, draw, 0, s["CROP_AREA"], s["BLEND"])
        model.fit(batches, epochs=epochs, shuffle=False, verbose=0)
        return model.predict(x_test if asked is None else x[asked], batch_size=125, verbose=0)


def main():
    """Fill the table."""
    bring()
    words = [f"{key}={value}" for key, value in PRETRAINING.items()]
    values = notebooks.arguments(notebooks.PRETRAINING, ["RUN=elpv", f"IMAGES={PICTURES}", "IMAGE_SIZE=64", *words])
    notebooks.run(notebooks.PRETRAINING, **values)
    shutil.copyfile(ENCODER / "card.json", TABLE.with_suffix(".json"))
    cells = Cells(ROOT / values["IMAGES"])
    for method, rates in METHODS.items():
        tries = [row(cells, method, 400, 0, rate, 80) for rate in rates]  # a fifth of draw 0 chooses for all
        best = max(tries, key=lambda found: float(found["average_precision"]))["learning_rate"]
        for labels in LABELS:
            for draw in DRAWS:
                row(cells, method, labels, draw, float(best), 0)


def row(cells, method, labels, draw, rate, held_out):
    """The table's row of one run, which is done and added if it is not there yet."""
    rows = list(csv.DictReader(TABLE.open())) if TABLE.exists() else []
    weights, learns = method
    new = {"labels": labels, "weights": weights, "learns": learns, "draw": draw, "learning_rate": rate}
    new |= {"held_out": held_out, "batch_size": BATCH_SIZE, "steps": STEPS}
    new["encoder"] = notebooks.sha256(ENCODER / "encoder.keras")[:12]
    for old in rows:
        if all(old[key] == str(value) for key, value in new.items()):
            return old
    start, (_, y, _, y_test) = notebooks.provenance(), cells.pictures
    fit, asked = np.split(draw_labelled(y, labels, draw), [labels - held_out])
    scores = getattr(cells, learns)(weights, fit, asked if held_out else None, rate, draw)
    answers = y[asked] if held_out else y_test
    new |= {"test": len(answers), "test_defective": int(answers.sum())}
    new["average_precision"] = round(average_precision(scores[:, 1] - scores[:, 0], answers), 2)
    new["accuracy"] = cells.tools["accuracy"](scores, answers)
    new |= {"hardware": start["hardware"], "keras": start["versions"]["keras"], "commit": start["commit"]}
    notebooks.add_row(TABLE, new)
    print(new, flush=True)
    return new


if __name__ == "__main__":
    main()
