"""Compute tests/hf_vitmae.npz with Hugging Face's ViTMAE: python scripts/parity.py [--live]

Needs torch and transformers, nothing of this repository. A small ViTMAEForPreTraining with random weights is driven module by module, with
the class token taken out. Inputs, weights and outputs are stored, and tests/test_parity.py compares the notebook's model with them.
With --live nothing is written: everything is computed again and compared with the stored file.
"""

import pathlib
import sys

import numpy as np
import torch
import transformers
from transformers.models.vit_mae.modeling_vit_mae import ViTMAEDecoderOutput, ViTMAEModelOutput

FILE = pathlib.Path(__file__).resolve().parent.parent / "tests" / "hf_vitmae.npz"
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


@torch.no_grad()
def compute():
    """Inputs, weights and outputs by name, as NumPy arrays."""
    rng = np.random.default_rng(0)
    model = build(rng)
    images = rng.integers(0, 256, (3, 32, 32, 3)).astype("uint8")
    images[0] = images[0, :1, :1] // 2 + np.arange(32)[:, None, None] * 3  # one that is not noise
    noise = rng.random((3, 64)).astype("float32")
    pixel_values = torch.tensor((images.transpose(0, 3, 1, 2) - 120.0) / 64, dtype=torch.float32)

    embeddings = model.vit.embeddings
    tokens = embeddings.patch_embeddings(pixel_values) + embeddings.position_embeddings[:, 1:]
    tokens, mask, ids_restore = embeddings.random_masking(tokens, torch.tensor(noise))
    outputs = {}
    for i, layer in enumerate(model.vit.layers, 1):
        tokens = layer(tokens)
        outputs[f"block_{i}"] = tokens
    latents = model.vit.layernorm(tokens)

    decoder = model.decoder
    visible = decoder.decoder_embed(latents)
    hidden = decoder.mask_token.expand(len(images), ids_restore.shape[1] - visible.shape[1], -1)
    tokens = torch.cat([visible, hidden], dim=1)
    tokens = torch.gather(tokens, 1, ids_restore[..., None].expand(-1, -1, tokens.shape[-1]))
    tokens = tokens + decoder.decoder_pos_embed[:, 1:]
    for i, layer in enumerate(decoder.decoder_layers, 1):
        tokens = layer(tokens)
        outputs[f"decoder_block_{i}"] = tokens
    predictions = decoder.decoder_pred(decoder.decoder_norm(tokens))

    # the loss is computed inside forward: give it these latents and predictions in place of those with a class token
    model.vit.forward = lambda *_, **__: ViTMAEModelOutput(
        last_hidden_state=latents, mask=mask, ids_restore=ids_restore
    )
    decoder.forward = lambda *_, **__: ViTMAEDecoderOutput(logits=predictions)
    outputs |= {
        "latents": latents,
        "predictions": predictions,
        "mask": mask,
        "loss": model(pixel_values).loss,
    }
    arrays = {f"output/{name}": value.numpy() for name, value in outputs.items()}
    arrays["output/ids_restore"] = ids_restore.numpy().astype("int32")
    arrays |= {"input/images": images, "input/noise": noise}
    arrays |= {
        f"weight/{name}": value.numpy()
        for name, value in model.state_dict().items()
        if "cls_token" not in name
    }
    return arrays | {f"config/{name}": np.array(value) for name, value in CONFIG.items()}


def main(*arguments):
    """Write the file, or with --live compare with it."""
    arrays = compute()
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
        numbers = [name for name in sorted(names) if arrays[name].dtype.kind != "U"]
        worst = max(numbers, key=lambda name: np.abs(stored[name].astype("float64") - arrays[name]).max())
        difference = np.abs(stored[worst].astype("float64") - arrays[worst]).max()
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
