"""The model of the notebook against Hugging Face's ViTMAE, with the class token taken out of the latter: see scripts/parity.py."""

import keras
import numpy as np
import pytest
from conftest import ROOT
from keras import ops


@pytest.fixture(scope="module")
def hf():
    """What scripts/parity.py stored, by name."""
    with np.load(ROOT / "tests" / "hf_vitmae.npz") as file:
        return dict(file)


def copy_linear(layer, hf, name):
    """PyTorch stores the transposed matrix."""
    layer.set_weights([hf[f"weight/{name}.weight"].T, hf[f"weight/{name}.bias"]])


def copy_norm(layer, hf, name):
    """Scale and shift."""
    layer.set_weights([hf[f"weight/{name}.weight"], hf[f"weight/{name}.bias"]])


def copy_block(model, ours, hf, theirs):
    """All weights of one transformer block."""
    names = {
        "attention_query": "attention.q_proj",
        "attention_key": "attention.k_proj",
        "attention_value": "attention.v_proj",
    }
    names |= {"attention_output": "attention.o_proj", "mlp1": "mlp.fc1", "mlp2": "mlp.fc2"}
    for our_name, their_name in names.items():
        copy_linear(model.get_layer(f"{ours}_{our_name}"), hf, f"{theirs}.{their_name}")
    copy_norm(model.get_layer(f"{ours}_norm1"), hf, f"{theirs}.layernorm_before")
    copy_norm(model.get_layer(f"{ours}_norm2"), hf, f"{theirs}.layernorm_after")


@pytest.fixture(scope="module")
def encoder(mae, hf):
    """Our encoder with their weights."""
    model = mae["build_encoder"](32, 4, 3, 32, 2, 4, 2, masked=True)
    kernel = hf[
        "weight/vit.embeddings.patch_embeddings.projection.weight"
    ]  # (D, C, P, P), our patches are (P, P, C)
    bias = hf["weight/vit.embeddings.patch_embeddings.projection.bias"]
    model.get_layer("patch_embedding").set_weights([kernel.transpose(2, 3, 1, 0).reshape(48, 32), bias])
    for i in (1, 2):
        copy_block(model, f"block_{i}", hf, f"vit.layers.{i - 1}")
    copy_norm(model.get_layer("encoder_norm"), hf, "vit.layernorm")
    return model


@pytest.fixture(scope="module")
def decoder(mae, hf):
    """Our decoder with their weights."""
    model = mae["build_decoder"](64, 48, 32, 16, 2, 4, 2)
    copy_linear(model.get_layer("decoder_embedding"), hf, "decoder.decoder_embed")
    model.get_layer("mask_token").set_weights([hf["weight/decoder.mask_token"][0]])
    for i in (1, 2):
        copy_block(model, f"decoder_block_{i}", hf, f"decoder.decoder_layers.{i - 1}")
    copy_norm(model.get_layer("decoder_norm"), hf, "decoder.decoder_norm")
    copy_linear(model.get_layer("pixels"), hf, "decoder.decoder_pred")
    return model


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
