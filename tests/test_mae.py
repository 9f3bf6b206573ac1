"""The definitions of mae-pretraining.ipynb, each against what it says it does."""

import functools
import math

import keras
import notebooks
import numpy as np
import pytest
from keras import ops


def numpy(tensors):
    """Tensors, alone or in a tuple or dict -> the same as NumPy arrays."""
    return keras.tree.map_structure(ops.convert_to_numpy, tensors)


# --- patches ---


@pytest.mark.parametrize("size, patch, channels", [(32, 4, 3), (32, 8, 3), (16, 2, 1), (12, 3, 4), (8, 8, 3)])
def test_unpatchify_undoes_patchify(mae, size, patch, channels):
    images = np.random.default_rng(0).integers(0, 256, (2, size, size, channels)).astype("float32")
    patches = mae["patchify"](images, patch)
    assert patches.shape == (2, (size // patch) ** 2, patch * patch * channels)
    assert np.array_equal(numpy(mae["unpatchify"](patches, patch)), images)


def test_patches_go_row_by_row(mae):
    images = np.random.default_rng(0).random((2, 6, 9, 2)).astype("float32")
    patches = numpy(mae["patchify"](images, 3))
    for row in range(2):
        for column in range(3):
            square = images[:, 3 * row : 3 * row + 3, 3 * column : 3 * column + 3]
            assert np.array_equal(patches[:, 3 * row + column], square.reshape(2, -1))


# --- masks ---


@pytest.mark.parametrize("ratio", [0.1, 0.25, 0.5, 0.6, 0.75, 0.9])
@pytest.mark.parametrize("training", [False, True])
def test_every_image_hides_the_same_number(build_small, images, ratio, training):
    mask = numpy(build_small(ratio)(images, training=training)["mask"])
    assert set(np.unique(mask)) == {0, 1}
    assert (mask.sum(1) == round(ratio * 16)).all()


def test_masks_are_uniform(build_small):
    """Each patch, and each pair of patches, is hidden as often as chance says, within five standard deviations (1 in a million each)."""
    draws = 4000
    hidden = numpy(build_small(0.75)(np.zeros((draws, 16, 16, 3), "float32"), training=True)["mask"])
    together = hidden.T @ hidden / draws  # on the diagonal: how often a patch is hidden
    expected = np.where(np.eye(16), 12 / 16, 12 / 16 * 11 / 15)
    assert (np.abs(together - expected) < 5 * np.sqrt(expected * (1 - expected) / draws)).all()


def test_masks_differ_between_images_and_steps_but_not_in_validation(build_small, images):
    model = build_small(0.5)
    first, second = (numpy(model(images, training=True)["mask"]) for _ in range(2))
    assert len(np.unique(first, axis=0)) == len(images)
    assert not (first == second).all(axis=1).any()
    assert np.array_equal(*(numpy(model(images)["mask"]) for _ in range(2)))
    assert np.array_equal(numpy(model(images)["mask"]), numpy(build_small(0.5, seed=4)(images)["mask"]))
    assert len(np.unique(numpy(model(images)["mask"]), axis=0)) == len(images)


def test_training_crops_and_validation_does_not(build_small, images):
    model = build_small(normalize_targets=False)
    whole = (images - 120) / 64
    assert np.allclose(numpy(model(images)["targets"]).sum(axis=(1, 2)), whole.sum(axis=(1, 2, 3)), atol=1e-2)
    assert not np.isclose(
        numpy(model(images, training=True)["targets"]).sum(axis=(1, 2)), whole.sum(axis=(1, 2, 3)), atol=1e-2
    ).any()


def test_the_encoder_sees_the_crop_that_it_predicts(mae, build_small, images):
    """And not the whole image, nor another crop of it."""
    model, seen = build_small(), []
    encoder = model.encoder
    model.encoder = lambda inputs: seen.append(inputs[0]) or encoder(inputs)
    targets = numpy(model(images, training=True)["targets"])
    np.testing.assert_allclose(targets, numpy(mae["patch_targets"](seen[0], 4, True)[0]), atol=1e-4)
    assert not np.allclose(numpy(seen[0]), images)


def test_seed_decides_crops_and_masks(build_small, images):
    first, again, other = (numpy(build_small(seed=seed)(images, training=True)) for seed in (3, 3, 4))
    for part in ("targets", "mask"):
        assert np.array_equal(first[part], again[part])
        assert (first[part] != other[part]).any(axis=1).all()


def test_ids_restore_undoes_the_shuffle(mae):
    noise = np.random.default_rng(1).random((5, 16)).astype("float32")
    ids_keep, ids_restore, mask = numpy(mae["random_masking"](noise, 6))
    shuffle = np.argsort(noise, axis=1)  # an independent statement of the order
    assert np.array_equal(ids_keep, shuffle[:, :6])
    sequence = np.random.default_rng(2).random((5, 16))
    shuffled = np.take_along_axis(sequence, shuffle, 1)
    assert np.array_equal(np.take_along_axis(shuffled, ids_restore, 1), sequence)
    assert (
        np.array_equal(np.take_along_axis(mask, ids_keep, 1), np.zeros((5, 6))) and (mask.sum(1) == 10).all()
    )


# --- encoder ---


def masking(mae, count=8, num_visible=4, seed=0):
    """ids_keep, ids_restore, mask for `count` images of 16 patches."""
    return numpy(
        mae["random_masking"](np.random.default_rng(seed).random((count, 16)).astype("float32"), num_visible)
    )


def test_encoder_cannot_see_hidden_patches(mae, build_small, images):
    encoder = build_small().encoder
    ids_keep, _, mask = masking(mae)
    latents = numpy(encoder([images, ids_keep]))
    patches = numpy(mae["patchify"](images, 4))
    for hide, same in ((mask, True), (1 - mask, False)):
        changed = numpy(mae["unpatchify"](np.where(hide[..., None] == 1, 255 - patches, patches), 4))
        new = numpy(encoder([changed, ids_keep]))
        assert (new == latents).all() if same else (new != latents).any(axis=(1, 2)).all()


def test_encoder_shown_everything_equals_the_whole_image_encoder(mae, build_small, images):
    encoder = build_small().encoder
    whole = mae["build_encoder"](16, 4, 3, 16, 1, 2, 2, masked=False)
    whole.set_weights(encoder.get_weights())
    everything = np.tile(np.arange(16, dtype="int32"), (8, 1))
    tokens = numpy(whole(images))
    assert tokens.shape == (8, 16, 16) and tokens.std() > 0.1
    np.testing.assert_allclose(numpy(encoder([images, everything])), tokens, atol=1e-5)


def test_encoder_tells_positions_apart(build_small, images):
    encoder = build_small().encoder
    grey = np.full_like(images, 90)
    tokens = numpy(encoder([grey, np.tile(np.arange(16, dtype="int32"), (8, 1))]))
    assert len(np.unique(tokens[0].round(3), axis=0)) == 16


def test_block_outputs_can_be_reached(mae, images):
    encoder = mae["build_encoder"](16, 4, 3, 16, 2, 2, 2, masked=False)
    block = keras.Model(encoder.input, encoder.get_layer("block_2").output)
    norm = encoder.get_layer("encoder_norm")
    np.testing.assert_allclose(numpy(norm(block(images))), numpy(encoder(images)), atol=1e-5)


def test_fused_blocks_stand_side_by_side(mae):
    """In order, each as the layer block_<i> returns it, and the last after the final norm; weights stay the same ones."""
    sizes = (16, 4, 3, 16, 3, 2, 2)
    plain, fused = (mae["build_encoder"](*sizes, masked=True, fuse=fuse) for fuse in (False, True))
    rng = np.random.default_rng(0)
    weights = [w + 0.2 * rng.standard_normal(w.shape) for w in plain.get_weights()]
    plain.set_weights(weights)
    fused.set_weights(weights)
    inputs = [
        rng.uniform(0, 255, (2, 16, 16, 3)).astype("float32"),
        np.array([[0, 5, 7], [1, 2, 9]], "int32"),
    ]
    side_by_side = numpy(fused(inputs))
    assert side_by_side.shape == (2, 3, 3 * 16)
    blocks = keras.Model(plain.input, [plain.get_layer(f"block_{i}").output for i in (1, 2)])(inputs)
    for place, block in enumerate([*blocks, plain(inputs)]):
        np.testing.assert_allclose(side_by_side[..., 16 * place : 16 * (place + 1)], numpy(block), atol=1e-5)


# --- decoder ---


def layer_norm(x, gamma, beta):
    """Layer norm in plain NumPy."""
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6) * gamma + beta


def test_decoder_puts_each_token_in_its_place(mae):
    """A decoder without blocks, so that each patch depends on its own token alone: all of it in a plain loop."""
    decoder = mae["build_decoder"](16, 12, 16, 8, 0, 2, 2)
    rng = np.random.default_rng(0)
    decoder.set_weights([rng.standard_normal(w.shape).astype("float32") for w in decoder.get_weights()])
    latents = rng.standard_normal((8, 4, 16)).astype("float32")
    ids_keep, ids_restore, _ = masking(mae)
    predictions = numpy(decoder([latents, ids_restore]))
    kernel, bias = decoder.get_layer("decoder_embedding").get_weights()
    (mask_token,) = decoder.get_layer("mask_token").get_weights()
    norm, (out_kernel, out_bias) = (
        decoder.get_layer("decoder_norm").get_weights(),
        decoder.get_layer("pixels").get_weights(),
    )
    positions = mae["sincos_positions"](4, 8)
    for image in range(8):
        for patch in range(16):
            token = mask_token[0]  # hidden patches: the same one everywhere
            if patch in ids_keep[image]:
                token = latents[image, list(ids_keep[image]).index(patch)] @ kernel + bias
            expected = layer_norm(token + positions[patch], *norm) @ out_kernel + out_bias
            np.testing.assert_allclose(predictions[image, patch], expected, atol=1e-4)


def test_predictions_do_not_depend_on_the_order_of_the_shuffle(mae, build_small, images):
    model = build_small()
    ids_keep, ids_restore, _ = masking(mae)
    order = np.array([2, 0, 3, 1])  # of the visible tokens: new place i holds what stood at order[i]
    moved = np.concatenate(
        [np.argsort(order), 4 + np.random.default_rng(0).permutation(12)]
    )  # old place -> new place, hidden ones too
    latents = numpy(model.encoder([images, ids_keep]))
    reordered_latents = numpy(model.encoder([images, ids_keep[:, order]]))
    np.testing.assert_allclose(reordered_latents, latents[:, order], atol=1e-5)
    predictions = numpy(model.decoder([latents, ids_restore]))
    reordered = numpy(model.decoder([reordered_latents, moved[ids_restore].astype("int32")]))
    np.testing.assert_allclose(reordered, predictions, atol=1e-5)
    misplaced = numpy(model.decoder([reordered_latents, ids_restore]))
    assert np.abs(misplaced - predictions).max(axis=(1, 2)).min() > 1e-2


def test_all_patches_hidden_alike_are_told_apart_by_position(build_small):
    decoder = build_small().decoder
    ids_restore = np.arange(16, dtype="int32")[None]
    predictions = numpy(decoder([np.ones((1, 4, 16), "float32"), ids_restore]))
    assert len(np.unique(predictions[0].round(3), axis=0)) == 16


# --- loss ---


def test_loss_is_the_error_on_hidden_patches_only(mae):
    rng = np.random.default_rng(0)
    targets, predictions = rng.standard_normal((2, 8, 16, 48)).astype("float32")
    mask = masking(mae)[2]
    loss = float(mae["masked_error"](targets, predictions, mask))
    total, count = 0, 0
    for image in range(8):
        for patch in range(16):
            if mask[image, patch] == 1:
                total, count = (
                    total + ((targets[image, patch] - predictions[image, patch]) ** 2).mean(),
                    count + 1,
                )
    assert loss == pytest.approx(total / count, rel=1e-5)
    hidden = mask[..., None] == 1
    assert float(mae["masked_error"](targets, np.where(hidden, predictions, 99), mask)) == loss
    assert float(mae["masked_error"](targets, np.where(hidden, predictions + 1, predictions), mask)) != loss


def test_model_minimises_that_loss(mae, build_small, images):
    model = build_small()
    outputs = model(images)
    expected = mae["masked_error"](outputs["targets"], outputs["predictions"], outputs["mask"])
    assert float(model.compute_loss(x=images, y_pred=outputs)) == pytest.approx(float(expected), rel=1e-6)
    np.testing.assert_array_equal(numpy(outputs["targets"]), numpy(mae["patch_targets"](images, 4, True)[0]))


def test_targets_are_normalised_patch_by_patch(mae, images):
    targets, mean, spread = numpy(mae["patch_targets"](images, 4, True))
    patches = (numpy(mae["patchify"](images, 4)) - 120) / 64
    np.testing.assert_allclose(targets.mean(-1), 0, atol=1e-5)
    np.testing.assert_allclose(targets.std(-1, ddof=1), 1, atol=1e-5)
    np.testing.assert_allclose(targets * spread + mean, patches, atol=1e-5)


def test_flat_patches_have_targets_zero(mae):
    assert (
        np.abs(numpy(mae["patch_targets"](np.full((1, 8, 8, 3), 77.0, "float32"), 4, True)[0])).max() < 1e-2
    )


def test_targets_without_normalisation_are_the_scaled_pixels(mae, images):
    targets, mean, spread = numpy(mae["patch_targets"](images, 4, False))
    np.testing.assert_allclose(targets * 64 + 120, numpy(mae["patchify"](images, 4)), atol=1e-3)
    assert (mean == 0).all() and (spread == 1).all()


def test_drawings_keep_visible_patches(mae, build_small, images):
    """And hidden ones are the predictions with each patch's own mean and spread."""
    model = build_small()
    noise = np.random.default_rng(0).random((8, 16)).astype("float32")
    targets, _, predictions, mask = numpy(mae["compare"](model, images, noise, 4))
    np.testing.assert_array_equal(mask, numpy(mae["random_masking"](noise, 4)[2]))
    drawn = numpy(mae["patchify"](mae["paint"](predictions, images, mask, 4, True), 4))
    patches = numpy(mae["patchify"](images, 4))
    np.testing.assert_array_equal(drawn[mask == 0], patches[mask == 0])
    ids_keep, ids_restore, _ = numpy(mae["random_masking"](noise, 4))
    expected = numpy(model.decoder([numpy(model.encoder([images, ids_keep])), ids_restore]))
    mean, spread = patches.mean(-1, keepdims=True), patches.std(-1, ddof=1, keepdims=True)
    np.testing.assert_allclose(drawn[mask == 1], (expected * spread + mean)[mask == 1], atol=0.01)
    right = numpy(mae["patchify"](mae["paint"](targets, images, mask, 4, True), 4))
    np.testing.assert_allclose(right, patches, atol=0.01)


def test_smooth_fill_solves_laplaces_equation(mae):
    """Visible pixels stay; a plane, which solves the equation, is restored inside; nothing of a hidden pixel is used."""
    rows, columns = np.mgrid[:16, :16]
    plane = np.stack([3 * rows + 5 * columns, 100 - 2 * rows, 0 * rows + 7], -1)[None].astype("float32")
    mask = np.zeros((1, 16))
    mask[0, [5, 10]] = 1  # away from the border, where there are no neighbours outside
    damaged = np.array(
        mae["unpatchify"](np.where(mask[..., None] == 1, 255, numpy(mae["patchify"](plane, 4))), 4)
    )
    np.testing.assert_allclose(mae["smooth_fill"](damaged, mask, 4), plane, atol=0.01)


def test_filling_is_scaled_for_the_least_error(mae, build_small, images):
    """Any other multiple of the smooth filling is worse."""
    noise = np.random.default_rng(0).random((8, 16)).astype("float32")
    targets, filling, _, mask = numpy(mae["compare"](build_small(), images, noise, 8))
    errors = [float(mae["masked_error"](targets, scale * filling, mask)) for scale in (0.9, 1, 1.1)]
    assert errors[1] < min(errors[0], errors[2])


@pytest.mark.parametrize("heads", [1, 4])
def test_attention_by_hand_is_keras_attention(mae, heads):
    query, key, value = np.random.default_rng(0).standard_normal((3, 2, 5, heads, 6)).astype("float32")
    mixed, weights = numpy(mae["softmax_attention"](query, key, value))
    np.testing.assert_allclose(mixed, numpy(ops.dot_product_attention(query, key, value)), atol=1e-5)
    assert weights.shape == (2, heads, 5, 5)
    np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-5)


