"""Training with few labels: which images keep theirs, how two are blended, what learns, and how settings are chosen."""

import csv

import few_labels
import keras
import notebooks
import numpy as np
import pytest
import readme
from conftest import ROOT
from keras import ops


@pytest.fixture(scope="module")
def classify():
    """Functions and classes of regular-classification.ipynb, by name."""
    return notebooks.definitions(notebooks.CLASSIFICATION)


@pytest.mark.parametrize("draw", few_labels.DRAWS)
def test_labelled_images_are_those_in_the_repository(classify, cifar10, draw):
    """Balanced, none twice, the classes in turn, and a smaller draw is the beginning of a larger one."""
    labels = cifar10[1]
    chosen = classify["choose_labelled"](labels, 500, draw)
    assert chosen.tolist() == [
        int(line) for line in (ROOT / f"logs/labelled/draw-{draw}.txt").read_text().split()
    ]
    assert len(set(chosen)) == 5000 and np.array_equal(labels[chosen], np.tile(np.arange(10), 500))
    assert np.array_equal(classify["choose_labelled"](labels, 50, draw), chosen[:500])
    other = classify["choose_labelled"](labels, 500, draw + 1)
    assert len(set(chosen) & set(other)) < 1000, "two draws share far more images than chance lets them (500)"


def test_labels_are_blended_as_the_pixels_are(classify):
    """Image i is as bright as i everywhere, so the mean brightness of a blend says how much of each image is in it."""
    brightness = np.arange(6) * 10.0
    images = np.ones((6, 16, 16, 3)) * brightness[:, None, None, None]
    kinds = set()
    for seed in range(40):
        blended, shares = classify["blend"](images, np.eye(6), np.random.default_rng(seed))
        np.testing.assert_allclose(blended.mean(axis=(1, 2, 3)), shares @ brightness, rtol=1e-5)
        np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-6)
        assert blended.shape == images.shape and (shares > 0).sum() <= 12
        values = [len(np.unique(image.round(3))) for image in blended]
        kinds |= {"one brightness" if max(values) == 1 else "a square of another"}
        assert max(values) <= 2
    assert kinds == {"one brightness", "a square of another"}, "mixup and CutMix should both occur"


def test_batches_are_alike_when_a_run_goes_on(classify):
    images = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3), "uint8")
    labels = np.arange(40, dtype="int32") % 10

    def epoch(number, blended=True, seed=1, crop_area=0.5):
        batches = classify["LabelledBatches"]([images, labels], 8, seed, number, crop_area, blended)
        return [batches[i] for i in range(len(batches))]

    def same(one, other):
        return all(np.array_equal(a, b) for pair in zip(one, other) for a, b in zip(*pair))

    through = classify["LabelledBatches"]([images, labels], 8, 1, 0, 0.5, True)
    through.on_epoch_end()  # the second epoch of a run that was not cut off
    assert same([through[i] for i in range(5)], epoch(1)) and same(epoch(1), epoch(1))
    assert not same(epoch(0), epoch(1)) and not same(epoch(0), epoch(0, seed=2))
    crops, cropped = epoch(0, blended=False), np.concatenate([x for x, _ in epoch(0, blended=False)])
    assert (
        len(np.unique(cropped.reshape(40, -1), axis=0)) == 40 and not np.isin(cropped, np.arange(256)).all()
    )
    assert sorted(np.argmax(np.concatenate([y for _, y in crops]), axis=1)) == sorted(labels)


@pytest.mark.parametrize("area", [0.2, 1.0])
def test_labels_fit_the_cropped_images(classify, area):
    """Images of a class are equally bright everywhere, which cropping keeps: so brightness tells what the shares must be."""
    labels = np.arange(80, dtype="int32") % 10
    images = np.ones((80, 8, 8, 3), "uint8") * (24 * labels).astype("uint8")[:, None, None, None]
    batches = classify["LabelledBatches"]([images, labels], 8, 0, 0, area, True)
    for x, shares in (batches[i] for i in range(len(batches))):
        np.testing.assert_allclose(
            x.mean(axis=(1, 2, 3)), shares @ (24 * np.arange(10)), rtol=1e-4, atol=1e-3
        )


