"""The tries of ablations/: each changes what it names and nothing else."""

import csv
import json
import shutil
import subprocess
import sys

import ablate
import bench
import keras
import notebooks
import numpy as np
import pytest
import variants
from conftest import ROOT
from keras import ops

SMALL = {"ENCODER_WIDTH": 16, "ENCODER_LAYERS": 2, "DECODER_WIDTH": 8, "DECODER_LAYERS": 2, "BATCH_SIZE": 32}
SMALL |= {"EPOCHS": 2, "WARMUP_EPOCHS": 1, "TRAIN_IMAGES": 160, "VALIDATION_IMAGES": 96}
DEFAULTS = notebooks.parameters(notebooks.PRETRAINING) | ablate.TRY | SMALL


@pytest.fixture(autouse=True)
def images_are_read_once(monkeypatch, cifar10):
    """Each try reads CIFAR-10 anew; here all take the same arrays."""
    definitions = notebooks.definitions

    def define(notebook, *rest):
        n = definitions(notebook, *rest)
        n["load_cifar10"] = lambda *_: cifar10
        return n

    monkeypatch.setattr(notebooks, "definitions", define)


def randomise(model):
    """Random weights in place of zeros and equal ones, which would hide mistakes."""
    rng = np.random.default_rng(0)
    model.set_weights([w + 0.1 * rng.standard_normal(w.shape).astype(w.dtype) for w in model.get_weights()])


@pytest.mark.parametrize("name", variants.VARIANTS)
def test_every_try_can_be_run(name):
    """Its settings are parameters that the commands accept, and its model's gradients are finite and reach every weight."""
    *_, own, change = variants.VARIANTS[name]
    whole = notebooks.parameters(notebooks.PRETRAINING) | ablate.TRY | own
    assert set(whole) == set(notebooks.parameters(notebooks.PRETRAINING))
    assert notebooks.problem({key.lower(): value for key, value in whole.items()}) is None
    _, data, model, _ = ablate.prepare(DEFAULTS | own, change)
    tf = pytest.importorskip("tensorflow")
    with tf.GradientTape() as tape:
        outputs = model(ops.convert_to_tensor(data[0][:8], "float32"), training=True)
        loss = model.compute_loss(y_pred=outputs)
    gradients = tape.gradient(loss, [v.value for v in model.trainable_variables])
    for variable, gradient in zip(model.trainable_variables, gradients):
        assert isinstance(gradient, tf.Tensor), f"{variable.path} gets no dense gradient"
        assert np.isfinite(gradient).all(), variable.path


def test_predicting_all_hidden_patches_is_the_papers_decoder():
    """Tokens in shuffled order with positions that follow them: the same loss as in image order, for equal weights and masks."""
    _, data, ours, _ = ablate.prepare(DEFAULTS, variants.part(1))
    _, _, papers, _ = ablate.prepare(DEFAULTS)
    randomise(papers)
    ours.set_weights(papers.get_weights())
    images = ops.convert_to_tensor(data[2][:16], "float32")
    losses = [float(model.compute_loss(y_pred=model(images))) for model in (ours, papers)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-6)


@pytest.mark.parametrize(
    "name, asked", [("part-50", 24), ("part-25", 12), ("cross-100", 48), ("cross-50", 24)]
)
def test_share_of_hidden_patches(name, asked):
    """In training this many are predicted, others than the visible ones; on held-out images all 48 are."""
    _, data, model, _ = ablate.prepare(DEFAULTS, variants.VARIANTS[name].change)
    images = ops.convert_to_tensor(data[0][:8], "float32")
    assert model(images, training=True)["predictions"].shape == (8, asked, 48)
    assert model(images)["predictions"].shape == (8, 48, 48)
    noise = np.random.default_rng(0).random((8, 64))
    keep, predict = variants.hidden_ids(noise, 16, asked)
    assert all(len({*map(int, a), *map(int, b)}) == 16 + asked for a, b in zip(keep, predict))