# --- positions, schedule, optimiser, counts ---


@pytest.mark.parametrize("grid, width", [(8, 128), (3, 8), (4, 4)])
def test_positions(mae, grid, width):
    positions = mae["sincos_positions"](grid, width)
    quarter = width // 4
    assert positions.shape == (grid * grid, width) and positions.dtype == np.float32
    for row in range(grid):
        for column in range(grid):
            for i in range(quarter):
                waves = [
                    wave(place / 10_000 ** (i / quarter))
                    for place in (column, row)
                    for wave in (math.sin, math.cos)
                ]
                np.testing.assert_allclose(positions[row * grid + column, i::quarter], waves, atol=1e-6)


@pytest.fixture(params=[False, True], ids=["AdamW", "Muon"])
def muon(request):
    """Whether Muon trains the matrices of the blocks."""
    return request.param


@pytest.fixture(params=["build_optimizer", "build_classifier_optimizer"])
def build_optimizer(request, muon):
    """Each notebook's function, with one of the two optimisers."""
    notebook = notebooks.PRETRAINING if request.param == "build_optimizer" else notebooks.CLASSIFICATION
    return functools.partial(notebooks.definitions(notebook, {request.param})[request.param], muon=muon)


@pytest.mark.parametrize("warmup", [0, 1, 3])
def test_learning_rate(build_optimizer, build_small, warmup):
    optimizer = build_optimizer(build_small(), 0.3, 0.05, 8, warmup, 25)
    schedule = optimizer._learning_rate
    for step in range(0, 201):
        if step < warmup * 25:
            expected = 0.3 * step / (warmup * 25)
        else:
            expected = 0.15 * (1 + math.cos(math.pi * (step - warmup * 25) / (200 - warmup * 25)))
        assert float(schedule(step)) == pytest.approx(expected, abs=1e-6), step


