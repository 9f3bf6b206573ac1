"""Compute tests/hf_vitmae.npz with Hugging Face's ViTMAE: python tests/parity.py [--live]

Needs torch, transformers and CIFAR-10 in data/, no code of this repository. A small ViTMAEForPreTraining with random weights is driven
module by module, with the class token taken out: once forward, then through STEPS steps of training as in the authors' code
(engine_pretrain.py, util/lr_sched.py, main_pretrain.py). Inputs, weights, outputs and the losses and weights of training are stored;
tests/test_parity.py compares the notebook with them. With --live nothing is written: all is computed again and compared with the file.
"""

import math
import pathlib
import sys
from unittest import mock

import numpy as np
import torch
import transformers
from transformers.models.vit_mae.modeling_vit_mae import ViTMAEDecoderOutput, ViTMAEModelOutput

ROOT = pathlib.Path(__file__).resolve().parent.parent
FILE, DATA = ROOT / "tests" / "hf_vitmae.npz", ROOT / "data" / "cifar10-train.bin"
IMAGES, BATCH, EPOCHS, WARMUP_EPOCHS, SEED = 128, 32, 8, 2, 0  # 32 steps
PEAK, DECAY, STEPS_PER_EPOCH = 3e-3, 0.05, IMAGES // BATCH
CONFIG = {
    "image_size": 32,
    "patch_size": 4,
    "num_channels": 3,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "decoder_hidden_size": 16,
    "decoder_num_hidden_layers": 2,
    "decoder_num_attention_heads": 4,
    "decoder_intermediate_size": 32,
    "layer_norm_eps": 1e-6,
    "mask_ratio": 0.75,
    "norm_pix_loss": True,
    "hidden_act": "gelu",
    "qkv_bias": True,
}