def test_cross_attention_predicts_each_patch_alone():
    """What it says of a hidden patch does not depend on which others it is asked for; it does on the visible ones."""
    _, _, model, _ = ablate.prepare(DEFAULTS, variants.cross(1))
    randomise(model.decoder)
    latents = np.random.default_rng(0).standard_normal((2, 16, 32)).astype("float32")
    keep, predict = np.tile(np.arange(16), (2, 1)), np.tile(np.arange(16, 64), (2, 1))
    everything = np.array(model.decoder([latents, keep, predict]))
    some = np.array(model.decoder([latents, keep, predict[:, 5:9]]))
    np.testing.assert_allclose(some, everything[:, 5:9], atol=1e-5)
    other = np.array(model.decoder([latents[:, ::-1] * 0.5, keep, predict]))
    assert np.abs(other - everything).max() > 1e-3


def test_fused_levels_start_as_their_mean():
    _, data, model, encoder = ablate.prepare(DEFAULTS | variants.PAPER, variants.fuse)
    fusion = model.encoder.get_layer("fusion")
    tensors = [np.full((1, 2, 3), float(i), "float32") for i in (1, 2)]
    np.testing.assert_allclose(fusion([ops.convert_to_tensor(t) for t in tensors]), np.full((1, 2, 3), 1.5))
    assert fusion.scores.shape == (2,) and encoder.count_params() < model.encoder.count_params()
    images, keep = data[0][:4].astype("float32"), np.tile(np.arange(16, dtype="int32"), (4, 1))
    first = np.array(model.encoder([images, keep]))
    model.encoder.get_layer("level_1_embedding").kernel.assign(
        0 * model.encoder.get_layer("level_1_embedding").kernel
    )
    assert np.abs(np.array(model.encoder([images, keep])) - first).max() > 1e-3, (
        "the first block does not count"
    )


def test_separate_projections_compute_the_same():
    """With the columns of the one matrix in three, the loss is the same; Muon then has three square matrices."""
    _, data, one, _ = ablate.prepare(DEFAULTS)
    _, _, three, _ = ablate.prepare(DEFAULTS, variants.separate_projections)
    randomise(one)
    for source, copy in ((one.encoder, three.encoder), (one.decoder, three.decoder)):
        for layer in (layer for layer in source.layers if layer.weights):
            if layer.name.endswith("_query_key_value"):
                parts = zip(*(np.split(weight, 3, axis=-1) for weight in layer.get_weights()))
                for part, weights in zip(("query", "key", "value"), parts):
                    copy.get_layer(layer.name.replace("query_key_value", part)).set_weights(weights)
            else:
                copy.get_layer(layer.name).set_weights(layer.get_weights())
    images = ops.convert_to_tensor(data[2][:16], "float32")
    losses = [float(model.compute_loss(y_pred=model(images))) for model in (one, three)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-6)


def test_oriented_gradients_are_those_of_scikit_image(cifar10):
    """Each channel, cells away from the border: the histograms of skimage.feature.hog before its blocks."""
    feature = pytest.importorskip("skimage.feature")
    n = notebooks.definitions(notebooks.PRETRAINING)
    variants.oriented_gradients(n)
    images = cifar10[0][:8].astype("float32") + np.linspace(0, 1, 32 * 32 * 3).reshape(
        32, 32, 3
    )  # no two equal angles
    ours = np.array(n["patch_targets"](images, 4, True)[0]).reshape(8, 8, 8, 3, 9)
    options = {"orientations": 9, "pixels_per_cell": (4, 4), "cells_per_block": (1, 1), "block_norm": "L2"}
    for channel in range(3):
        theirs = np.stack([feature.hog(x[..., channel], **options, feature_vector=False) for x in images])[
            ..., 0, 0, :
        ]
        np.testing.assert_allclose(
            ours[:, 1:-1, 1:-1, channel], 3 * theirs[:, 1:-1, 1:-1], atol=2e-2, err_msg=str(channel)
        )


