"""Solar cells: is pre-training worth it for two thousand pictures and a hundred labels? Into logs/elpv.csv: make elpv

The package elpv-dataset (Deitsch et al., arXiv 1807.02894) holds 2,624 pictures of solar cells and how likely each is to be
defective; here 0.5 and more counts as defective. The encoder is pre-trained on all of them, without labels. Then the pictures
are split five times: a fifth is tested, and 50, 100 and 400 of the others have labels. Rows that are there are left alone.
"""

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
from sklearn.metrics import average_precision_score  # noqa: E402

PICTURES, TABLE, ENCODER = ROOT / "data" / "elpv", ROOT / "logs" / "elpv.csv", ROOT / "runs" / "elpv-all"
PRETRAINING = {"PATCH_SIZE": 8, "BATCH_SIZE": 128, "EPOCHS": 400, "WARMUP_EPOCHS": 20}
LABELS = 50, 100, 400
BATCH_SIZE, STEPS = 20, 500  # with labels, for all methods; at most so many steps, in whole epochs
METHODS = {  # (weights of the encoder, what learns): learning rates to choose from, of which 400 labels choose one for all
    ("untrained", "probe"): (1e-3, 1e-2, 1e-1),
    ("pre-trained", "probe"): (1e-3, 1e-2, 1e-1),
    ("untrained", "all"): (1e-4, 3e-4, 1e-3),
    ("pre-trained", "all"): (1e-4, 3e-4, 1e-3),
}
FIFTHS = range(5)


def bring():
    """Copy the pictures of the installed package into data/elpv/sound and data/elpv/defective, unless they are there."""
    spec = importlib.util.find_spec("elpv_dataset")
    if spec is None:
        sys.exit("The package elpv-dataset is missing: `make elpv` installs it.")
    source = pathlib.Path(spec.origin).parent / "data"
    for line in (source / "labels.csv").read_text().splitlines():
        name, probability, _ = line.split()
        target = PICTURES / ("defective" if float(probability) >= 0.5 else "sound") / pathlib.Path(name).name
        if not target.exists() or target.stat().st_size != (source / name).stat().st_size:  # or a copy was cut off
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / name, target)


def join(folder):
    """The folder with the arrays of scripts/images.py, but with all pictures to train on; the test pictures are among them."""
    target = folder.with_name("elpv-all-64px")
    target.mkdir(exist_ok=True)
    for name in "xy":
        parts = [np.load(folder / f"{name}_{part}.npy") for part in ("train", "test")]
        np.save(target / f"{name}_train.npy", np.concatenate(parts))
        np.save(target / f"{name}_test.npy", parts[1])
    shutil.copyfile(folder / "classes.npy", target / "classes.npy")
    about = notebooks.read(folder / "images.json")
    about["train"] += about["test"]
    about["sha256"] = images.digest(target)
    notebooks.write(target / "images.json", about)
    return target


def fifths(labels, seed):
    """In which of five parts each picture is, (M,), drawn so that each class (labels (M,)) is spread evenly."""
    rng, part = np.random.default_rng(seed), np.empty(len(labels), "int64")
    for label in np.unique(labels):
        of_class = rng.permutation(np.flatnonzero(labels == label))
        part[of_class] = np.arange(len(of_class)) % 5
    return part