def build(rng):
    """A ViTMAEForPreTraining in which every weight is random, biases, norms and mask token too; only the positions are its own."""
    model = transformers.ViTMAEForPreTraining(
        transformers.ViTMAEConfig(**CONFIG, attn_implementation="eager")
    ).eval()
    patches = (CONFIG["image_size"] // CONFIG["patch_size"]) ** 2
    for module in (model.vit.embeddings, model.vit.embeddings.patch_embeddings.projection, model.decoder):
        for part in (
            module,
            *module.parameters(),
        ):  # transformers 5 skips the positions of modules with this mark, leaving them zero
            vars(part).pop("_is_hf_initialized", None)
    model.vit.embeddings.initialize_weights()
    model.decoder.initialize_weights(patches)
    for name, parameter in sorted(model.named_parameters()):
        if "pos" not in name:
            values = 0.2 * rng.standard_normal(tuple(parameter.shape))
            parameter.data = torch.tensor(
                values + ("norm" in name and name.endswith("weight")), dtype=torch.float32
            )
    return model


def encode(model, pixel_values, noise):
    """Images (B, 3, 32, 32) and noise (B, 64) -> latents, mask, ids_restore and the output of each block by name."""
    embeddings = model.vit.embeddings
    tokens = embeddings.patch_embeddings(pixel_values) + embeddings.position_embeddings[:, 1:]
    tokens, mask, ids_restore = embeddings.random_masking(tokens, torch.tensor(noise))
    blocks = {}
    for i, layer in enumerate(model.vit.layers, 1):
        tokens = layer(tokens)
        blocks[f"block_{i}"] = tokens
    return model.vit.layernorm(tokens), mask, ids_restore, blocks


def decode(decoder, latents, ids_restore):
    """Latents and ids_restore (B, 64) -> predictions (B, 64, 48) and the output of each block by name."""
    visible = decoder.decoder_embed(latents)
    hidden = decoder.mask_token.expand(len(latents), ids_restore.shape[1] - visible.shape[1], -1)
    tokens = torch.cat([visible, hidden], dim=1)
    tokens = torch.gather(tokens, 1, ids_restore[..., None].expand(-1, -1, tokens.shape[-1]))
    tokens = tokens + decoder.decoder_pos_embed[:, 1:]
    blocks = {}
    for i, layer in enumerate(decoder.decoder_layers, 1):
        tokens = layer(tokens)
        blocks[f"decoder_block_{i}"] = tokens
    return decoder.decoder_pred(decoder.decoder_norm(tokens)), blocks


def error(model, pixel_values, predictions, mask):
    """Their loss, computed inside `forward`: it is given these predictions in place of those with a class token."""
    with (
        mock.patch.object(model.vit, "forward", lambda *_, **__: ViTMAEModelOutput(mask=mask)),
        mock.patch.object(model.decoder, "forward", lambda *_, **__: ViTMAEDecoderOutput(logits=predictions)),
    ):
        return model(pixel_values).loss


def scaled(images):
    """Images uint8 (B, 32, 32, 3) -> what the notebook's encoder makes of them, as PyTorch orders it: (B, 3, 32, 32)."""
    return torch.tensor((images.transpose(0, 3, 1, 2) - 120.0) / 64, dtype=torch.float32)


@torch.no_grad()
def compute(model, rng):
    """Inputs, weights and outputs by name, as NumPy arrays."""
    images = rng.integers(0, 256, (3, 32, 32, 3)).astype("uint8")
    images[0] = images[0, :1, :1] // 2 + np.arange(32)[:, None, None] * 3  # one that is not noise
    noise = rng.random((3, 64)).astype("float32")
    latents, mask, ids_restore, blocks = encode(model, scaled(images), noise)
    predictions, decoder_blocks = decode(model.decoder, latents, ids_restore)
    loss = error(model, scaled(images), predictions, mask)
    outputs = {"latents": latents, "predictions": predictions, "mask": mask, "loss": loss}
    arrays = {f"output/{name}": v.numpy() for name, v in (blocks | decoder_blocks | outputs).items()}
    arrays["output/ids_restore"] = ids_restore.numpy().astype("int32")
    arrays |= {"input/images": images, "input/noise": noise}
    return arrays | {f"weight/{name}": value for name, value in weights(model).items()}


def weights(model):
    """All weights by name, as NumPy arrays of their own."""
    return {
        name: value.numpy().copy() for name, value in model.state_dict().items() if "cls_token" not in name
    }


def learning_rate(step):
    """The authors' schedule (util/lr_sched.py), by step from 0: linear warm-up, half a cosine down to 0."""
    epoch = step / STEPS_PER_EPOCH
    if epoch < WARMUP_EPOCHS:
        return PEAK * epoch / WARMUP_EPOCHS
    return PEAK * 0.5 * (1 + math.cos(math.pi * (epoch - WARMUP_EPOCHS) / (EPOCHS - WARMUP_EPOCHS)))


def train(model):
    """Train the model; returns the loss of each step, and the weights at the end by name.

    Images: every 390th record of data/cifar10-train.bin, in an order of its own in each epoch. Weight decay: as timm's
    param_groups_weight_decay, which the authors use, on everything that has more than one axis.
    """
    records = np.fromfile(DATA, "uint8").reshape(-1, 3073)[::390][:IMAGES, :-1]
    images = records.reshape(-1, 32, 32, 3)
    noise = np.random.default_rng(1).random((EPOCHS * STEPS_PER_EPOCH, BATCH, 64), dtype="float32")
    learned = [
        (name, p)
        for name, p in model.named_parameters()
        if "position" not in name and "pos_embed" not in name
    ]
    groups = [
        {
            "params": [p for name, p in learned if p.ndim > 1 and not name.endswith("bias")],
            "weight_decay": DECAY,
        },
        {"params": [p for name, p in learned if p.ndim <= 1 or name.endswith("bias")], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=PEAK, betas=(0.9, 0.95))
    losses = []
    for epoch in range(EPOCHS):
        order = np.random.default_rng([SEED, epoch + 1]).permutation(IMAGES)
        for batch in order.reshape(-1, BATCH):
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(len(losses))
            latents, mask, ids_restore, _ = encode(model, scaled(images[batch]), noise[len(losses)])
            predictions, _ = decode(model.decoder, latents, ids_restore)
            loss = error(model, scaled(images[batch]), predictions, mask)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    trained = {f"trained/{name}": value for name, value in weights(model).items() if "pos" not in name}
    return trained | {"training/losses": np.array(losses, "float32")}


def everything():
    """All arrays that are stored, by name."""
    rng = np.random.default_rng(0)
    model = build(rng)
    arrays = compute(model, rng) | train(model)
    return arrays | {f"config/{name}": np.array(value) for name, value in CONFIG.items()}


def distance(stored, computed, name):
    """The largest difference; of what 32 steps of training have led to, a tenth of it."""
    return np.abs(stored.astype("float64") - computed).max() / (10 if name.startswith("train") else 1)


def main(*arguments):
    """Write the file, or with --live compare with it."""
    arrays = everything()
    if arguments != ("--live",):
        versions = {
            f"version/{package.__name__}": np.array(str(package.__version__))
            for package in (torch, transformers)
        }
        np.savez_compressed(FILE, **arrays, **versions)
        return print(f"{FILE.name}: {len(arrays)} arrays, {FILE.stat().st_size // 1000} kB")
    with np.load(FILE) as stored:
        names = {name for name in stored.files if not name.startswith("version/")}
        if names != set(arrays):
            sys.exit(f"{FILE.name} and this computation differ in {', '.join(sorted(names ^ set(arrays)))}.")
        # softmax does not depend on the keys' biases: their gradients are rounding errors, which Adam scales up
        numbers = [
            name for name in sorted(names) if arrays[name].dtype.kind != "U" and "k_proj.bias" not in name
        ]
        difference, worst = max((distance(stored[name], arrays[name], name), name) for name in numbers)
        versions = ", ".join(
            f"{package} {stored[f'version/{package}']}" for package in ("torch", "transformers")
        )
    summary = (
        f"stored ({versions}) against torch {torch.__version__}, transformers {transformers.__version__}: "
    )
    summary += f"largest difference {difference:.1e}, in {worst}"
    if not difference < 5e-6:  # outputs are up to about 10, so this is float32 rounding
        sys.exit(summary)
    print(summary)


if __name__ == "__main__":
    main(*sys.argv[1:])
