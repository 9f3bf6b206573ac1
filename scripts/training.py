"""What the cells of mae-pretraining.ipynb do between its definitions, as functions, for scripts that change something first."""

import math
import sys

import keras
from keras import ops

import notebooks
from notebooks import ROOT


def prepare(s, change=None):
    """(definitions with the change made, images and labels to train on and held out, the untrained model, its encoder).

    s: the notebook's settings. What its cells do between their definitions, in their order, so that weights start alike.
    """
    n = notebooks.definitions(notebooks.PRETRAINING)
    if change:
        change(n)
    x, y = n["load_cifar10"](ROOT / "data")[:2]
    fit, valid = slice(s["TRAIN_IMAGES"] - s["VALIDATION_IMAGES"]), slice(len(x) - s["VALIDATION_IMAGES"], None)
    num_patches = (32 // s["PATCH_SIZE"]) ** 2
    num_visible = num_patches - round(s["MASK_RATIO"] * num_patches)
    keras.utils.set_random_seed(s["SEED"])
    encoder = build_encoder(n, s, masked=True, fuse=s["FUSE_BLOCKS"])
    sizes = [s[f"DECODER_{name}"] for name in ("WIDTH", "LAYERS", "HEADS")]
    decoder = n["build_decoder"](
        num_patches, 3 * s["PATCH_SIZE"] ** 2, encoder.output.shape[-1], *sizes, s["MLP_RATIO"]
    )
    rest = s["PATCH_SIZE"], num_visible, s["NORMALIZE_TARGETS"], s["CROP_AREA"], s["SEED"]
    model = n["MaskedAutoencoder"](encoder, decoder, *rest)
    model(ops.convert_to_tensor(x[:8], "float32"))
    return n, (x[fit], y[fit], x[valid], y[valid]), model, encoder


def build_encoder(n, s, **how):
    """The encoder of these definitions and settings."""
    sizes = [s[f"ENCODER_{name}"] for name in ("WIDTH", "LAYERS", "HEADS")]
    return n["build_encoder"](32, s["PATCH_SIZE"], 3, *sizes, s["MLP_RATIO"], **how)


def must_be_a_number(loss):
    """Exit with a sentence if the loss is none, before anything of that epoch is written."""
    if not math.isfinite(loss):
        sys.exit("The loss is no longer a number: choose a lower LEARNING_RATE and another RUN.")


def train(n, model, images, held_out, s, folder, writes=True, wait=lambda: None):
    """Train with `fit`, going on from the checkpoint in `folder`; returns the history's rows by epoch.

    held_out: images to measure the loss on, or None. Of several processes one `writes` the history; all save together, and
    `wait` for the others before and after the first checkpoint.
    """
    steps = len(images) // s["BATCH_SIZE"]
    peak = s["LEARNING_RATE"] * s["BATCH_SIZE"] / 256
    optimizer = n["build_optimizer"](model, peak, s["WEIGHT_DECAY"], s["EPOCHS"], s["WARMUP_EPOCHS"], steps, s["MUON"])
    model.compile(optimizer, jit_compile=True)
    checkpoint = folder / "checkpoint.weights.h5"
    new = not checkpoint.exists()
    wait()
    if new:
        n["save_checkpoint"](model, checkpoint)
    wait()
    model.load_weights(checkpoint)
    finished = int(optimizer.iterations) // steps
    log = keras.callbacks.CSVLogger(folder / "history.csv", append=True)
    stop = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: must_be_a_number(logs["loss"]))
    save = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: n["save_checkpoint"](model, checkpoint))
    if finished < s["EPOCHS"]:
        model.fit(
            n["Batches"]([images], s["BATCH_SIZE"], s["SEED"], finished),
            epochs=s["EPOCHS"],
            initial_epoch=finished,
            validation_data=None if held_out is None else (held_out,),
            validation_batch_size=500,
            callbacks=[stop, n["Progress"](), log, save] if writes else [stop, save],
            shuffle=False,
            verbose=0,
        )
    return notebooks.epochs(folder / "history.csv")