def test_weight_decay_spares_biases_and_norms(build_optimizer, build_small):
    """With gradients of zero only decay moves a weight, by learning rate x decay; biases and norms are the vectors among the weights."""
    model = build_small()
    optimizer = build_optimizer(model, 0.1, 0.5, 8, 0, 1)  # no warm-up: the first step has the full rate
    before = numpy([v.value for v in model.trainable_variables])
    optimizer.apply([ops.zeros_like(v) for v in model.trainable_variables], model.trainable_variables)
    assert {v.ndim for v in before} == {1, 2}
    for old, variable in zip(before, model.trainable_variables):
        factor = 1 if old.ndim == 1 else 1 - 0.1 * 0.5
        np.testing.assert_allclose(numpy(variable.value), old * factor, rtol=1e-5, err_msg=variable.path)


def test_optimizer_is_the_papers(build_optimizer, build_small, muon):
    """AdamW with its betas; Muon with Keras' defaults, and those betas for what it leaves to AdamW."""
    optimizer = build_optimizer(build_small(), 0.1, 0.05, 8, 1, 1)
    assert type(optimizer) is (keras.optimizers.Muon if muon else keras.optimizers.AdamW)
    own, adamw, betas = optimizer.get_config(), "adam_" * muon, (0.9, 0.95, 1e-8)
    assert (own[f"{adamw}beta_1"], own[f"{adamw}beta_2"], own["epsilon"]) == betas
    if muon:
        names = ("momentum", "nesterov", "ns_steps", "rms_rate", "adam_lr_ratio")
        defaults = keras.optimizers.Muon().get_config()
        assert [own[name] for name in names] == [defaults[name] for name in names]


