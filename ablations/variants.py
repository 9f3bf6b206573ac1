"""What is swapped, a few lines each. Everything else is what mae-pretraining.ipynb defines.

VARIANTS maps a try's name to a Try.
"""

import itertools
import pathlib
import typing
from collections.abc import Callable

import keras
import numpy as np
from keras import layers, ops

DATA = pathlib.Path(__file__).resolve().parent.parent / "data"


def hidden_ids(noise, num_visible, num_predicted):
    """Positions in shuffled order: of the visible patches, and of those to predict, as int32 (B, ...)."""
    ids = ops.argsort(noise, axis=1)
    return ids[:, :num_visible], ids[:, num_visible : num_visible + num_predicted]


def predict_part(n, share):
    """In training predict only a random share of the hidden patches (CrossMAE, arXiv 2401.14391, whose ratio counts all
    patches: half of the hidden is 0.375 there; VideoMAE V2, arXiv 2303.16727). Tokens stay in shuffled order, and positions
    follow them. On held-out images predict all of them: more tokens than the decoder has met in training."""

    class Part(n["MaskedAutoencoder"]):
        def call(self, images, training=False):
            if training:
                images = n["random_resized_crop"](images, self.crop_area, self.seed_generator)
            seed = self.seed_generator if training else 0
            num_patches = (images.shape[1] // self.patch_size) ** 2
            noise = keras.random.uniform((ops.shape(images)[0], num_patches), seed=seed)
            hidden = num_patches - self.num_visible
            keep, predict = hidden_ids(noise, self.num_visible, round(share * hidden) if training else hidden)
            predictions = self.decoder([self.encoder([images, keep]), keep, predict])[:, -predict.shape[1] :]
            targets, _, _ = n["patch_targets"](images, self.patch_size, self.normalize_targets)
            targets = ops.take_along_axis(targets, ops.expand_dims(predict, -1), axis=1)
            return {"predictions": predictions, "targets": targets, "mask": ops.ones_like(predict, dtype="float32")}

    n["MaskedAutoencoder"] = Part


def part(share):
    """The paper's decoder on a share of the hidden patches."""

    def change(n):
        def build_decoder(num_patches, patch_dim, latent_width, width, depth, heads, mlp_ratio):
            latents, keep, predict, visible, hidden = decoder_inputs(n, num_patches, latent_width, width)
            visible = n["linear"](latents, width, "decoder_embedding") + visible
            tokens = ops.concatenate([visible, hidden], axis=1)
            for i in range(1, depth + 1):
                tokens = n["transformer_block"](tokens, heads, mlp_ratio, f"decoder_block_{i}")
            tokens = layers.LayerNormalization(epsilon=1e-6, name="decoder_norm")(tokens)
            return keras.Model([latents, keep, predict], n["linear"](tokens, patch_dim, "pixels"))

        n["build_decoder"] = build_decoder
        predict_part(n, share)

    return change


def decoder_inputs(n, num_patches, latent_width, width):
    """Inputs, the visible patches' positions (B, n, width), and mask tokens with theirs (B, m, width)."""
    latents = keras.Input((None, latent_width))
    keep, predict = keras.Input((None,), dtype="int32"), keras.Input((None,), dtype="int32")
    positions = n["sincos_positions"](round(num_patches**0.5), width)
    initializer = keras.initializers.RandomNormal(stddev=0.02)
    mask_token = layers.Dense(width, use_bias=False, kernel_initializer=initializer, name="mask_token")
    hidden = mask_token(ops.ones_like(predict[..., None], dtype="float32"))
    visible, there = (ops.take(positions, ids, axis=0) for ids in (keep, predict))
    return latents, keep, predict, visible, hidden + there


def cross(share):
    """After CrossMAE's decoder (arXiv 2401.14391): hidden tokens ask the visible ones and not each other. Each of its blocks
    reads the same tokens here; there a weighted sum of the encoder's blocks of its own."""

    def change(n):
        def attend(tokens, context, heads, name):
            width = tokens.shape[-1]
            query = n["linear"](tokens, width, f"{name}_query")
            pair = n["linear"](context, 2 * width, f"{name}_key_value")
            query = layers.Reshape((-1, heads, width // heads))(query)
            pair = layers.Reshape((-1, 2, heads, width // heads))(pair)
            mixed = ops.dot_product_attention(query, pair[:, :, 0], pair[:, :, 1])
            return n["linear"](layers.Reshape((-1, width))(mixed), width, f"{name}_output")

        def build_decoder(num_patches, patch_dim, latent_width, width, depth, heads, mlp_ratio):
            latents, keep, predict, _, tokens = decoder_inputs(n, num_patches, latent_width, width)
            for i in range(1, depth + 1):
                name = f"decoder_block_{i}"
                x = layers.LayerNormalization(epsilon=1e-6)(tokens)
                tokens = tokens + attend(x, latents, heads, name)
                x = layers.LayerNormalization(epsilon=1e-6)(tokens)
                x = n["linear"](x, width * mlp_ratio, f"{name}_mlp1", activation="gelu")
                tokens = tokens + n["linear"](x, width, f"{name}_mlp2")
            tokens = layers.LayerNormalization(epsilon=1e-6, name="decoder_norm")(tokens)
            return keras.Model([latents, keep, predict], n["linear"](tokens, patch_dim, "pixels"))

        n["build_decoder"] = build_decoder
        predict_part(n, share)

    return change


class WeightedSum(layers.Layer):
    """Tensors of one shape, summed with weights that are learned and sum to 1; they start equal."""

    def build(self, shapes):
        self.scores = self.add_weight(shape=(len(shapes),), initializer="zeros", name="scores")

    def call(self, tensors):
        return ops.sum(ops.stack(tensors, axis=-1) * ops.softmax(self.scores), axis=-1)


def fuse(n):
    """After multi-level feature fusion (arXiv 2308.00261): the decoder is fed from all blocks of the encoder, by one linear
    layer each and a learned weighted sum, and not from the last block alone."""

    class Fused(n["MaskedAutoencoder"]):
        def __init__(self, encoder, decoder, *arguments):
            width = encoder.output.shape[-1]
            names = (f"level_{i}_embedding" for i in itertools.count(1))  # Muon leaves embeddings to AdamW
            levels = [n["linear"](tokens, width, name) for tokens, name in zip(outputs(encoder), names)]
            fused = layers.LayerNormalization(epsilon=1e-6)(WeightedSum(name="fusion")(levels))
            super().__init__(keras.Model(encoder.inputs, fused), decoder, *arguments)

    n["MaskedAutoencoder"] = Fused


def outputs(encoder):
    """What each block returns, (B, n, D) each; of the last one the final tokens, after the norm."""
    return [*[layer.output for layer in encoder.layers if layer.name[6:].isdigit()][:-1], encoder.output]


def low_variance(kept):
    """Targets hold only the part of the images with little variance: as many of the first principal components are taken
    out as leave a share `kept` of it, counted on whole images (after arXiv 2402.11337). The encoder sees the whole image."""

    def change(n):
        patch_targets = n["patch_targets"]
        images = n["load_cifar10"](DATA)[0][:10_000].reshape(10_000, -1).astype("float32")
        mean = images.mean(axis=0)
        variance, components = np.linalg.eigh(np.cov(images - mean, rowvar=False))  # rising
        first = components[:, np.cumsum(variance) > kept * variance.sum()].astype("float32")  # (3072, components out)

        def filtered(images, patch_size, normalize):
            flat = ops.reshape(ops.cast(images, "float32"), (-1, first.shape[0]))
            rest = flat - ops.matmul(ops.matmul(flat - mean, first), first.T)
            return patch_targets(ops.reshape(rest, (-1, *images.shape[1:])), patch_size, normalize)

        n["patch_targets"] = filtered

    return change


def oriented_gradients(n, bins=9):
    """Targets are each patch's histogram of oriented gradients (MaskFeat, arXiv 2112.09133): for each channel, the lengths of
    its gradients summed into bins of 20 degrees, and each histogram scaled to length 3. Cells are patches."""

    def patch_targets(images, patch_size, normalize):
        _, height, width, channels = images.shape
        images = ops.pad(ops.cast(images, "float32"), [[0, 0], [1, 1], [1, 1], [0, 0]], mode="reflect")
        right = images[:, 1:-1, 2:] - images[:, 1:-1, :-2]  # (B, H, W, C)
        down = images[:, 2:, 1:-1] - images[:, :-2, 1:-1]
        angles = ops.mod(ops.arctan2(down, right), np.pi) * (bins / np.pi)  # 0 to `bins`: a line has no direction
        lengths = ops.sqrt(right**2 + down**2)[..., None]
        votes = lengths * ops.one_hot(ops.minimum(ops.cast(angles, "int32"), bins - 1), bins)
        votes = n["patchify"](ops.reshape(votes, (-1, height, width, channels * bins)), patch_size)
        num_patches = votes.shape[1]
        cells = ops.sum(ops.reshape(votes, (-1, num_patches, patch_size**2, channels, bins)), axis=2)
        cells = ops.normalize(cells, axis=-1) * bins**0.5
        cells = ops.reshape(cells, (-1, num_patches, channels * bins))
        return cells, ops.zeros_like(cells[..., :1]), ops.ones_like(cells[..., :1])

    n["patch_targets"] = patch_targets
    predict_width(n, 3 * bins)


def predict_width(n, target_dim):
    """The decoder predicts `target_dim` numbers a patch; None: as many as the encoder's tokens have."""
    build_decoder, build_encoder, width = n["build_decoder"], n["build_encoder"], None

    def encoder(image_size, patch_size, channels, encoder_width, *sizes, **options):
        nonlocal width
        width = encoder_width
        return build_encoder(image_size, patch_size, channels, encoder_width, *sizes, **options)

    def decoder(num_patches, patch_dim, *sizes):
        return build_decoder(num_patches, target_dim or width, *sizes)

    n["build_encoder"], n["build_decoder"] = encoder, decoder


def teacher(momentum):
    """Targets are tokens of a teacher that sees the whole image: the encoder with weights averaged over the steps. Mean of
    its blocks, each token normalised (after data2vec, arXiv 2202.03555), then, here only, each channel over the batch."""

    def change(n):
        predict_width(n, None)
        models = []  # the one model that these definitions make

        def patch_targets(images, patch_size, normalize):
            (model,) = models
            everything = ops.zeros_like(images[:, 0, 0, :1], dtype="int32") + np.arange(
                model.num_patches, dtype="int32"
            )
            tokens = model.teacher([images, everything])  # (B, N, depth*width)
            blocks = ops.reshape(tokens, (-1, model.num_patches, tokens.shape[-1] // model.width, model.width))
            targets = ops.stop_gradient(ops.mean(standardised(blocks, axis=-1), axis=2))
            return standardised(targets, axis=(0, 1)), targets[..., :1], targets[..., :1]

        class Taught(n["MaskedAutoencoder"]):
            def __init__(self, encoder, *rest):
                super().__init__(encoder, *rest)
                self.width = encoder.get_layer("encoder_norm").output.shape[-1]
                self.teacher = keras.models.clone_model(encoder)
                self.teacher.set_weights(encoder.get_weights())
                self.teacher.trainable = False
                models.append(self)

            def call(self, images, training=False):
                if training:
                    for average, now in zip(self.teacher.weights, self.encoder.weights):
                        average.assign(momentum * average + (1 - momentum) * now)
                return super().call(images, training=training)

        n["patch_targets"], n["MaskedAutoencoder"] = patch_targets, Taught

    return change


def standardised(x, axis):
    """Mean 0 and spread 1 along the axes."""
    return (x - ops.mean(x, axis=axis, keepdims=True)) / (ops.std(x, axis=axis, keepdims=True) + 1e-6)


def uniform(weight):
    """U-MAE (arXiv 2210.08344) on the mean token: in training add `weight` times the mean squared cosine between two images."""

    def change(n):
        class Uniform(n["MaskedAutoencoder"]):
            def __init__(self, encoder, *arguments):
                super().__init__(encoder, *arguments)
                self.whole_encoder, self.encoder = encoder, self.encode
                self.width = encoder.get_layer("encoder_norm").output.shape[-1]

            def encode(self, inputs):
                self.latents = self.whole_encoder(inputs)
                return self.latents

            def compute_loss(self, *arguments, training=True, **options):
                loss = super().compute_loss(*arguments, **options)
                if not training:
                    return loss
                tokens = self.latents[..., -self.width :]  # without the blocks before
                z = ops.normalize(ops.mean(tokens, axis=1), axis=-1)
                return loss + weight * ops.mean(ops.square(ops.matmul(z, ops.transpose(z))))

        n["MaskedAutoencoder"] = Uniform

    return change


def learned_positions(n):
    """The encoder's positions are learned: a one-hot position beside the pixels of each patch, and no waves."""
    build_encoder, patchify, waves = n["build_encoder"], n["patchify"], n["sincos_positions"]

    def with_place(images, patch_size):
        patches = patchify(images, patch_size)
        places = ops.zeros_like(patches[:, :, :1]) + np.eye(patches.shape[1], dtype="float32")
        return ops.concatenate([patches, places], axis=-1)

    def build(*arguments, **options):
        n["patchify"], n["sincos_positions"] = with_place, lambda grid, width: np.zeros((grid**2, width), "float32")
        encoder = build_encoder(*arguments, **options)
        n["patchify"], n["sincos_positions"] = patchify, waves
        return encoder

    n["build_encoder"] = build


def class_token(n):
    """One more, learned token in the encoder, which is left out at its end. The last section of regular-classification.ipynb
    cannot draw where such an encoder looks."""
    build_encoder, transformer_block = n["build_encoder"], n["transformer_block"]

    def block(tokens, heads, mlp_ratio, name):
        if name == "block_1":
            normal = keras.initializers.RandomNormal(stddev=0.02)
            token = layers.Dense(tokens.shape[-1], use_bias=False, kernel_initializer=normal, name="class_token")
            tokens = ops.concatenate([token(ops.ones_like(tokens[:, :1, :1])), tokens], axis=1)
        return transformer_block(tokens, heads, mlp_ratio, name)

    def build(*arguments, **options):
        encoder = build_encoder(*arguments, **options)
        return keras.Model(encoder.inputs if options["masked"] else encoder.input, encoder.output[:, 1:])

    n["transformer_block"], n["build_encoder"] = block, build


def wide_heads(n):
    """Each head as wide as the whole token, as `keras.layers.MultiHeadAttention(heads, key_dim=width)` makes them."""

    def attention(tokens, heads, name):
        width = tokens.shape[-1]
        x = n["linear"](tokens, 3 * heads * width, f"{name}_query_key_value")
        x = layers.Reshape((-1, 3, heads, width), name=f"{name}_heads")(x)
        mixed = ops.dot_product_attention(x[:, :, 0], x[:, :, 1], x[:, :, 2])
        return n["linear"](layers.Reshape((-1, heads * width))(mixed), width, f"{name}_output")

    n["attention"] = attention


def separate_projections(n):
    """Query, key and value come from three matrices, so Muon treats each by itself (kellerjordan.github.io/posts/muon).
    Their first weights are drawn from the same range as those of the one matrix."""

    def attention(tokens, heads, name):
        width = tokens.shape[-1]
        limit = (6 / (4 * width)) ** 0.5
        initializer = keras.initializers.RandomUniform(-limit, limit)
        names = (f"{name}_{part}" for part in ("query", "key", "value"))
        projected = [layers.Dense(width, kernel_initializer=initializer, name=part)(tokens) for part in names]
        x = layers.Reshape((-1, 3, heads, width // heads), name=f"{name}_heads")(layers.Concatenate()(projected))
        mixed = ops.dot_product_attention(x[:, :, 0], x[:, :, 1], x[:, :, 2])
        return n["linear"](layers.Reshape((-1, width))(mixed), width, f"{name}_output")

    n["attention"] = attention


def raw_sigmoid(n):
    """Targets are pixels from 0 to 1, and predictions go through a sigmoid."""
    linear = n["linear"]

    def patch_targets(images, patch_size, normalize):
        patches = n["patchify"](ops.cast(images, "float32") / 255, patch_size)
        return patches, ops.zeros_like(patches[..., :1]), ops.ones_like(patches[..., :1])

    n["patch_targets"] = patch_targets
    n["linear"] = lambda x, width, name, activation=None: linear(
        x, width, name, "sigmoid" if name == "pixels" else activation
    )


def dense_decoder(n):
    """Tokens stay in shuffled order, each with its position; one dense layer over all of them predicts the whole image."""

    def build_decoder(num_patches, patch_dim, latent_width, width, depth, heads, mlp_ratio):
        latents, ids_restore = keras.Input((None, latent_width)), keras.Input((num_patches,), dtype="int32")
        visible = n["linear"](latents, width, "decoder_embedding")
        normal = keras.initializers.RandomNormal(stddev=0.02)
        mask_token = layers.Dense(width, use_bias=False, kernel_initializer=normal, name="mask_token")
        hidden = mask_token(ops.ones_like(ids_restore[..., None], dtype="float32"))
        tokens = ops.concatenate([visible, hidden], axis=1)[:, :num_patches]
        positions = n["sincos_positions"](round(num_patches**0.5), width)
        tokens = tokens + ops.take(positions, ops.argsort(ids_restore, axis=1), axis=0)
        for i in range(1, depth + 1):
            tokens = n["transformer_block"](tokens, heads, mlp_ratio, f"decoder_block_{i}")
        tokens = layers.LayerNormalization(epsilon=1e-6, name="decoder_norm")(tokens)
        tokens = ops.reshape(tokens, (-1, num_patches * width))
        image = n["linear"](tokens, num_patches * patch_dim, "pixels")
        return keras.Model([latents, ids_restore], ops.reshape(image, (-1, num_patches, patch_dim)))

    n["build_decoder"] = build_decoder


def both(*changes):
    """Several changes, one after the other."""

    def change(n):
        for one in changes:
            one(n)

    return change


class Try(typing.NamedTuple):
    """One change of the notebook. `settings` replace its parameters, and `change(n)` entries of `n`, the dict of its definitions."""

    factor: str
    value: str
    settings: dict = {}  # noqa: RUF012 (nothing changes it)
    change: Callable | None = None


def setting(factor, name, *values):
    """Tries that replace one parameter of the notebook."""
    return {f"{name.lower().replace('_', '-')}-{v}": Try(factor, str(v), {name: v}) for v in values}


SCHEDULES = 5, 10, 25, 50, 100, 200
HOG = "histograms of oriented gradients"
PAPER = {"FUSE_BLOCKS": False, "MUON": False}  # the paper's model and optimiser
VARIANTS = {
    "base": Try("base", ""),
    "last-block": Try("decoder is fed from", "the last block alone, as in the paper", {"FUSE_BLOCKS": False}),
    "weighted-sum": Try("decoder is fed from", "all blocks, in a weighted sum", {"FUSE_BLOCKS": False}, fuse),
    "paper": Try("with AdamW", "the last block alone", PAPER),
    "paper-weighted-sum": Try("with AdamW", "all blocks, in a weighted sum", PAPER, fuse),
    "paper-part-50": Try("with AdamW", "the last block alone, half of the hidden patches predicted", PAPER, part(0.5)),
    "paper-cross-50": Try(
        "with AdamW",
        "the last block alone, cross-attention, half of the hidden patches",
        PAPER,
        cross(0.5),
    ),
    "paper-weighted-sum-cross-50": Try(
        "with AdamW",
        "a weighted sum, cross-attention, half of the hidden patches",
        PAPER,
        both(cross(0.5), fuse),
    ),
    "part-50": Try("hidden patches predicted", "half", {}, part(0.5)),
    "part-25": Try("hidden patches predicted", "a quarter", {}, part(0.25)),
    "cross-100": Try("decoder", "cross-attention", {}, cross(1)),
    "cross-50": Try("decoder", "cross-attention, half of the hidden patches", {}, cross(0.5)),
    "hog": Try("target", HOG, {}, oriented_gradients),
    "hog-mask-ratio-0.9": Try("target", f"{HOG}, mask ratio 0.9", {"MASK_RATIO": 0.9}, oriented_gradients),
    "hog-learning-rate-0.006": Try(
        "target", f"{HOG}, learning rate 0.006", {"LEARNING_RATE": 6e-3}, oriented_gradients
    ),
    "hog-cross-50": Try(
        "target",
        f"{HOG}, cross-attention, half of the hidden patches",
        {},
        both(cross(0.5), oriented_gradients),
    ),
    "teacher": Try("target", "tokens of a teacher, the averaged encoder", {}, teacher(0.99)),
    "low-variance-25": Try("target", "the 25 % of variance without the first components", {}, low_variance(0.25)),
    "raw": Try("target", "raw pixels", {"NORMALIZE_TARGETS": False}),
    "adamw": Try("optimiser", "AdamW, as in the paper", {"MUON": False}),
    "separate-projections": Try("optimiser", "Muon, query, key and value apart", {}, separate_projections),
    "uniform": Try("loss", "with a uniformity term", {}, uniform(0.01)),
    "learned-positions": Try("positions", "learned", {}, learned_positions),
    "class-token": Try("class token", "one", {}, class_token),
    **setting("mask ratio", "MASK_RATIO", 0.5, 0.6, 0.8125, 0.86, 0.9),
    **setting("decoder layers", "DECODER_LAYERS", 1, 4, 8),
    **setting("decoder width", "DECODER_WIDTH", 32, 128),
    **setting("learning rate", "LEARNING_RATE", 1.5e-3, 6e-3),
    **setting("weight decay", "WEIGHT_DECAY", 0.01, 0.15),
    **setting("batch size, and the learning rate with it", "BATCH_SIZE", 64, 128, 512),
    **setting("smallest crop", "CROP_AREA", 0.2, 1.0),
    **setting("patch size", "PATCH_SIZE", 2, 8),
    **setting("MLP ratio", "MLP_RATIO", 4),
    **{f"epochs-{n}": Try("epochs", str(n), {"EPOCHS": n, "WARMUP_EPOCHS": 1 if n < 50 else 5}) for n in SCHEDULES},
    **setting("encoder layers", "ENCODER_LAYERS", 1, 3, 9, 12),
    "width-64": Try("encoder width", "64", {"ENCODER_WIDTH": 64, "ENCODER_HEADS": 2}),
    "width-192": Try("encoder width", "192", {"ENCODER_WIDTH": 192, "ENCODER_HEADS": 6}),
    "width-256": Try("encoder width", "256", {"ENCODER_WIDTH": 256, "ENCODER_HEADS": 8}),
    "wide": Try("shape at equal parameters", "3 layers of width 184", {"ENCODER_LAYERS": 3, "ENCODER_WIDTH": 184}),
    "deep": Try("shape at equal parameters", "12 layers of width 92", {"ENCODER_LAYERS": 12, "ENCODER_WIDTH": 92}),
    "predecessor-decoder": Try("predecessor's", "shuffled tokens, one dense layer over all", {}, dense_decoder),
    "predecessor-target": Try("predecessor's", "raw pixels through a sigmoid", {}, raw_sigmoid),
    "predecessor-heads": Try("predecessor's", "heads as wide as the token", {}, wide_heads),
    "predecessor-rate": Try(
        "predecessor's",
        "AdamW, its learning rate and decay",
        {"LEARNING_RATE": 5e-3, "WEIGHT_DECAY": 0.02, "MUON": False},
    ),
}