def test_held_out_labels_are_not_learned_from():
    """The cell that draws: what is held out and what is learned from are apart, and together they are the draw."""
    (cell,) = (
        s for s in notebooks.code_cells(notebooks.CLASSIFICATION) if "x_fit, y_fit" in s and "def " in s
    )
    labels = np.arange(200, dtype="int32") % 10
    space = {
        "np": np,
        "y_train": labels,
        "x_train": np.arange(200),
        "x_test": labels,
        "class_names": "0123456789",
    }
    space |= {"LABELS_PER_CLASS": 6, "DRAW": 1, "VALIDATION_IMAGES": 20}
    exec(cell, space)
    drawn = space["choose_labelled"](labels, 6, 1)
    assert space["x_fit"].tolist() == drawn[:40].tolist() and space["x_valid"].tolist() == drawn[40:].tolist()
    assert np.array_equal(space["y_fit"], labels[drawn[:40]]) and len(set(drawn)) == 60
    assert np.array_equal(space["y_valid"], labels[drawn[40:]])


@pytest.fixture
def train_by_cells(mae, classify, tmp_path, monkeypatch):
    """A function that runs the cells which train, with settings that are not the defaults; returns what they define.

    With a callback in `stop`, they are run as far as that lets them, and then once more.
    """
    loggers, fit = (
        source
        for source in notebooks.code_cells(notebooks.CLASSIFICATION)
        if "callbacks = [" in source or "model.fit(" in source
    )
    monkeypatch.chdir(tmp_path)

    def run(name, stop=None):
        (tmp_path / name).mkdir()
        space = dict(classify) | {"run_folder": tmp_path / name, "RUN": name, "WANDB": False, "classes": 10}
        space |= {"x_valid": None, "y_valid": None, "VALIDATION_IMAGES": 0} | CELLS
        keras.utils.set_random_seed(1)
        space["model"] = classify["build_classifier"](
            mae["build_encoder"](16, 8, 3, 8, 1, 2, 2, masked=False), 10
        )
        exec(loggers, space)
        if stop:
            space["callbacks"].insert(0, stop)
            with pytest.raises(KeyboardInterrupt):
                exec(fit, space)
            assert int(space["optimizer"].iterations) == 6, "in the middle of the second epoch"
        exec(fit, space)
        return space

    return run


CELLS = {
    "SEED": 5,
    "BATCH_SIZE": 10,
    "EPOCHS": 3,
    "WARMUP_EPOCHS": 1,
    "LEARNING_RATE": 0.2,
    "WEIGHT_DECAY": 0.3,
}
CELLS |= {"CROP_AREA": 0.3, "BLEND": False, "LABEL_SMOOTHING": 0.3, "MUON": True}
CELLS |= {
    "x_fit": np.random.default_rng(0).integers(0, 256, (40, 16, 16, 3), "uint8"),
    "y_fit": np.arange(40) % 10,
}


def assert_same_weights(model, other):
    """Up to rounding: a key's bias has no gradient but that, and AdamW makes steps of it."""
    for ours, theirs in zip(model.weights, other.weights, strict=True):
        np.testing.assert_allclose(
            ops.convert_to_numpy(ours), theirs, rtol=1e-3, atol=3e-4, err_msg=ours.path
        )


def test_the_cells_train_as_their_settings_say(mae, classify, train_by_cells):
    """Beside a loop over batches, with the rate worked out by hand."""
    trained = train_by_cells("cells")["model"]
    keras.utils.set_random_seed(1)
    model = classify["build_classifier"](mae["build_encoder"](16, 8, 3, 8, 1, 2, 2, masked=False), 10)
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.3)
    model.compile(classify["build_classifier_optimizer"](model, 0.2 * 10 / 256, 0.3, 3, 1, 4, True), loss)
    for epoch in range(3):
        batches = classify["LabelledBatches"]([CELLS["x_fit"], CELLS["y_fit"]], 10, 5, epoch + 1, 0.3, False)
        for i in range(4):
            model.train_on_batch(*batches[i])
    assert_same_weights(model, trained)


