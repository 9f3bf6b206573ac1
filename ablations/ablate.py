"""One try of the recipe: mae-pretraining.ipynb with one definition or parameter changed, judged on held-out training images.

    python ablations/ablate.py NAME [NAME ...] [SEED=0]

Each try trains on 45,000 images and measures on the other 5,000, into runs/ablation-<NAME>-seed<SEED>/, and adds its row to
logs/ablations.csv. A try that was cut off goes on; one whose row is there is left alone.
"""

import csv
import json
import os
import pathlib
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras  # noqa: E402
import notebooks  # noqa: E402
import numpy as np  # noqa: E402
from keras import ops  # noqa: E402
from variants import VARIANTS  # noqa: E402

TABLE = ROOT / "logs" / "ablations.csv"
TRY = {"EPOCHS": 15, "WARMUP_EPOCHS": 1, "VALIDATION_IMAGES": 5000}


def prepare(settings, change=None):
    """Definitions with the change made, (training images, labels, held-out images, labels), the untrained model and its encoder.

    What the notebook's cells do between its definitions, in their order, so that the weights start alike.
    """
    n = notebooks.definitions(notebooks.PRETRAINING)
    if change:
        change(n)
    s = {name.lower(): value for name, value in settings.items()}
    x, y = n["load_cifar10"]()[:2]
    held_out = s["validation_images"]
    fit, valid = slice(s["train_images"] - held_out), slice(50_000 - held_out, None)
    num_patches = (32 // s["patch_size"]) ** 2
    num_visible = num_patches - round(s["mask_ratio"] * num_patches)
    keras.utils.set_random_seed(s["seed"])
    encoder = n["build_encoder"](32, s["patch_size"], 3, *shape(s, "encoder"), masked=True)
    decoder = n["build_decoder"](num_patches, 3 * s["patch_size"] ** 2, s["encoder_width"], *shape(s, "decoder"))
    model = n["MaskedAutoencoder"](
        encoder, decoder, s["patch_size"], num_visible, s["normalize_targets"], s["crop_area"], s["seed"]
    )
    model(ops.convert_to_tensor(x[:8], "float32"))
    return n, (x[fit], y[fit], x[valid], y[valid]), model, encoder


def shape(s, part):
    """Width, depth, heads and MLP ratio of the encoder or decoder."""
    return s[f"{part}_width"], s[f"{part}_layers"], s[f"{part}_heads"], s["mlp_ratio"]


def train(n, model, images, held_out, settings, folder):
    """Train with `fit`, going on from the checkpoint in `folder`; returns the history's rows by epoch."""
    batch, epochs = settings["BATCH_SIZE"], settings["EPOCHS"]
    steps = len(images) // batch
    peak = settings["LEARNING_RATE"] * batch / 256
    optimizer = n["build_optimizer"](model, peak, settings["WEIGHT_DECAY"], epochs, settings["WARMUP_EPOCHS"], steps)
    model.compile(optimizer, jit_compile=True)
    checkpoint = folder / "checkpoint.weights.h5"
    if not checkpoint.exists():
        n["save_checkpoint"](model, checkpoint)
    model.load_weights(checkpoint)
    finished = int(optimizer.iterations) // steps
    save = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: n["save_checkpoint"](model, checkpoint))
    if finished < epochs:
        model.fit(
            n["Batches"]([images], batch, settings["SEED"], finished),
            epochs=epochs,
            initial_epoch=finished,
            validation_data=(held_out,) if len(held_out) else None,
            validation_batch_size=500,
            callbacks=[n["Progress"](), keras.callbacks.CSVLogger(folder / "history.csv", append=True), save],
            shuffle=False,
            verbose=0,
        )
    return notebooks.epochs(folder / "history.csv")


def measure(n, encoder, data, settings):
    """Percent of held-out images right: linear probe on the final tokens, on all blocks, and 20 nearest neighbours."""
    probe = notebooks.definitions(notebooks.PROBE)
    x, y, x_valid, y_valid = data
    whole = n["build_encoder"](
        32, settings["PATCH_SIZE"], 3, *shape({k.lower(): v for k, v in settings.items()}, "encoder"), masked=False
    )
    whole.set_weights(encoder.get_weights())
    pooled = probe["pooling_model"](whole)
    known, asked = (probe["pooled_features"](pooled, images) for images in (x, x_valid))
    final = probe["linear_probe"](known[:, -1], y, asked[:, -1])
    blocks = probe["linear_probe"](
        *(f for f in (known[:, :-1].reshape(len(y), -1), y, asked[:, :-1].reshape(len(y_valid), -1)))
    )
    votes = probe["ask_neighbours"](known[:, -1], y, asked[:, -1], 20, 0.07)
    return {
        name: probe["accuracy"](s, y_valid) for name, s in (("probe", final), ("blocks", blocks), ("neighbours", votes))
    }


def ablate(name, seed=0):
    """Run one try and add its row to the table."""
    if name not in VARIANTS:
        sys.exit(f"{name!r} is no try: choose from {', '.join(VARIANTS)}.")
    rows = list(csv.DictReader(TABLE.open())) if TABLE.exists() else []
    if any(row["name"] == name and row["seed"] == str(seed) for row in rows):
        return print(f"{name}, seed {seed}, stands in {TABLE.relative_to(ROOT)} already.")
    factor, value, own, change = VARIANTS[name]
    settings = notebooks.parameters(notebooks.PRETRAINING) | TRY | own | {"SEED": seed}
    folder = ROOT / "runs" / f"ablation-{name}-seed{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    start = notebooks.provenance()
    n, data, model, encoder = prepare(settings, change)
    untrained = measure(n, encoder, data, settings)
    history = train(n, model, data[0], data[2], settings, folder)
    seconds = [float(row["seconds"]) for row in history.values()]
    trained = measure(n, encoder, data, settings)
    row = {"name": name, "factor": factor, "value": value, "seed": seed, "epochs": len(history)}
    row |= trained | {f"untrained_{test}": score for test, score in untrained.items()}
    row["validation_loss"] = round(float(history[max(history)]["val_loss"]), 5)
    row["images_per_second"] = round(
        len(data[0]) // settings["BATCH_SIZE"] * settings["BATCH_SIZE"] / float(np.median(seconds[1:]))
    )
    row |= {"seconds": round(sum(seconds)), "encoder_parameters": encoder.count_params(), "hardware": start["hardware"]}
    row |= {"keras": start["versions"]["keras"], "backend": start["backend"], "commit": start["commit"]}
    with TABLE.open("a", newline="") as file:
        writer = csv.DictWriter(file, row, lineterminator="\n")
        if not rows:
            writer.writeheader()
        writer.writerow(row)
    print(json.dumps(row), flush=True)


if __name__ == "__main__":
    words = sys.argv[1:]
    seeds = [int(word.removeprefix("SEED=")) for word in words if word.startswith("SEED=")] or [0]
    for name in [word for word in words if "=" not in word]:
        for seed in seeds:
            ablate(name, seed)