def test_teacher_is_the_averaged_encoder():
    """Before the first step its weights are the encoder's; a step later the mean, and its own share of them is not trained."""
    _, data, model, encoder = ablate.prepare(DEFAULTS, variants.teacher(0.75))
    trained = {id(variable) for variable in model.trainable_variables}
    assert not trained & {id(weight) for weight in model.teacher.weights}
    images = ops.convert_to_tensor(data[0][:8], "float32")
    targets = np.array(model(images)["targets"])
    assert targets.shape == (8, 64, 16)
    np.testing.assert_allclose(targets.mean(axis=(0, 1)), 0, atol=1e-4)
    np.testing.assert_allclose(targets.std(axis=(0, 1)), 1, atol=1e-3)
    before = encoder.get_weights()
    randomise(encoder)
    assert np.array_equal(np.array(model(images)["targets"]), targets), "the student's weights are the target"
    model(images, training=True)
    for old, new, average in zip(before, encoder.get_weights(), model.teacher.get_weights(), strict=True):
        np.testing.assert_allclose(average, 0.75 * old + 0.25 * new, atol=1e-6)
    assert np.abs(np.array(model(images)["targets"]) - targets).max() > 1e-3


def test_low_variance_target(cifar10):
    """What is left has a quarter of the variance at most, and almost nothing along the first principal component."""
    n = notebooks.definitions(notebooks.PRETRAINING)
    plain = n["patch_targets"]
    variants.low_variance(0.25)(n)
    images = cifar10[0][:2000]
    raw, left = (np.array(f(images, 4, False)[0]).reshape(2000, -1) for f in (plain, n["patch_targets"]))
    assert 0.2 < left.var(axis=0).sum() / raw.var(axis=0).sum() < 0.26
    direction = np.linalg.eigh(np.cov(raw, rowvar=False))[1][:, -1]
    assert np.var(left @ direction) < 0.01 * np.var(raw @ direction)


def test_uniformity_term():
    """It is the mean squared cosine between images' mean tokens: computed by hand."""
    _, data, model, _ = ablate.prepare(DEFAULTS, variants.uniform(0.5))
    plain = notebooks.definitions(notebooks.PRETRAINING)["MaskedAutoencoder"].compute_loss
    outputs = model(ops.convert_to_tensor(data[0][:8], "float32"))
    z = np.array(model.latents)[..., -16:].mean(axis=1)  # of the last block
    cosine = [a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a in z for b in z]
    without = float(plain(model, y_pred=outputs))
    assert float(model.compute_loss(y_pred=outputs)) - without == pytest.approx(
        0.5 * np.mean(np.square(cosine)), rel=1e-4
    )
    assert float(model.compute_loss(y_pred=outputs, training=False)) == without


def test_class_token_is_left_out_of_the_end():
    n, data, _, encoder = ablate.prepare(DEFAULTS, variants.class_token)
    whole = ablate.build_encoder(n, DEFAULTS, masked=False)
    whole.set_weights(encoder.get_weights())
    assert whole.output.shape == (None, 64, 16) and whole.get_layer("block_1").output.shape == (None, 65, 16)
    token, images = whole.get_layer("class_token").kernel, data[0][:4].astype("float32")
    before = np.array(whole(images))
    tokens = np.array(keras.Model(whole.input, whole.get_layer("encoder_norm").output)(images))
    first = np.array(keras.Model(whole.input, whole.get_layer("block_1_norm1").input)(images))
    assert np.array_equal(before, tokens[:, 1:]) and np.allclose(first[:, 0], ops.convert_to_numpy(token))
    token.assign(np.random.default_rng(0).standard_normal(token.shape))
    assert np.abs(np.array(whole(images)) - before).max() > 1e-3, "no token listens to it"


def test_learned_positions_tell_patches_apart():
    """On an image of one colour, where nothing else does."""
    n, _, _, encoder = ablate.prepare(DEFAULTS, variants.learned_positions)
    randomise(encoder)
    whole = ablate.build_encoder(n, DEFAULTS, masked=False)
    whole.set_weights(encoder.get_weights())
    grey = np.full((1, 32, 32, 3), 90, "float32")
    assert len(np.unique(np.array(whole(grey))[0].round(4), axis=0)) == 64
    kernel = whole.get_layer("patch_embedding").get_weights()[0]
    assert kernel.shape == (48 + 64, 16), "a row for each number of a patch, and one for each position"


