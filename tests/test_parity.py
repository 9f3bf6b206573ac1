"""The model of the notebook against Hugging Face's ViTMAE, with the class token taken out of the latter: see tests/parity.py."""

import json
import os
import pathlib
import subprocess

import keras
import numpy as np
import pytest
from conftest import ROOT, interpreter
from hf import load, part
from keras import ops


@pytest.fixture(scope="module")
def hf():
    """What tests/parity.py stored, by name."""
    with np.load(ROOT / "tests" / "hf_vitmae.npz") as file:
        return dict(file)


@pytest.fixture(scope="module")
def models(mae, hf):
    """Our encoder and decoder with their weights."""
    encoder = mae["build_encoder"](32, 4, 3, 32, 2, 4, 2, masked=True)
    decoder = mae["build_decoder"](64, 48, 32, 16, 2, 4, 2)
    load(encoder, decoder, part(hf, "weight/"))
    return encoder, decoder


@pytest.fixture(scope="module")
def encoder(models):
    """Our encoder with their weights."""
    return models[0]


@pytest.fixture(scope="module")
def decoder(models):
    """Our decoder with their weights."""
    return models[1]


def same(ours, theirs, atol=1e-5):
    """Compare a tensor of ours with a stored array."""
    np.testing.assert_allclose(ops.convert_to_numpy(ours), theirs, atol=atol, rtol=1e-5)


def intermediate(model, name, inputs):
    """The output of one layer."""
    return keras.Model(model.inputs, model.get_layer(name).output)(inputs)


@pytest.mark.parametrize(
    "width, name", [(32, "vit.embeddings.position_embeddings"), (16, "decoder.decoder_pos_embed")]
)
def test_positions(mae, hf, width, name):
    assert np.abs(hf[f"weight/{name}"]).max() > 0.9
    same(mae["sincos_positions"](8, width), hf[f"weight/{name}"][0, 1:], atol=1e-6)


def test_masking(mae, hf):
    ids_keep, ids_restore, mask = mae["random_masking"](hf["input/noise"], 16)
    assert ids_keep.shape == (3, 16)
    assert np.array_equal(ops.convert_to_numpy(ids_restore), hf["output/ids_restore"])
    assert np.array_equal(ops.convert_to_numpy(mask), hf["output/mask"])


@pytest.fixture(scope="module")
def encoder_inputs(mae, hf):
    """Images with values 0-255 and the visible positions."""
    return [
        ops.convert_to_tensor(hf["input/images"], "float32"),
        mae["random_masking"](hf["input/noise"], 16)[0],
    ]


@pytest.mark.parametrize(
    "layer, output", [("block_1", "block_1"), ("block_2", "block_2"), ("encoder_norm", "latents")]
)
def test_encoder(hf, encoder, encoder_inputs, layer, output):
    same(intermediate(encoder, layer, encoder_inputs), hf[f"output/{output}"])


@pytest.mark.parametrize(
    "layer, output",
    [
        ("decoder_block_1", "decoder_block_1"),
        ("decoder_block_2", "decoder_block_2"),
        ("pixels", "predictions"),
    ],
)
def test_decoder(hf, encoder, decoder, encoder_inputs, layer, output):
    inputs = [encoder(encoder_inputs), ops.convert_to_tensor(hf["output/ids_restore"])]
    same(intermediate(decoder, layer, inputs), hf[f"output/{output}"])


def test_loss(mae, hf, encoder, decoder, encoder_inputs):
    """From images to loss with our code alone."""
    ids_keep, ids_restore, mask = mae["random_masking"](hf["input/noise"], 16)
    predictions = decoder([encoder([encoder_inputs[0], ids_keep]), ids_restore])
    targets, _, _ = mae["patch_targets"](hf["input/images"], 4, True)
    same(mae["masked_error"](targets, predictions, mask), hf["output/loss"])


@pytest.mark.parametrize("name", ["tensorflow", "jax"])
def test_training(hf, name):
    """32 steps of our compiled training against the authors' loop, from the same weights, with the same images and noise.

    The biases of the keys are left out: softmax does not depend on them, so their gradients are rounding errors, which Adam scales up.
    """
    python, backend = interpreter(name)
    command = [python, pathlib.Path(__file__).with_name("training_worker.py")]
    environment = os.environ | {"KERAS_BACKEND": backend}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    ours = json.loads(done.stdout.splitlines()[-1])
    assert len(ours["losses"]) == 32 and ours["losses"][-1] < 0.5 * ours["losses"][0]
    np.testing.assert_allclose(ours["losses"], hf["training/losses"], atol=1e-5)
    movements = {tensor: share for tensor, share in ours["movements"].items() if "k_proj.bias" not in tensor}
    assert len(movements) == len(part(hf, "trained/")) - 4
    assert not {tensor: share for tensor, share in movements.items() if not share < 1e-3}