def test_muon_takes_equal_steps_in_all_directions(mae, build_small):
    """Of a matrix inside the blocks: by numpy's singular values. All other weights move as AdamW moves them."""
    rng = np.random.default_rng(0)
    moved = {}
    for muon in (True, False):
        keras.utils.set_random_seed(0)
        model = build_small()
        optimizer = mae["build_optimizer"](model, 0.1, 0.0, 8, 0, 1, muon)
        before = numpy([v.value for v in model.trainable_variables])
        if muon:
            gradients = [rng.standard_normal(v.shape).astype("float32") for v in model.trainable_variables]
        optimizer.apply([ops.convert_to_tensor(g) for g in gradients], model.trainable_variables)
        moved[muon] = [numpy(v.value) - old for v, old in zip(model.trainable_variables, before)]
    matrices = 0
    for variable, gradient, ours, adamw in zip(
        model.trainable_variables, gradients, moved[True], moved[False]
    ):
        inside = "block_" in variable.path and gradient.ndim == 2
        matrices += inside
        if not inside:
            np.testing.assert_allclose(ours, adamw, atol=1e-6, err_msg=variable.path)
            continue
        u, _, v = np.linalg.svd(gradient, full_matrices=False)
        step = (
            -u.T @ ours @ v.T / (0.1 * 0.2 * max(gradient.shape) ** 0.5)
        )  # about 1 on the diagonal, 0 elsewhere
        assert np.diag(step).min() > 0.6 and np.diag(step).max() < 1.25, variable.path
        np.testing.assert_allclose(step, np.diag(np.diag(step)), atol=0.01, err_msg=variable.path)
    assert matrices == 8, (
        "two of attention and two of the MLP, in one block of the encoder and one of the decoder"
    )