class StopButton(keras.callbacks.Callback):
    """Pressed once, in the middle of the second epoch."""

    def on_train_batch_end(self, batch, logs=None):
        if int(self.model.optimizer.iterations) == 6 and not hasattr(self, "pressed"):
            self.pressed = True
            raise KeyboardInterrupt


def test_a_classifier_goes_on_as_if_it_had_not_been_stopped(train_by_cells):
    whole, stopped = train_by_cells("whole"), train_by_cells("stopped", StopButton())
    assert stopped["finished"] == 1
    assert_same_weights(whole["model"], stopped["model"])
    assert whole["history"]["loss"].tolist() == pytest.approx(stopped["history"]["loss"].tolist(), rel=1e-4)


@pytest.mark.parametrize("tuned, still", [(-1, 0), (0, 3), (1, 2), (3, 0)])
def test_only_the_last_blocks_learn(mae, classify, images, tuned, still):
    """A step of training moves the last blocks, the norm after them and the linear layer. `still`: blocks that it leaves."""
    encoder = mae["build_encoder"](16, 4, 3, 16, 3, 2, 2, masked=False)
    classify["train_last_blocks"](encoder, tuned)
    model = classify["build_classifier"](encoder, 10)
    head = model.get_layer("head")
    head.set_weights([np.random.default_rng(0).normal(size=w.shape) for w in head.get_weights()])
    before = {w.path: ops.convert_to_numpy(w) for w in model.weights}
    model.compile(keras.optimizers.SGD(0.1), keras.losses.CategoricalCrossentropy(from_logits=True))
    model.train_on_batch(images, np.eye(10)[:8])
    moved = {w.path for w in model.weights if not np.array_equal(before[w.path], ops.convert_to_numpy(w))}
    for block in (1, 2, 3):
        assert any(f"block_{block}" in path for path in moved) == (block > still)
    assert any("encoder_norm" in path for path in moved) == (tuned != 0)
    assert any("embedding" in path for path in moved) == (tuned == -1)
    assert any("head" in path for path in moved)


@pytest.mark.parametrize("number", [-2, 4])
def test_more_blocks_than_there_are(mae, classify, number, one_sentence):
    encoder = mae["build_encoder"](16, 4, 3, 16, 3, 2, 2, masked=False)
    with pytest.raises(AssertionError) as error:
        classify["train_last_blocks"](encoder, number)
    one_sentence(str(error.value))
    assert "TUNED_BLOCKS" in str(error.value) and "3 blocks" in str(error.value)


def test_rate_is_chosen_without_the_test_set(monkeypatch, tmp_path, capsys):
    """By the held-out fifth of draw 0; then every draw uses it with all its labels, and what is there is not run again."""
    asked = []

    def measure(method, per_class, draw, rate, held_out, schedule, encoder=None):
        asked.append((method, draw, rate, held_out))
        wanted = {"scratch": 1.6e-2, "fine-tuned": 4e-3, "probe": 1e-1, "probe, untrained": 1e-2}[method]
        good = 50 if rate == wanted else 40
        # the test set would choose the others
        return {"accuracy": good if held_out else 90 - good, "seconds": 1.0}

    monkeypatch.setattr(few_labels, "TABLE", tmp_path / "labels.csv")
    monkeypatch.setattr(few_labels, "train", measure)
    monkeypatch.setattr(few_labels, "Prober", lambda encoder: measure)
    monkeypatch.setattr(
        notebooks, "provenance", lambda: {"hardware": "", "versions": {"keras": ""}, "commit": ""}
    )
    few_labels.main("10")
    rows = list(csv.DictReader((tmp_path / "labels.csv").open()))
    assert len(rows) == len(asked) == sum(len(few_labels.RATES[m]) + 3 for m in readme.METHODS)
    assert {held_out for *_, held_out in asked} == {0, 20}
    assert {(method, rate) for method, _, rate, held_out in asked if not held_out} == {
        ("scratch", 1.6e-2),
        ("fine-tuned", 4e-3),
        ("probe", 1e-1),
        ("probe, untrained", 1e-2),
    }
    assert {draw for _, draw, _, held_out in asked if held_out} == {0}
    capsys.readouterr()
    few_labels.main("10")
    assert len(asked) == len(rows), "rows that are there are left alone"
    assert capsys.readouterr().out.startswith("0 rows were added")