def test_predecessors_target_is_a_pixel_and_so_is_what_is_predicted():
    _, data, model, _ = ablate.prepare(DEFAULTS, variants.raw_sigmoid)
    kernel, bias = model.decoder.get_layer("pixels").get_weights()
    model.decoder.get_layer("pixels").set_weights([1000 * kernel, bias])
    outputs = model(ops.convert_to_tensor(data[0][:8], "float32"))
    predictions, targets = (np.array(outputs[name]) for name in ("predictions", "targets"))
    assert predictions.min() < 1e-3 and predictions.max() > 1 - 1e-3
    assert (predictions >= 0).all() and (predictions <= 1).all()
    np.testing.assert_allclose(targets.sum(axis=(1, 2)), data[0][:8].sum(axis=(1, 2, 3)) / 255, rtol=1e-4)


def test_a_part_is_predicted_of_the_crop_that_the_encoder_sees():
    n, data, model, _ = ablate.prepare(DEFAULTS, variants.part(0.5))
    seen, encoder = [], model.encoder
    model.encoder = lambda inputs: seen.append(inputs[0]) or encoder(inputs)
    targets = np.array(model(ops.convert_to_tensor(data[0][:4], "float32"), training=True)["targets"])
    patches = np.array(n["patch_targets"](seen[0], 4, True)[0])
    for some, of in zip(targets, patches):
        distances = np.abs(some[:, None] - of[None]).max(axis=-1)  # (predicted, patches)
        assert (distances.min(axis=1) < 1e-3).all()


def test_dense_decoder_has_the_predecessors_fault():
    """What it predicts depends on the order in which the visible patches came; the paper's decoder does not mind."""
    rng = np.random.default_rng(0)
    noise = rng.random((2, 64))
    latents = rng.standard_normal((2, 16, 32)).astype("float32")
    swap = np.array([1, 0, *range(2, 16)])
    for change in (None, variants.dense_decoder):
        n, _, model, _ = ablate.prepare(DEFAULTS, change)
        randomise(model.decoder)
        _, ids_restore, _ = n["random_masking"](noise, 16)
        ids_restore = np.array(ids_restore)
        moved = np.where(ids_restore == 0, 1, np.where(ids_restore == 1, 0, ids_restore))
        before = np.array(model.decoder([latents, ids_restore]))
        after = np.array(model.decoder([latents[:, swap], moved]))
        assert (np.abs(after - before).max() > 1e-3) == (change is not None)


def test_wide_heads_are_those_of_keras():
    """Like MultiHeadAttention with key_dim as wide as the token, for equal weights."""
    n = notebooks.definitions(notebooks.PRETRAINING)
    variants.wide_heads(n)
    inputs = keras.Input((5, 8))
    ours = keras.Model(inputs, n["attention"](inputs, 2, "a"))
    theirs = keras.layers.MultiHeadAttention(2, 8)
    x = np.random.default_rng(0).standard_normal((3, 5, 8)).astype("float32")
    theirs(x, x)
    randomise(ours)
    (kernel, bias), (out, out_bias) = (
        ours.get_layer(f"a_{name}").get_weights() for name in ("query_key_value", "output")
    )
    kernels, biases = kernel.reshape(8, 3, 2, 8), bias.reshape(3, 2, 8)
    pairs = [(kernels[:, i], biases[i]) for i in range(3)]  # query, key, value
    theirs.query_dense.set_weights(pairs[0])
    theirs.key_dense.set_weights(pairs[1])
    theirs.value_dense.set_weights(pairs[2])
    theirs.output_dense.set_weights([out.reshape(2, 8, 8), out_bias])
    np.testing.assert_allclose(np.array(ours(x)), np.array(theirs(x, x)), atol=1e-4)


