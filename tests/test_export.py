"""The exported files open anywhere, with Keras and NumPy alone."""

import hashlib
import json
import os
import subprocess

import keras
import numpy as np
import pytest
from conftest import ROOT, interpreter

STRANGER = """
import keras, numpy as np
io = np.load("io.npz")
encoder, decoder = (keras.saving.load_model(f"{part}.keras") for part in ("encoder", "decoder"))
tokens = encoder.predict(io["images"], verbose=0)
np.testing.assert_allclose(tokens, io["tokens"], atol=1e-5)
np.testing.assert_allclose(decoder.predict([io["latents"], io["ids_restore"]], verbose=0), io["predictions"], atol=1e-5)
block = keras.Model(encoder.input, encoder.get_layer("block_1").output)
np.testing.assert_allclose(block.predict(io["images"], verbose=0), io["block"], atol=1e-5)
assert block.output.shape == (None, 16, 16)
print("backend:", keras.backend.backend(), "keras:", keras.__version__)
"""


@pytest.fixture(scope="module")
def exported(mae, tmp_path_factory):
    """A folder with a tiny encoder and decoder, saved as the notebook saves them, and what they answered here."""
    folder = tmp_path_factory.mktemp("exported")
    rng = np.random.default_rng(0)
    encoder = mae["build_encoder"](32, 8, 3, 16, 2, 2, 2, masked=False)
    decoder = mae["build_decoder"](16, 192, 16, 8, 1, 2, 2)
    for part in (encoder, decoder):
        part.set_weights([w + 0.2 * rng.standard_normal(w.shape) for w in part.get_weights()])
        part.save(folder / f"{part.name}.keras")
    images = rng.integers(0, 256, (4, 32, 32, 3)).astype("uint8")
    latents = rng.standard_normal((4, 5, 16)).astype("float32")
    ids_restore = rng.permuted(np.tile(np.arange(16, dtype="int32"), (4, 1)), axis=1)
    answers = {
        "tokens": encoder.predict(images, verbose=0),
        "block": keras.Model(encoder.input, encoder.get_layer("block_1").output).predict(images, verbose=0),
        "predictions": decoder.predict([latents, ids_restore], verbose=0),
    }
    np.savez(folder / "io.npz", images=images, latents=latents, ids_restore=ids_restore, **answers)
    return folder


@pytest.mark.parametrize("name", ["tensorflow", "jax", "torch", "colab"])
def test_opens_without_this_repository(exported, name):
    python, backend = interpreter(name)
    done = subprocess.run(
        [python, "-I", "-c", STRANGER],
        cwd=exported,
        env=os.environ | {"KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert f"backend: {backend} keras: " in done.stdout


def test_comparison_notices_a_wrong_weight(exported, tmp_path):
    """The same check fails if the encoder is another one."""
    for path in exported.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    encoder = keras.saving.load_model(tmp_path / "encoder.keras")
    encoder.set_weights([w * 1.01 for w in encoder.get_weights()])
    encoder.save(tmp_path / "encoder.keras")
    done = subprocess.run(
        [interpreter("tensorflow")[0], "-I", "-c", STRANGER], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode != 0 and "Not equal to tolerance" in done.stderr


CARDS = sorted(ROOT.glob("weights/*/card.json"))


@pytest.mark.skipif(not CARDS, reason="no released weights in weights/")
@pytest.mark.parametrize("card_file", CARDS, ids=lambda path: path.parent.name)
def test_released_weights(card_file):
    card = json.loads(card_file.read_text())
    assert set(card["parameters"]) == {name.removesuffix(".keras") for name in card["sha256"]} != set()
    for name, digest in card["sha256"].items():
        path = card_file.with_name(name)
        assert hashlib.sha256(path.read_bytes()).hexdigest() == digest, path
        model = keras.saving.load_model(path)
        assert model.count_params() == card["parameters"][path.stem]
        if name == "encoder.keras":
            assert model.output_shape[0] is None and len(model.output_shape) == 3


@pytest.mark.parametrize(
    "file", sorted(ROOT.glob("weights/mae-*/*.keras")), ids=lambda path: f"{path.parent.name}-{path.stem}"
)
def test_the_notebooks_model_with_released_weights_answers_the_same(mae, file):
    released, s = (
        keras.saving.load_model(file),
        json.loads(file.with_name("card.json").read_text())["settings"],
    )
    rng = np.random.default_rng(0)
    if file.stem == "encoder":
        inputs = rng.integers(0, 256, (4, 32, 32, 3)).astype("float32")
        sizes = (s["encoder_width"], s["encoder_layers"], s["encoder_heads"], s["mlp_ratio"])
        ours = mae["build_encoder"](32, s["patch_size"], 3, *sizes, masked=False)
    else:
        latents = rng.standard_normal((4, 16, released.inputs[0].shape[-1])).astype("float32")
        inputs = [latents, rng.permuted(np.tile(np.arange(64, dtype="int32"), (4, 1)), axis=1)]
        sizes = (s["decoder_width"], s["decoder_layers"], s["decoder_heads"], s["mlp_ratio"])
        ours = mae["build_decoder"](64, 48, latents.shape[-1], *sizes)
    theirs = {layer.name: layer.get_weights() for layer in released.layers}
    for layer in (layer for layer in ours.layers if layer.get_weights()):
        layer.set_weights(theirs[layer.name])
    np.testing.assert_allclose(
        ours.predict(inputs, verbose=0), released.predict(inputs, verbose=0), atol=1e-4
    )