@pytest.mark.parametrize("held_out", [0, 20])
def test_probes_of_few_labels_learn_from_these_alone(classify, held_out):
    """The features stand for their positions: which ones are learned from, and which are asked."""
    prober, labels = object.__new__(few_labels.Prober), np.arange(50_000, dtype="int32") % 10
    asked = []

    def linear_probe(x, y, queries, rate, **schedule):
        asked.append((x[:, 0].tolist(), y.tolist(), queries[:, 0].tolist(), rate, schedule))
        return np.eye(10)[[0] * len(queries)]

    prober.tools = {"linear_probe": linear_probe, "accuracy": lambda _, answers: answers.tolist()}
    prober.choose, prober.data = classify["choose_labelled"], (None, labels, None, np.array([7, 8]))
    prober.features = {"probe": (np.arange(50_000)[:, None], -np.ones((2, 1)))}
    row = prober("probe", 10, 1, 0.01, held_out, few_labels.PROBE_SCHEDULE)
    drawn = classify["choose_labelled"](labels, 10, 1)
    fit, valid = drawn[: 100 - held_out].tolist(), drawn[100 - held_out :].tolist()
    queries, answers = (valid, labels[valid].tolist()) if held_out else ([-1, -1], [7, 8])
    assert asked == [(fit, labels[fit].tolist(), queries, 0.01, {"batch_size": 100, "epochs": 200})]
    assert row == {"accuracy": answers, "seconds": ""}


def test_the_untrained_encoder_shares_no_matrix_with_the_trained():
    trained, untrained = (few_labels.load_encoder(state).get_weights() for state in (True, False))
    file = keras.saving.load_model(ROOT / few_labels.ENCODER / "encoder.keras").get_weights()
    assert all(map(np.array_equal, trained, file))
    assert not any(np.array_equal(a, b) for a, b in zip(trained, untrained, strict=True) if a.ndim > 1)
    assert few_labels.PROBES == {"probe, untrained": False, "probe": True}


LONG_AGO = {"hardware": "then", "versions": {"keras": "3.0"}, "commit": "first"}


@pytest.fixture
def given(monkeypatch, tmp_path):
    """A list that gets the settings of each run of the notebook, in place of a run; settings that it takes."""
    given = []

    def run(notebook, **settings):
        lower = notebooks.parameters(notebook) | settings
        assert notebooks.problem({name.lower(): value for name, value in lower.items()}) is None
        given.append(settings)
        wanted = 1e-3 if settings["PRETRAINED"] else 4e-3
        far = abs(settings["LEARNING_RATE"] - wanted)  # the test set would choose the others
        notebooks.write(
            tmp_path / "results.json", {"accuracy": 50 - far if settings["VALIDATION_IMAGES"] else far}
        )
        notebooks.write(tmp_path / "card.json", {"seconds": 1} | LONG_AGO)
        return tmp_path

    monkeypatch.setattr(few_labels, "TABLE", tmp_path / "labels.csv")
    monkeypatch.setattr(few_labels, "Prober", lambda encoder: lambda *asked: {"accuracy": 0, "seconds": ""})
    monkeypatch.setattr(notebooks, "run", run)
    today = {"hardware": "now", "versions": {"keras": "4.0"}, "commit": "last"}
    monkeypatch.setattr(notebooks, "provenance", lambda: today)  # the true one takes seconds
    return given


