"""ONNX files of a run's or a release's encoder and decoder: make export RUN=mae, or make export ENCODER=weights/<name>

    python scripts/export.py FOLDER [TARGET]

Writes to FOLDER/onnx/, or TARGET:
    encoder.onnx   images (B, 32, 32, 3), values 0-255 -> tokens (B, 64, D)
    painter.onnx   images, ids_keep (B, n), ids_restore (B, 64) -> predicted patches (B, 64, 48), in units of the targets;
                   not from a folder without decoder.keras
Both are compared with Keras on onnxruntime.
"""

import os
import pathlib
import sys

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from keras import ops

import notebooks

TOLERANCE = 1e-4
OPEN = """open them
  from Python:      onnxruntime.InferenceSession("encoder.onnx").run(None, {{"images": images}})
  from JavaScript:  await (await ort.InferenceSession.create("encoder.onnx")).run({{images: new ort.Tensor("float32", pixels, [1, {0}, {0}, {1}])}})
  from C++:         Ort::Session(env, "encoder.onnx", Ort::SessionOptions{{}}).Run({{}}, names, &images, 1, outputs, 1)"""


def gelu(x):
    """Exact GELU by the error function. Keras' own is the same, written with a function that ONNX does not have."""
    return 0.5 * x * (1 + ops.erf(x / 2**0.5))


def exportable(model):
    """The model with `gelu` in place of Keras' own, in place."""
    for layer in model.layers:
        if getattr(layer, "activation", None) is keras.activations.gelu:
            layer.activation = gelu
    return model


def masked_encoder(encoder, settings):
    """The encoder that reads visible patches only, with the weights of `encoder` and the settings of its card."""
    n = notebooks.definitions(notebooks.PRETRAINING)
    names = ["patch_size", "encoder_width", "encoder_layers", "encoder_heads", "mlp_ratio"]
    patch_size, *sizes = (settings[name] for name in names)
    _, size, _, channels = encoder.input.shape
    scaling = encoder.get_layer("scale_pixels")
    pixels = -scaling.offset / scaling.scale, 1 / scaling.scale
    masked = n["build_encoder"](
        size, patch_size, channels, *sizes, masked=True, fuse=settings["fuse_blocks"], pixels=pixels
    )
    masked.set_weights(encoder.get_weights())
    return masked


def painter(encoder, decoder, settings):
    """[images, ids_keep, ids_restore] -> predicted patches: masked encoder and decoder, joined."""
    masked = exportable(masked_encoder(encoder, settings))
    ids_restore = keras.Input(decoder.inputs[1].shape[1:], dtype="int32", name="ids_restore")
    return keras.Model([*masked.inputs, ids_restore], exportable(decoder)([masked.output, ids_restore]))


def some_inputs(model, visible=5):
    """Random images and, if the model takes them, random masks, by name."""
    rng = np.random.default_rng(0)
    inputs = {"images": rng.uniform(0, 255, (2, *model.inputs[0].shape[1:])).astype("float32")}
    if len(model.inputs) > 1:
        order = np.argsort(rng.random((2, model.inputs[2].shape[1])), axis=1).astype("int32")
        inputs |= {"ids_keep": order[:, :visible], "ids_restore": np.argsort(order, axis=1).astype("int32")}
    return inputs


def export(model, path):
    """Write `model` as ONNX and compare it with Keras; exits with a sentence if they differ."""
    import onnxruntime

    inputs = some_inputs(model)
    arguments = list(inputs.values())
    expected = np.array(model(arguments if len(arguments) > 1 else arguments[0]))
    partial = path.with_name("partial.onnx")
    model.export(partial, format="onnx", verbose=False)
    session = onnxruntime.InferenceSession(partial, providers=["CPUExecutionProvider"])
    difference = float(np.abs(session.run(None, inputs)[0] - expected).max())
    if not difference < TOLERANCE:
        partial.unlink()  # a good file that was there stays
        sys.exit(f"{path.name} differs from Keras by {difference:.1e}, more than {TOLERANCE}: it is not written.")
    partial.replace(path)
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB, equal to Keras within {difference:.0e}")


def main(folder="", target=""):
    """Export what is in a folder."""
    source = notebooks.ROOT / folder
    if not folder or not all((source / name).exists() for name in ("card.json", "encoder.keras")):
        sys.exit(f"{folder or 'ENCODER'} lacks encoder.keras or card.json: name a run or a release that has them.")
    goal = pathlib.Path(target) if target else source / "onnx"
    goal.mkdir(parents=True, exist_ok=True)
    encoder = keras.saving.load_model(source / "encoder.keras", compile=False)
    export(exportable(encoder), goal / "encoder.onnx")
    if (source / "decoder.keras").exists():
        decoder = keras.saving.load_model(source / "decoder.keras", compile=False)
        export(painter(encoder, decoder, notebooks.read(source / "card.json")["settings"]), goal / "painter.onnx")
    print(OPEN.format(encoder.input.shape[1], encoder.input.shape[3]))


if __name__ == "__main__":
    main(*sys.argv[1:])