def test_a_try_from_end_to_end(monkeypatch, tmp_path, capsys, one_sentence):
    """A row with everything the page needs; the same command again leaves it alone, and other settings are refused."""
    name, folder = "ci-paper", ROOT / "runs" / "ablation-ci-paper-seed0"
    shutil.rmtree(folder, ignore_errors=True)
    monkeypatch.setattr(ablate, "TABLE", tmp_path / "ablations.csv")
    monkeypatch.setattr(ablate, "UNTRAINED", f"{folder.name}/untrained.json")
    monkeypatch.setattr(ablate, "TRY", ablate.TRY | SMALL)
    monkeypatch.setitem(variants.VARIANTS, name, variants.Try("factor", "value", variants.PAPER))
    try:
        ablate.main(name)
        (row,) = csv.DictReader((tmp_path / "ablations.csv").open())
        assert (row["name"], row["factor"], row["seed"], row["epochs"]) == (name, "factor", "0", "2")
        for test in ("probe", "blocks", "neighbours"):
            assert 0 <= float(row[test]) <= 100 and 0 <= float(row[f"untrained_{test}"]) <= 100
        n, data, _, encoder = ablate.prepare(DEFAULTS | variants.PAPER | {"SEED": 0})
        for test, score in ablate.measure(n, encoder, data, DEFAULTS | variants.PAPER).items():
            assert float(row[f"untrained_{test}"]) == pytest.approx(score, abs=1.1), (
                "one answer in 96 may be another"
            )
        assert any(row[test] != row[f"untrained_{test}"] for test in ("probe", "blocks", "neighbours"))
        assert float(row["validation_loss"]) > 0 and row["backend"].startswith("tensorflow 2.")
        ablate.main(name, "SEED=0")
        assert "already" in capsys.readouterr().out
        (tmp_path / "ablations.csv").rename(tmp_path / "before.csv")
        ablate.main(name)
        known = notebooks.read(ROOT / "runs" / ablate.UNTRAINED)
        assert len(known) == 1, "the same untrained encoder, made again in this process, is measured once"
        assert len(list(csv.DictReader((tmp_path / "ablations.csv").open()))) == 1
        (tmp_path / "ablations.csv").unlink()
        monkeypatch.setattr(ablate, "TRY", ablate.TRY | {"EPOCHS": 3})
        with pytest.raises(SystemExit) as error:
            ablate.main(name)
        one_sentence(str(error.value))
        assert not (tmp_path / "ablations.csv").exists()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def test_a_variant_is_trained_and_exported(monkeypatch, one_sentence):
    """What is exported is what was trained, and the results are its: a probe of the file by hand. Given again, it keeps its files."""
    name, folder = "ci-hog", ROOT / "runs" / "ci-hog"
    shutil.rmtree(folder, ignore_errors=True)
    words = [f"{key}={value}" for key, value in (SMALL | {"VALIDATION_IMAGES": 0, "SEED": 3}).items()]
    monkeypatch.setitem(
        variants.VARIANTS, name, variants.Try("factor", "value", {}, variants.oriented_gradients)
    )
    try:
        ablate.main("variant", name, *words)
        card, settings, results = (
            notebooks.read(folder / f"{file}.json") for file in ("card", "settings", "results")
        )
        assert card["settings"] == settings and (settings["variant"], settings["seed"]) == (name, 3)
        assert card["epochs"] == 2 and card["data"].startswith("CIFAR-10, 160 training images without")
        assert "decoder" not in card["what"] and card["sha256"].keys() == {"encoder.keras"}
        trained = {key.upper(): value for key, value in settings.items()}
        n, (x, y, _, _), model, encoder = ablate.prepare(trained, variants.oriented_gradients)
        fresh = encoder.get_weights()
        optimizer = n["build_optimizer"](model, 1, 0.05, 2, 1, 5, trained["MUON"])
        model.compile(optimizer)
        model.load_weights(folder / "checkpoint.weights.h5")
        exported = keras.saving.load_model(folder / "encoder.keras")
        assert all(map(np.array_equal, exported.get_weights(), encoder.get_weights()))
        x_test, y_test = n["load_cifar10"](ROOT / "data")[2:]
        for state, weights in (("linear_probe", exported.get_weights()), ("untrained", fresh)):
            exported.set_weights(weights)
            known, asked = (exported.predict(images, verbose=0).mean(axis=1) for images in (x, x_test))
            right = n["linear_probe"](known, y, asked).argmax(axis=1) == y_test
            assert results[state] == pytest.approx(100 * right.mean(), abs=0.1)
        assert abs(results["linear_probe"] - results["untrained"]) > 0.2, "too alike to tell them apart"
        before = {path: path.read_bytes() for path in folder.iterdir()}
        ablate.main("variant", name, *words)
        assert {path: path.read_bytes() for path in folder.iterdir()} == before
        for wrong in ("EPOCHS=3", "PATCH_SIZE=5", "VALIDATION_IMAGES=32"):
            with pytest.raises(SystemExit) as error:
                ablate.main("variant", name, *words, wrong)
            one_sentence(str(error.value))
            assert wrong.split("=")[0].lower() in str(error.value).lower()
        assert {path: path.read_bytes() for path in folder.iterdir()} == before
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def test_a_try_that_was_cut_off_goes_on(tmp_path):
    """One epoch, then a new process's model and the second one: as if it had run through."""

    settings = DEFAULTS | {"ENCODER_LAYERS": 1, "DECODER_LAYERS": 1, "MUON": False}

    def train(folder, cut_off=False):
        folder.mkdir(exist_ok=True)
        n, data, model, encoder = ablate.prepare(settings)
        if cut_off:
            save = n["save_checkpoint"]

            def save_and_stop(model, path):
                save(model, path)
                if (folder / "history.csv").exists():
                    raise KeyboardInterrupt

            n["save_checkpoint"] = save_and_stop
        history = ablate.train(n, model, data[0], data[2], settings, folder)
        return history, encoder.get_weights()

    whole = train(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "cut", cut_off=True)
    cut = train(tmp_path / "cut")
    assert len(cut[0]) == len(whole[0]) == 2
    assert all(np.array_equal(a, b) for a, b in zip(cut[1], whole[1]))