def test_a_pair_with_all_labels(given):
    """Both starts get the same schedule, and each the rate that is best on the same 5,000 held-out images after 5 epochs;
    there are longer ones, too."""
    few_labels.main("5000")
    tries, runs = (
        [s for s in given if bool(s["VALIDATION_IMAGES"]) == held_out] for held_out in (True, False)
    )
    assert {(s["VALIDATION_IMAGES"], s["EPOCHS"], s["WARMUP_EPOCHS"]) for s in tries} == {(5000, 5, 1)}
    assert len(tries) == 6 and all(s["LABELS_PER_CLASS"] == 5000 and s["DRAW"] == 0 for s in given)
    assert [(s["PRETRAINED"], s["EPOCHS"], s["LEARNING_RATE"]) for s in runs] == [
        (False, 20, 4e-3),
        (False, 38, 4e-3),
        (False, 57, 4e-3),
        (True, 20, 1e-3),
        (True, 57, 1e-3),
    ]
    assert len({s["RUN"] for s in given}) == len(given) and {s["WARMUP_EPOCHS"] for s in runs} == {5}
    rows = list(csv.DictReader(few_labels.TABLE.open()))
    assert {(row["hardware"], row["keras"], row["commit"]) for row in rows} == {("then", "3.0", "first")}


def test_a_classifier_starts_undecided(mae, classify, images):
    """Its last layer begins with zeros, so all classes have the same score."""
    model = classify["build_classifier"](mae["build_encoder"](16, 4, 3, 16, 1, 2, 2, masked=False), 10)
    assert not ops.convert_to_numpy(model(images)).any()


def test_muon_trains_the_blocks_of_a_classifier(classify):
    """Their matrices, four in each block; what embeds the patches and the linear layer are AdamW's."""
    encoder = keras.saving.load_model(ROOT / "weights" / "mae-3x1-mask75-100ep" / "encoder.keras")
    model = classify["build_classifier"](encoder, 10)
    optimizer = classify["build_classifier_optimizer"](model, 0.1, 0.05, 8, 1, 1, muon=True)
    found = [v.path for v in model.trainable_variables if not optimizer._should_use_adamw(v)]
    assert found == [
        v.path for v in model.trainable_variables if v.path.startswith("block_") and len(v.shape) == 2
    ]
    assert len(found) == 4 * 3


def test_another_optimiser(given):
    """With AdamW the same is measured as with Muon, from scratch with lower rates on offer; but not with no block, where
    Muon has nothing to train."""
    few_labels.main("adamw", "adamw-5000")
    adamw, given[:] = list(given), []
    assert all(s["MUON"] is False for s in adamw)
    few_labels.main("10", "50", "blocks", "5000")
    assert notebooks.parameters(notebooks.CLASSIFICATION)["MUON"] and not any("MUON" in s for s in given)
    given[:] = [s for s in given if s.get("TUNED_BLOCKS") != 0]

    def told(settings, held_out):
        names = "PRETRAINED TUNED_BLOCKS LABELS_PER_CLASS DRAW EPOCHS BATCH_SIZE VALIDATION_IMAGES".split()
        return [[s.get(n) for n in names] for s in settings if bool(s["VALIDATION_IMAGES"]) == held_out]

    for held_out in (True, False):
        assert told(adamw, held_out) == told(given, held_out)
    rates = [
        {s["LEARNING_RATE"] for s in kind if s["VALIDATION_IMAGES"] == 5000 and not s["PRETRAINED"]}
        for kind in (adamw, given)
    ]
    assert rates == [{1e-3, 2e-3, 4e-3}, {2e-3, 4e-3, 8e-3}]