def test_no_gradient_is_a_list_of_slices(mae, build_small, images):
    """TensorFlow's gradient of an embedding is one, and Keras' Adam squares its slices one by one instead of their sum."""
    tensorflow = pytest.importorskip("tensorflow")
    classify = notebooks.definitions("regular-classification.ipynb")
    encoder = mae["build_encoder"](16, 4, 3, 16, 1, 2, 2, masked=False)
    classifier = classify["build_classifier"](encoder, 10)
    with tensorflow.GradientTape(persistent=True) as tape:
        model = build_small()
        losses = {
            model: model.compute_loss(y_pred=model(images, training=True)),
            classifier: ops.mean(ops.square(classifier(images, training=True))),
        }
    for model, loss in losses.items():
        gradients = tape.gradient(loss, model.trainable_variables)
        assert len(gradients) > 15 and all(isinstance(g, tensorflow.Tensor) for g in gradients)


@pytest.mark.parametrize("width, mlp_ratio", [(128, 2), (16, 4), (8, 1)])
def test_count_by_hand(mae, width, mlp_ratio):
    """The parameters that one block more adds."""
    encoders = [mae["build_encoder"](16, 4, 3, width, depth, 2, mlp_ratio, masked=True) for depth in (1, 2)]
    added = encoders[1].count_params() - encoders[0].count_params()
    assert mae["block_parameters"](width, mlp_ratio) == added


