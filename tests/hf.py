"""Weights of Hugging Face's ViTMAE in the notebook's models."""

import numpy as np

BLOCK = {
    "norm1": "layernorm_before",
    "attention_query_key_value": "attention.qkv",
    "attention_output": "attention.o_proj",
    "norm2": "layernorm_after",
    "mlp1": "mlp.fc1",
    "mlp2": "mlp.fc2",
}


def names(encoder, decoder):
    """Pairs of a layer of ours and the name of theirs."""
    yield encoder.get_layer("patch_embedding"), "vit.embeddings.patch_embeddings.projection"
    for model, ours, theirs in (
        (encoder, "block", "vit.layers"),
        (decoder, "decoder_block", "decoder.decoder_layers"),
    ):
        for i in (1, 2):
            for our_part, their_part in BLOCK.items():
                yield model.get_layer(f"{ours}_{i}_{our_part}"), f"{theirs}.{i - 1}.{their_part}"
    yield encoder.get_layer("encoder_norm"), "vit.layernorm"
    yield decoder.get_layer("decoder_embedding"), "decoder.decoder_embed"
    yield decoder.get_layer("mask_token"), "decoder.mask_token"
    yield decoder.get_layer("decoder_norm"), "decoder.decoder_norm"
    yield decoder.get_layer("pixels"), "decoder.decoder_pred"


def arrays(hf, name):
    """The weights of their layer `name` in our order and shape; hf: {name: array}. Of q_proj, k_proj and v_proj we make one layer."""
    if name.endswith(".qkv"):
        parts = [arrays(hf, name.replace("qkv", f"{part}_proj")) for part in "qkv"]
        return [np.concatenate(same, axis=-1) for same in zip(*parts)]
    if name == "decoder.mask_token":
        return [hf[name][0]]  # (1, 1, D) -> (1, D)
    weight, bias = hf[f"{name}.weight"], hf[f"{name}.bias"]
    if weight.ndim == 4:  # (D, C, P, P), our patches are (P, P, C)
        weight = weight.transpose(2, 3, 1, 0).reshape(-1, len(weight))
    elif weight.ndim == 2:  # PyTorch stores the transposed matrix
        weight = weight.T
    return [weight, bias]


def part(hf, prefix):
    """The arrays whose names begin with `prefix`, without it."""
    return {name.removeprefix(prefix): value for name, value in hf.items() if name.startswith(prefix)}


def load(encoder, decoder, hf):
    """Give both models their weights."""
    for layer, name in names(encoder, decoder):
        layer.set_weights(arrays(hf, name))


def movements(encoder, decoder, start, end):
    """For each of their tensors, how far ours is from `end`, as a share of how far `end` is from `start`."""
    far = {}
    for layer, name in names(encoder, decoder):
        for kind, *tensors in zip(
            ("weight", "bias"), layer.get_weights(), arrays(start, name), arrays(end, name)
        ):
            parts = (
                [np.split(tensor, 3, axis=-1) for tensor in tensors]
                if name.endswith("qkv")
                else [[t] for t in tensors]
            )
            for part, (ours, before, after) in zip("qkv", zip(*parts)):
                tensor = f"{name.replace('qkv', part + '_proj')}.{kind}"
                far[tensor] = float(np.linalg.norm(ours - after) / np.linalg.norm(after - before))
    return far