def work(block_cost, run=readme.BASE):
    """Multiply-adds of one image in pre-training and in classification, and a function: what Muon adds to the latter, as a
    share, by the images of a batch. A step counts three times its forward pass."""
    s = notebooks.read(ROOT / "weights" / run / "card.json")["settings"]
    predicted = 27 if run == readme.HOG else 48  # numbers of a patch
    patches, depth, width, narrow = 64, s["encoder_layers"], s["encoder_width"], s["decoder_width"]
    visible = patches - round(s["mask_ratio"] * patches)
    encode, decode = (
        {n: block_cost(n, w, s["mlp_ratio"]) for n in (visible, patches)} for w in (width, narrow)
    )
    classification = depth * encode[patches] + patches * 48 * width
    pretraining = depth * encode[visible] + visible * 48 * width
    pretraining += (
        s["decoder_layers"] * decode[patches]
        + visible * depth * width * narrow
        + patches * narrow * predicted
    )
    steps = []  # Muon's, five for each matrix X of a block: X X', its square, and their sum times X
    for blocks, w in ((depth, width), (s["decoder_layers"], narrow)):
        sizes = [
            sorted(pair) for pair in ((3 * w, w), (w, w), (w, s["mlp_ratio"] * w), (s["mlp_ratio"] * w, w))
        ]
        steps.append(5 * blocks * sum(2 * few**2 * many + few**3 for few, many in sizes) / 3)
    return (
        pretraining + sum(steps) / s["batch_size"],
        classification,
        lambda batch: steps[0] / batch / classification,
    )


def times_the_work(block_cost, per_class):
    """How often pre-training is the work of one run with so many labels a class."""
    pretraining, classification, muon = work(block_cost)
    schedule = few_labels.SCHEDULES[per_class]
    images = schedule["EPOCHS"] * 10 * per_class
    return 100 * 50_000 * pretraining / (images * classification * (1 + muon(schedule["BATCH_SIZE"])))


def test_work_of_pretraining(mae):
    """What 100 epochs of pre-training cost, in epochs of classification."""
    _, _, muon = work(mae["block_cost"])
    assert notebooks.PRETRAINING_WORK == {
        run: round(readme.log(run, "card")["epochs"] * found[0] / found[1])
        for run, found in ((run, work(mae["block_cost"], run)) for run in readme.STARTS)
    }
    deep, base = work(mae["block_cost"], readme.DEEP), work(mae["block_cost"])
    assert {readme.DEEP: round(deep[1] / base[1], 3)} == notebooks.EPOCH_WORK
    assert (
        f"37 epochs with 9 layers, each {deep[1] / base[1]:.1f} times one with 6"
        in (ROOT / "docs" / "labels.md").read_text()
    )
    told = f"With Muon an epoch with labels has {muon(256):.0%} more".replace("%", " %")
    assert told in (ROOT / "docs" / "labels.md").read_text()
    told = "{:.0f} times the work of these steps with 10 labels a class, {:.0f} times with 50 and {:.0f} times with 500".format(
        *(times_the_work(mae["block_cost"], number) for number in (10, 50, 500))
    )
    assert told in (ROOT / "docs" / "labels.md").read_text()
    assert (
        "was {:.0f} times the work of the 2,000 steps".format(times_the_work(mae["block_cost"], 500))
        in (ROOT / "README.md").read_text()
    )
    assert 9 < times_the_work(mae["block_cost"], 500) + 1 < 10, "ten times as long is equal work"
    times = times_the_work(mae["block_cost"], 50)
    text = " ".join("".join(cell["source"]) for cell in notebooks.cells(notebooks.CLASSIFICATION, "markdown"))
    assert f"done once, was {times:.0f} times the work of these 500 steps." in text


def test_longer_from_scratch(given):
    """Ten times as long, at the rate of the short tries; with 500 labels a class once, where that is equal work."""
    few_labels.main("longer")
    runs = [s for s in given if not s["VALIDATION_IMAGES"]]
    told = [(s["LABELS_PER_CLASS"], s["EPOCHS"], s["DRAW"], s["LEARNING_RATE"]) for s in runs]
    assert told == [*((50, 500, draw, 4e-3) for draw in few_labels.DRAWS), (500, 400, 0, 4e-3)]
    assert {s["EPOCHS"] for s in given if s["VALIDATION_IMAGES"]} == {50, 40} and not any(
        s["PRETRAINED"] for s in given
    )