def test_first_weights(mae):
    """Matrices uniform up to sqrt(6 / (in + out)), as the authors' (Xavier), biases 0, norms 1, the mask token of spread 0.02."""
    keras.utils.set_random_seed(0)
    sizes = (64, 2, 4, 2)  # width, blocks, heads, MLP ratio
    for model in (
        mae["build_encoder"](32, 4, 3, *sizes, masked=True),
        mae["build_decoder"](64, 48, 64, *sizes),
    ):
        for variable in model.trainable_variables:
            values, name = numpy(variable.value), variable.path
            if values.ndim == 1:
                assert (values == name.endswith("gamma")).all(), name
            elif "mask_token" in name:
                assert values.std() == pytest.approx(0.02, rel=0.4), name
            else:
                limit = (6 / sum(values.shape)) ** 0.5
                assert 0.98 * limit < np.abs(values).max() <= limit and abs(values.mean()) < 0.1 * limit, name


# --- crops ---


def coordinates(count, size=16):
    """Images whose channels are row, column and 7: a crop of them tells where it was read."""
    rows, columns = np.mgrid[:size, :size]
    return np.tile(np.stack([rows, columns, np.full_like(rows, 7)], -1).astype("float32"), (count, 1, 1, 1))


def test_crops_keep_values(mae, images):
    crops = numpy(mae["random_resized_crop"](images, 0.3, keras.random.SeedGenerator(0)))
    assert crops.shape == images.shape
    assert crops.min() >= images.min() - 1e-2 and crops.max() <= images.max() + 1e-2
    assert np.allclose(
        numpy(mae["random_resized_crop"](coordinates(50), 0.3, keras.random.SeedGenerator(0)))[..., 2],
        7,
        atol=1e-4,
    )


def test_each_image_and_each_step_gets_its_own_crop(mae, images):
    seed = keras.random.SeedGenerator(0)
    crops = numpy([mae["random_resized_crop"](np.repeat(images[:1], 8, 0), 0.5, seed) for _ in range(2)])
    assert len(np.unique(np.concatenate(crops).reshape(16, -1), axis=0)) == 16