def draw_labelled(labels, number, seed):
    """Positions (number,) of pictures drawn so that each class keeps its share, in random order."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(labels))
    positive = round(number * labels.mean())
    of_class = order[labels[order] == 1][:positive], order[labels[order] == 0][: number - positive]
    return rng.permutation(np.concatenate(of_class))


def choose_pictures(labels, number, split, held_out):
    """Positions of the pictures to learn from and of those to ask, among all (labels (M,)).

    In each of five splits another fifth of all pictures is asked, and `number` of the others have labels. If `held_out` is
    from 0 to 4, that fifth of the labelled pictures is asked instead, and the rest of them is learned from.
    """
    tested = fifths(labels, 0) == split
    others = np.flatnonzero(~tested)
    labelled = others[draw_labelled(labels[others], number, split)]
    if held_out is None:
        return labelled, np.flatnonzero(tested)
    inner = fifths(labels[labelled], split) == held_out
    return labelled[~inner], labelled[inner]


class Cells:
    """The pictures, the pre-trained encoder and what the notebooks define."""

    def __init__(self, folder):
        self.x = np.load(folder / "x_train.npy")
        defective = np.load(folder / "classes.npy").tolist().index("defective")
        self.y = (np.load(folder / "y_train.npy") == defective).astype("int32")
        self.tools = notebooks.definitions(notebooks.PROBE) | notebooks.definitions(notebooks.CLASSIFICATION)
        self.features = {}

    def encoder(self, weights, seed=0):
        """The encoder, "pre-trained" or "untrained"."""
        encoder = keras.saving.load_model(ENCODER / "encoder.keras")
        keras.utils.set_random_seed(seed)
        return encoder if weights == "pre-trained" else keras.models.clone_model(encoder)

    def probe(self, weights, fit, asked, rate, seed):
        """Scores (Q, 2) of a linear probe on the means of the final tokens; fit and asked (Q,) are positions of pictures."""
        if weights not in self.features:
            pooled = self.tools["pooling_model"](self.encoder(weights))
            self.features[weights] = self.tools["pooled_features"](pooled, self.x)[:, -1]
        known, epochs = self.features[weights], STEPS // -(-len(fit) // BATCH_SIZE)
        return self.tools["linear_probe"](known[fit], self.y[fit], known[asked], rate, epochs, BATCH_SIZE, seed=seed)

    def all(self, weights, fit, asked, rate, seed):
        """The same of the encoder and a linear layer, trained as regular-classification.ipynb does with AdamW; `rate` is the peak itself."""
        t, steps = self.tools, len(fit) // BATCH_SIZE
        epochs = STEPS // steps
        model = t["build_classifier"](self.encoder(weights, seed), 2)
        s = notebooks.parameters(notebooks.CLASSIFICATION)
        optimizer = t["build_classifier_optimizer"](model, rate, s["WEIGHT_DECAY"], epochs, epochs // 10, steps)
        loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=s["LABEL_SMOOTHING"])
        model.compile(optimizer, loss, jit_compile=True)
        batches = t["LabelledBatches"]([self.x[fit], self.y[fit]], BATCH_SIZE, seed, 0, s["CROP_AREA"], s["BLEND"])
        model.fit(batches, epochs=epochs, shuffle=False, verbose=0)
        return model.predict(self.x[asked], batch_size=125, verbose=0)


def main():
    """Fill the table."""
    bring()
    folder = join(images.prepare(PICTURES, 64))
    words = [f"{key}={value}" for key, value in PRETRAINING.items()]
    values = notebooks.arguments(
        notebooks.PRETRAINING, [f"RUN={ENCODER.name}", f"IMAGES={folder.relative_to(ROOT)}", *words]
    )
    notebooks.run(notebooks.PRETRAINING, **values)
    cells = Cells(folder)
    for method, rates in METHODS.items():
        quality = {rate: [row(cells, method, 400, 0, rate, fifth) for fifth in FIFTHS] for rate in rates}
        best = max(rates, key=lambda rate: sum(float(found["average_precision"]) for found in quality[rate]))
        for labels in LABELS:
            for split in FIFTHS:
                row(cells, method, labels, split, best, None)
    shutil.copyfile(ENCODER / "card.json", TABLE.with_suffix(".json"))  # last: now its rows are all there


def row(cells, method, labels, split, rate, held_out):
    """The table's row of one run, which is done and added if it is not there yet."""
    weights, learns = method
    new = {"labels": labels, "weights": weights, "learns": learns, "split": split, "learning_rate": rate}
    new |= {"held_out": "" if held_out is None else held_out, "batch_size": BATCH_SIZE, "steps": STEPS}
    new["encoder"] = notebooks.sha256(ENCODER / "encoder.keras")[:12]

    def measure():
        fit, asked = choose_pictures(cells.y, labels, split, held_out)
        scores, answers = getattr(cells, learns)(weights, fit, asked, rate, split), cells.y[asked]
        return {
            "test": len(answers),
            "test_defective": int(answers.sum()),
            "average_precision": round(100 * average_precision_score(answers, scores[:, 1] - scores[:, 0]), 2),
            "accuracy": cells.tools["accuracy"](scores, answers),
        }

    return notebooks.row_once(TABLE, new, measure)


if __name__ == "__main__":
    main()