def test_rate_is_chosen_for_each_number_of_blocks(given):
    """The notebook is given the number of blocks, and the runs have names that it takes."""
    few_labels.main("blocks")
    assert {settings["TUNED_BLOCKS"] for settings in given} == {0, 1, 2, 4}
    assert all(settings["LABELS_PER_CLASS"] == 50 and settings["PRETRAINED"] for settings in given)
    assert len({settings["RUN"] for settings in given}) == len(given) == 4 * (3 + 3)


def test_another_encoder(given):
    """Its runs have names and rows of their own; training from scratch is repeated only where the sizes differ."""
    few_labels.main("50")
    usual = {settings["RUN"] for settings in given}
    given.clear()
    few_labels.main("50", f"ENCODER=weights/{readme.HOG}/")
    assert {(s["PRETRAINED"], s["ENCODER"]) for s in given} == {(True, f"weights/{readme.HOG}")}
    assert len(given) == 6 and not usual & {settings["RUN"] for settings in given}
    rows = list(csv.DictReader(few_labels.TABLE.open()))
    assert len({row["encoder"] for row in rows}) == 2
    few_labels.main("50", "ENCODER=weights/mae-3x1-mask75-100ep")
    assert {s["PRETRAINED"] for s in given} == {True, False}


def test_sizes_tell_heads_apart(mae, tmp_path):
    """Two encoders whose weights have the same shapes."""
    found = []
    for heads in (2, 4, 4):
        mae["build_encoder"](16, 4, 3, 16, 1, heads, 2, masked=False).save(tmp_path / "encoder.keras")
        found.append(few_labels.sizes(tmp_path))
    assert found[0] != found[1] == found[2]


def test_attention_received_is_that_of_keras(mae, classify, images):
    """Beside Keras' own attention layer with the weights of the last block; a patch that all look at gets more."""
    encoder = mae["build_encoder"](16, 4, 3, 16, 2, 2, 2, masked=False)
    fused = encoder.get_layer("block_2_attention_query_key_value")
    rng = np.random.default_rng(0)
    fused.set_weights([rng.normal(size=weight.shape) for weight in fused.get_weights()])
    kernel, bias = fused.get_weights()
    reference = keras.layers.MultiHeadAttention(2, 8)
    tokens = keras.Model(encoder.input, fused.input)(images)
    reference.build(tokens.shape, tokens.shape)
    parts = zip(("query", "key", "value"), kernel.reshape(16, 3, 2, 8).swapaxes(0, 1), bias.reshape(3, 2, 8))
    for name, *weights in parts:
        getattr(reference, f"_{name}_dense").set_weights(weights)
    shares = ops.convert_to_numpy(
        reference(tokens, tokens, return_attention_scores=True)[1]
    )  # (B, heads, N, N)
    received = classify["attention_received"](encoder, images)
    np.testing.assert_allclose(received.reshape(8, 16), 16 * shares.mean(axis=(1, 2)), rtol=1e-3)
    np.testing.assert_allclose(received.mean(axis=(1, 2)), 1, rtol=1e-5)
    assert received.max() > 1.5


@pytest.mark.parametrize(
    "words",
    [
        ("11",),
        ("10", "ENCODER=weights"),
        ("10", "RUN=mine"),
        ("longer", f"ENCODER=weights/{readme.HOG}"),
        ("10", "blocks", "ENCODER=weights/mae-3x1-mask75-100ep"),  # it has 3 blocks, and 4 are to be tuned
    ],
)
def test_misspelt_labels_or_encoder(words, one_sentence, given):
    with pytest.raises(SystemExit) as stop:
        few_labels.main(*words)
    one_sentence(stop.value.code)
    assert not given and not few_labels.TABLE.exists()