@pytest.mark.parametrize("min_area", [0.3, 0.5, 0.9, 1.0])
def test_crops_cover_at_least_min_area(mae, min_area):
    """Neighbouring pixels in the middle of a crop lie height/16 and width/16 apart in the image."""
    crops = numpy(mae["random_resized_crop"](coordinates(2000), min_area, keras.random.SeedGenerator(0)))
    height, width = crops[:, 8, 8, 0] - crops[:, 7, 8, 0], np.abs(crops[:, 8, 8, 1] - crops[:, 8, 7, 1])
    assert (height * width).min() > min_area - 1e-4 and (height * width).max() < 1 + 1e-4
    assert (width / height).min() > 3 / 4 - 1e-4 and (width / height).max() < 4 / 3 + 1e-4
    if min_area < 1:
        assert (height * width).min() < min_area + 0.1 and (height * width).max() > 0.98
    flipped = (crops[:, 8, 8, 1] < crops[:, 8, 7, 1]).mean()
    assert abs(flipped - 0.5) < 5 * math.sqrt(0.25 / 2000)


def test_crops_of_area_one_are_the_image_or_its_mirror(mae, images):
    """CROP_AREA = 1 crops nothing, as the settings say."""
    crops = numpy(mae["random_resized_crop"](images, 1, keras.random.SeedGenerator(0)))
    for crop, image in zip(crops, images):
        assert min(np.abs(crop - image).max(), np.abs(crop - image[:, ::-1]).max()) < 1e-2


def test_crop_is_bilinear(mae, images, monkeypatch):
    """A given draw (8 of 16 rows from row 6, 8 of 16 columns from column 2, mirrored) against loops."""

    def draw(shape, minval=0, maxval=1, **_):
        return ops.convert_to_tensor(
            np.reshape([0.75, 0.25, 0.9], (3, 1, 1)) if len(shape) == 3 else [0.25 if maxval == 1 else 0.0],
            "float32",
        )

    monkeypatch.setattr(keras.random, "uniform", draw)
    crop = numpy(mae["random_resized_crop"](images[:1], 0.25, keras.random.SeedGenerator(0)))[0]
    for i in range(16):
        for j in range(16):
            row, column = 6 + (i + 0.5) / 2 - 0.5, 2 + (15 - j + 0.5) / 2 - 0.5
            top, left = int(row), int(column)
            down, right = row - top, column - left
            square = images[0, top : top + 2, left : left + 2]
            expected = (square[0] * (1 - down) + square[1] * down).T @ [1 - right, right]
            np.testing.assert_allclose(crop[i, j], expected, atol=1e-3)


# --- batches ---


def epoch_of(batches):
    """All batches of an epoch, one after the other."""
    return np.concatenate([batches[i][0] for i in range(len(batches))])


def test_batches_are_a_new_permutation_each_epoch(mae):
    batches = mae["Batches"]([np.arange(50), np.arange(50) * 2], 8, seed=1, epoch=0)
    epochs = []
    for _ in range(3):
        assert len(batches) == 6
        epochs.append(epoch_of(batches))
        assert all(np.array_equal(2 * batches[i][0], batches[i][1]) for i in range(6))
        batches.on_epoch_end()
    assert all(len(set(epoch)) == 48 for epoch in epochs)
    assert all(
        (a != b).mean() > 0.8
        for a, b in ((epochs[0], epochs[1]), (epochs[1], epochs[2]), (epochs[0], epochs[2]))
    )
    assert np.array_equal(epoch_of(mae["Batches"]([np.arange(50)], 8, seed=1, epoch=0)), epochs[0])
    assert np.array_equal(epoch_of(mae["Batches"]([np.arange(50)], 8, seed=1, epoch=2)), epochs[2]), (
        "a resumed run sees another order"
    )
    assert not np.array_equal(epoch_of(mae["Batches"]([np.arange(50)], 8, seed=2, epoch=0)), epochs[0])


def test_adamw_is_that_of_the_pretraining_notebook(mae, build_small):
    """Without Muon both notebooks' optimisers are one: settings, schedule, and what does not decay."""
    classify = notebooks.definitions("regular-classification.ipynb")
    builders, found = (mae["build_optimizer"], classify["build_classifier_optimizer"]), []
    for build in builders:
        optimizer = build(model := build_small(), 0.3, 0.05, 8, 2, 25)
        decays = [optimizer._use_weight_decay(v) for v in model.trainable_variables]
        found.append((optimizer.get_config() | {"name": ""}, decays))
    assert found[0] == found[1] and 0 < sum(found[0][1]) < len(found[0][1])