@pytest.mark.parametrize(
    "words",
    [(), ("variant",), ("variant", "base", "hog"), ("nonsense",), ("base", "SEED=x"), ("base", "SEED=-1")],
)
def test_wrong_words_are_one_sentence(words, one_sentence):
    with pytest.raises(SystemExit) as error:
        ablate.main(*words)
    one_sentence(str(error.value))


# --- speed ---


@pytest.mark.parametrize("name", bench.LEFT_OUT)
def test_what_is_left_out_is_gone(name):
    """Each part of the split of a step, and only this part."""
    n, data, model, encoder = ablate.prepare(DEFAULTS, bench.LEFT_OUT[name])
    norms = [layer for layer in encoder.layers if "norm" in layer.name and layer.weights]
    activations = {getattr(layer, "activation", None) for layer in encoder.layers} - {None}
    assert bool(norms) == (name != "without norms")
    assert (keras.activations.gelu in activations) == (name != "without GELU")
    images, keep = data[0][:2].astype("float32"), np.tile(np.arange(16, dtype="int32"), (2, 1))
    before = np.array(encoder([images, keep]))
    images[:, :4, :4] = 255 - images[:, :4, :4]  # the first patch
    moved = np.abs(np.array(encoder([images, keep])) - before).max(axis=(0, 2)) > 1e-6
    assert moved[0] and moved[1:].any() == (name != "without attention")
    seed = keras.random.SeedGenerator(0)
    assert np.array_equal(n["random_resized_crop"](images, 0.5, seed), images) == (name == "without crops")
    optimizer = n["build_optimizer"](model, 1e-3, 0.05, 2, 1, 1)
    assert isinstance(optimizer, keras.optimizers.SGD) == (name == "without AdamW")


def test_bfloat16_is_mixed():
    """Layers compute in bfloat16, weights stay float32, and the loss is near that of float32."""
    plain = ablate.prepare(DEFAULTS)
    try:
        _, (images, *_), model, encoder = ablate.prepare(DEFAULTS, bench.CHANGES["bfloat16"])
        keep = np.tile(np.arange(16, dtype="int32"), (2, 1))
        assert encoder([images[:2], keep]).dtype == "bfloat16"
        assert {weight.dtype for weight in model.trainable_weights} == {"float32"}
        losses = []
        for other in (plain[2], model):
            other.set_weights(plain[2].get_weights())
            losses.append(other.compute_loss(y_pred=other(images[:64].astype("float32"))))
        assert losses[1].dtype == "float32" and 0 < abs(losses[0] - losses[1]) < 0.01 * losses[0]
    finally:
        keras.config.set_dtype_policy("float32")


def test_a_misspelt_contender_is_not_timed():
    with pytest.raises(KeyError):
        bench.ours("hogg")


def test_contenders_take_turns(monkeypatch, tmp_path):
    """Stand-ins that write down when they are asked: round by round, and ratios are those of the same round."""
    diary = tmp_path / "diary"
    code = (
        "import json, sys; name, speeds = sys.argv[1], sys.argv[2:]; say = lambda **facts: print(json.dumps(facts), flush=True);"
        "say(first_step=1.04, versions={});"
        "[(open(sys.argv[0], 'a').write(name), say(images_per_second=float(s), megabytes=7)) for s, _ in zip(speeds, sys.stdin)]"
    )
    monkeypatch.setattr(bench, "ROUNDS", 3)
    code = code.replace("sys.argv[0]", repr(str(diary)))

    def begin(name, *speeds):
        command = [sys.executable, "-c", code, name, *speeds]
        return subprocess.Popen(command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    monkeypatch.setattr(bench, "begin", begin)
    rows = bench.compare({"a": ("a", "100", "50", "100"), "b": ("b", "200", "100", "100")})
    assert diary.read_text() == "ababab"
    assert rows["a"]["ratio"] == 1 and rows["b"]["ratio"] == 2 and rows["b"]["images_per_second"] == 100
    assert rows["b"]["all rounds"] == [200, 100, 100] and rows["b"]["seconds to the first step"] == 1.0


def test_a_contender_trains(monkeypatch, capsys):
    """A worker as the bench starts it, here in this process: it says how fast it was, in numbers above zero."""
    monkeypatch.setattr(bench, "STEPS", 2)
    monkeypatch.setattr(sys, "stdin", ["train"])
    bench.worker("ours", "paper-part-50", "0")
    facts = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    assert facts[0]["first_step"] > 0 and facts[0]["versions"]["tensorflow"]
    assert facts[1]["images_per_second"] > 0 and (facts[1]["megabytes"] or 101) > 100


def test_work_of_a_step():
    """The matrix products of a model with one block each, counted by hand: two for a multiply-add, and three passes."""
    small = {"PATCH_SIZE": 16, "MASK_RATIO": 0.5, "MLP_RATIO": 2, "ENCODER_WIDTH": 8, "DECODER_WIDTH": 4}
    small |= {"ENCODER_LAYERS": 1, "DECODER_LAYERS": 1}  # 4 patches of 768 numbers, 2 of them visible
    encoder = 2 * 768 * 8 + 2 * (3 * 8 * 8 + 8 * 8 + 2 * 8 * 16) + 2 * 2 * 2 * 8
    decoder = 2 * 8 * 4 + 4 * (3 * 4 * 4 + 4 * 4 + 2 * 4 * 8) + 2 * 4 * 4 * 4 + 4 * 4 * 768
    assert bench.work(small) == round(6 * (encoder + decoder) / 1e9, 4)


def test_a_contender_that_fails_is_named(one_sentence):
    process = subprocess.Popen(
        [sys.executable, "-c", "1", "ours", "x", "0"], stdout=subprocess.PIPE, text=True
    )
    with pytest.raises(SystemExit) as error:
        bench.hear(process)
    assert "ours x" in str(error.value)
    one_sentence(str(error.value))
