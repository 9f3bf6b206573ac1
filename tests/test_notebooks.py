"""The three notebooks: they agree with each other, run from top to bottom, and say in one sentence what is wrong."""

import ast
import hashlib
import json
import os
import re
import shutil
import subprocess
import threading
import time

import ablate
import keras
import notebooks
import numpy as np
import pytest
import release
from conftest import ROOT, interpreter
from notebooks import NOTEBOOKS

OTHERS = [
    "SEED=5",
    "BATCH_SIZE=128",
    "CROP_AREA=0.3",
    "MASK_RATIO=0.6",
    "NORMALIZE_TARGETS=False",
    "FUSE_BLOCKS=False",
]
TINY = ["ENCODER_LAYERS=2", "DECODER_LAYERS=1", "EPOCHS=2", "WARMUP_EPOCHS=1", "TRAIN_IMAGES=1024"]


# --- the text of the notebooks ---


def definitions(notebook):
    """Name -> syntax tree of each function and class, doc strings included."""
    nodes = [node for source in notebooks.code_cells(notebook) for node in ast.parse(source).body]
    return {node.name: node for node in nodes if isinstance(node, (ast.FunctionDef, ast.ClassDef))}


@pytest.mark.parametrize("first, second", [(0, 1), (0, 2), (1, 2)])
def test_shared_definitions_are_identical(first, second):
    ours, theirs = definitions(NOTEBOOKS[first]), definitions(NOTEBOOKS[second])
    shared = set(ours) & set(theirs)
    training = {"random_resized_crop", "Batches", "Progress", "save_checkpoint"}
    assert {"load_cifar10"} | {1: {"linear_probe"}, 2: training, 3: set()}[first + second] <= shared
    different = [name for name in sorted(shared) if ast.unparse(ours[name]) != ast.unparse(theirs[name])]
    assert not different, (
        f"{NOTEBOOKS[first]} and {NOTEBOOKS[second]} define differently: {', '.join(different)}"
    )


@pytest.mark.parametrize("notebook", NOTEBOOKS)
def test_no_name_is_defined_twice(notebook):
    nodes = [node for source in notebooks.code_cells(notebook) for node in ast.parse(source).body]
    names = [node.name for node in nodes if isinstance(node, (ast.FunctionDef, ast.ClassDef))]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("notebook", NOTEBOOKS)
def test_definitions_take_settings_as_arguments(notebook):
    known = notebooks.parameters(notebook)
    assert "RUN" in known and all(name.isupper() for name in known)
    for name, node in definitions(notebook).items():
        read = {
            n.id
            for n in ast.walk(node)
            if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load) and n.id.isupper()
        }
        assert not read, f"{name} reads {', '.join(sorted(read))}"


@pytest.mark.parametrize("notebook", NOTEBOOKS)
def test_every_definition_says_what_it_does(notebook):
    """Each function, class and public method has a doc string."""
    for name, node in definitions(notebook).items():
        assert ast.get_docstring(node), name
        if isinstance(node, ast.ClassDef):
            assert all(
                ast.get_docstring(n)
                for n in node.body
                if isinstance(n, ast.FunctionDef) and not n.name.startswith("__")
            ), name


def test_no_machine_paths_or_keys():
    """In what git tracks or would add."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True
    )
    files = [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]
    if not files:
        files = [ROOT / name for name in NOTEBOOKS if (ROOT / name).exists()]
    forbidden = {
        "machine path": r"(?<![\w.])/(?:home|root|work|Users)/\w|/tmp/\w|\b[C-Z]:\\\\",
        "key": r"\b(?:sk-|gh[pousr]_|hf_|AKIA|xox[bp]-)(?=\w*\d)[A-Za-z0-9_-]{16,}|(?i:api_?key|password)\s*=\s*[\"']\w",
        "package registry": r"pypi\.org|pythonhosted\.org|registry\.(?:npmjs|yarnpkg)\.|anaconda\.org|crates\.io|(?i:index[-]url)",
    }
    found = []
    for path in files:
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # weights, figures
        text = re.sub(r'"image/png": "[^"]*"', "", text)
        found += [
            f"{path.relative_to(ROOT)}: {what}: {match[0]}"
            for what, regex in forbidden.items()
            for match in re.finditer(regex, text)
        ]
    assert not found, "\n".join(found)


# --- running them ---


def run(name, notebook, *words):
    """python scripts/notebooks.py NOTEBOOK ...; returns the finished process."""
    python, backend = interpreter(name)
    environment = os.environ | {"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    environment.pop("MPLBACKEND", None)  # the notebook draws as it does without tests
    return subprocess.run(
        [python, ROOT / "scripts" / "notebooks.py", notebook, *words],
        env=environment,
        capture_output=True,
        text=True,
    )


def strict_json(path):
    """A JSON file without NaN, which JSON does not have."""

    def fail(constant):
        raise AssertionError(f"{path} contains {constant}")

    return json.loads(path.read_text(), parse_constant=fail)


def check_card(name, folder, files):
    """The card fits the files and says the truth about versions."""
    card = strict_json(folder / "card.json")
    assert set(card["sha256"]) == set(files) and card["layers"] == 2
    for file in files:
        assert (
            card["parameters"][file.removesuffix(".keras")]
            == keras.saving.load_model(folder / file).count_params()
        )
    rows = list(notebooks.epochs(folder / "history.csv").values())
    assert card["seconds"] == pytest.approx(sum(float(row["seconds"]) for row in rows), abs=0.1)
    assert (
        card["loss"]["loss"] == pytest.approx(float(rows[-1]["loss"]), abs=1e-5)
        and card["images_per_second"] > 0
    )
    for file, digest in card["sha256"].items():
        assert hashlib.sha256((folder / file).read_bytes()).hexdigest() == digest
    python, backend = interpreter(name)
    command = [
        python,
        "-c",
        f"import keras, {backend} as b, platform; print(keras.__version__, b.__version__, platform.python_version())",
    ]
    printed = subprocess.run(
        command, env=os.environ | {"KERAS_BACKEND": backend}, capture_output=True, text=True
    ).stdout.split()
    assert [card["versions"][key] for key in ("keras", backend, "python")] == printed[-3:]
    assert card["backend"] == backend and card["licence"].startswith("MIT")
    assert not list(folder.glob("*-unfinished.ipynb"))
    return card


@pytest.fixture(scope="module", params=["tensorflow", "jax", "colab"])
def pretrained(request):
    """An interpreter's name, its tiny pre-training run, and the words of the command; removed in the end. On TensorFlow
    settings are others than the defaults, so that a cell which ignores one does not pass."""
    interpreter(request.param)
    folder = ROOT / "runs" / f"ci-{request.param}"
    shutil.rmtree(folder, ignore_errors=True)
    words = [f"RUN={folder.name}", *TINY]
    if request.param == "tensorflow":
        words += ["VALIDATION_IMAGES=256", *OTHERS]
    try:
        done = run(request.param, NOTEBOOKS[0], *words)
        assert done.returncode == 0, done.stdout + done.stderr[-3000:]
        yield request.param, folder, words
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def test_pretraining_runs(pretrained):
    name, folder, _ = pretrained
    card = check_card(name, folder, ["encoder.keras", "decoder.keras"])
    assert (
        card["epochs"] == 2
        and card["settings"]["train_images"] == 1024
        and card["settings"]["encoder_layers"] == 2
    )
    results = strict_json(folder / "results.json")
    assert 0 < results["untrained"] <= 100 and 0 < results["linear_probe"] <= 100
    assert results["measured_on"] == ("validation" if name == "tensorflow" else "test")
    history = (folder / "history.csv").read_text().splitlines()
    assert len(history) == 3 and "loss" in history[0].split(",")
    assert (folder / "reconstructions.png").exists()
    executed = json.loads((folder / NOTEBOOKS[0]).read_text())["cells"]
    assert all(cell["execution_count"] for cell in executed if cell["cell_type"] == "code" and cell["source"])
    assert not [o for cell in executed for o in cell.get("outputs", []) if "\r" in "".join(o.get("text", []))]


def test_tries_train_as_the_notebook_does(pretrained, tmp_path):
    """What scripts/training.py does with the same settings: the same weights, masks, losses and probes as the executed notebook's."""
    name, folder, words = pretrained
    if name != "tensorflow":
        pytest.skip("one backend is enough")
    defaults = notebooks.parameters(NOTEBOOKS[0])
    settings = defaults | notebooks.parse(words, defaults)
    n, data, model, encoder = ablate.prepare(settings)
    untrained = encoder.get_weights()
    history = ablate.train(n, model, data[0], data[2], settings, tmp_path)
    for ours, theirs in zip(history.values(), notebooks.epochs(folder / "history.csv").values(), strict=True):
        for loss in ("loss", "val_loss"):
            assert float(ours[loss]) == pytest.approx(float(theirs[loss]), rel=1e-5)
    exported = keras.saving.load_model(folder / "encoder.keras")
    assert all(
        np.allclose(a, b, atol=1e-5)
        for a, b in zip(encoder.get_weights(), exported.get_weights(), strict=True)
    )
    results, (x, y, x_new, y_new) = strict_json(folder / "results.json"), data
    for state, weights in (("linear_probe", exported.get_weights()), ("untrained", untrained)):
        exported.set_weights(weights)
        known, asked = (exported.predict(images, verbose=0).mean(axis=1) for images in (x, x_new))
        right = n["linear_probe"](known, y, asked).argmax(axis=1) == y_new
        assert results[state] == pytest.approx(100 * right.mean(), abs=0.5), (
            "one answer in 256 may be another"
        )
    assert abs(results["linear_probe"] - results["untrained"]) > 1, "too alike to tell them apart"


def test_same_command_again_does_not_train(pretrained):
    name, folder, words = pretrained
    if name != "tensorflow":
        pytest.skip("one backend is enough")
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    done = run(name, NOTEBOOKS[0], *words)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "finished" in done.stdout
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_a_run_that_diverges_ends_early(one_sentence):
    """With a sentence, and long before the last epoch; given again it says the same at once."""
    folder = ROOT / "runs" / "ci-diverges"
    shutil.rmtree(folder, ignore_errors=True)
    try:
        words = [word for word in TINY if not word.startswith(("EPOCHS", "ENCODER_LAYERS"))]
        words += [f"RUN={folder.name}", "EPOCHS=100", "LEARNING_RATE=1", "WEIGHT_DECAY=1e6"]
        words += ["ENCODER_LAYERS=1", "MUON=False"]
        for again in (False, True):
            done = run("tensorflow", NOTEBOOKS[0], *words)
            assert done.returncode and "Traceback" not in done.stderr
            last = done.stderr.strip().splitlines()[-1]
            one_sentence(last)
            assert "no longer a number" in last and len(notebooks.epochs(folder / "history.csv")) < 50
            assert ("running" in done.stdout) != again, "given again it trains on"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize(
    "wrong, says",
    [
        ("MASK_RATIO=0.5", "other settings"),
        ("MASK_RATIOS=0.5", "MASK_RATIOS"),
        ("PATCH_SIZE=5", "PATCH_SIZE"),
        ("RUN=../../evil", "RUN"),
    ],
)
def test_wrong_command_says_so(pretrained, one_sentence, wrong, says):
    name, folder, words = pretrained
    if name != "tensorflow":
        pytest.skip("one backend is enough")
    files = {
        path: path.read_bytes() for path in folder.iterdir() if path.suffix in (".json", ".csv", ".keras")
    }
    done = run(name, NOTEBOOKS[0], *words, wrong)
    assert done.returncode != 0 and "Traceback" not in done.stderr
    last = done.stderr.strip().splitlines()[-1]
    one_sentence(last)
    assert says in last
    assert {p: p.read_bytes() for p in folder.iterdir() if p.suffix in (".json", ".csv", ".keras")} == files
    assert not list(folder.glob("*-unfinished.ipynb")) and not (ROOT.parent / "evil").exists()


def test_linear_probe_runs(pretrained, cifar10, tmp_path):
    """What it reports of the trained encoder is what `make verify` measures with the exported file and these settings."""
    name, folder, _ = pretrained
    if name == "jax":
        pytest.skip("tests/test_images.py runs it there")
    used = np.r_[:750, 49_750:50_000]  # the last 250 are for validation
    arrays = [array[part] for array, part in zip(cifar10, (used, used, slice(250), slice(250)))]
    probe = ROOT / "runs" / f"{folder.name}-probe"
    shutil.rmtree(probe, ignore_errors=True)
    images = {"training": 1000, "of these validation": 250, "test": 250}
    try:
        words = [
            f"RUN={probe.name}",
            f"ENCODER=runs/{folder.name}",
            "TRAIN_IMAGES=1000",  # whole batches: a part of one would be compiled, too
            "VALIDATION_IMAGES=250",
            "TEST_IMAGES=250",
        ]
        done = run(name, "linear-probe.ipynb", *words)
        assert done.returncode == 0, done.stdout + done.stderr[-3000:]
        results = strict_json(probe / "results.json")
        assert (results["encoder"], results["seed"], results["images"]) == (f"runs/{folder.name}", 0, images)
        settings = {
            "probe, final tokens": {"learning_rate"},
            "probe, all blocks": {"learning_rate"},
            "neighbours": {"k", "temperature"},
        }
        assert set(results["test"]) == set(settings)
        for test, states in results["test"].items():
            assert set(states) == {"trained", "untrained"}
            for row in states.values():
                assert set(row) == settings[test] | {"accuracy", "validation"}
                assert 5 < row["accuracy"] <= 100 and 0 < row["validation"] <= 100
        if name == "tensorflow":
            shutil.copy(folder / "encoder.keras", tmp_path)
            notebooks.write(tmp_path / "card.json", {"results": results["test"]})
            for test, right in release.answers(tmp_path, arrays).items():
                trained, untrained = (
                    results["test"][test][state]["accuracy"] for state in ("trained", "untrained")
                )
                assert trained == pytest.approx(100 * right.mean(), abs=0.5) and trained != untrained, test
        blocks = results["blocks, then final tokens, on validation images"]
        for state, row in results["test"]["probe, final tokens"].items():
            assert (
                len(blocks[state]) == 3 and blocks[state][-1] == row["validation"]
            )  # two blocks, and the final tokens
        executed = json.loads((probe / "linear-probe.ipynb").read_text())["cells"]
        code = [cell for cell in executed if cell["cell_type"] == "code" and cell["source"]]
        assert all(cell["execution_count"] for cell in code)
        drawn = [cell for cell in code if "plt.show()" in "".join(cell["source"])]
        assert len(drawn) == 6 and all(
            any("image/png" in output.get("data", {}) for output in cell["outputs"]) for cell in drawn
        )
        assert not [output for cell in code for output in cell["outputs"] if output.get("name") == "stderr"]
    finally:
        shutil.rmtree(probe, ignore_errors=True)


@pytest.mark.parametrize("start", ["from scratch", "from the pre-trained encoder"])
def test_classification_runs(pretrained, start, cifar10):
    """The accuracy is that of the exported file, on the labelled images that were held out."""
    name, folder, _ = pretrained
    if name == "jax":
        pytest.skip("tests/test_images.py runs it there")
    if name != "tensorflow" and start == "from scratch":
        pytest.skip("one of the two is enough here")
    classifier = ROOT / "runs" / f"{folder.name}-classifier"
    shutil.rmtree(classifier, ignore_errors=True)
    words = [
        f"RUN={classifier.name}",
        f"ENCODER=runs/{folder.name}",
        f"PRETRAINED={start != 'from scratch'}",
        "EPOCHS=2",
        "WARMUP_EPOCHS=1",
        "LABELS_PER_CLASS=40",
        f"TUNED_BLOCKS={1 if start == 'from scratch' else -1}",
        f"VALIDATION_IMAGES={100 if name == 'tensorflow' else 0}",
    ]
    try:
        done = run(name, "regular-classification.ipynb", *words)
        assert done.returncode == 0, done.stdout + done.stderr[-3000:]
        check_card(name, classifier, ["classifier.keras"])
        results = strict_json(classifier / "results.json")
        x, y, x_new, y_new = cifar10
        if name == "tensorflow":
            drawn = notebooks.definitions(notebooks.CLASSIFICATION, {"choose_labelled"})["choose_labelled"](
                y, 40, 0
            )
            x_new, y_new = x[drawn[-100:]], y[drawn[-100:]]
        logits = keras.saving.load_model(classifier / "classifier.keras").predict(x_new, verbose=0)
        assert results["accuracy"] == pytest.approx(100 * (logits.argmax(axis=1) == y_new).mean(), abs=1.01)
        assert (results["measured_on"], results["images"]) == (
            ("validation", 100) if name == "tensorflow" else ("test", 10_000)
        )
        assert len((classifier / "history.csv").read_text().splitlines()) == 3
    finally:
        shutil.rmtree(classifier, ignore_errors=True)


def test_probe_does_not_overwrite_another_run(pretrained, one_sentence):
    name, folder, _ = pretrained
    if name != "tensorflow":
        pytest.skip("one backend is enough")
    before = (folder / "results.json").read_text()
    done = run(name, "linear-probe.ipynb", f"RUN={folder.name}", f"ENCODER=runs/{folder.name}")
    assert done.returncode != 0 and (folder / "results.json").read_text() == before
    one_sentence(done.stderr.strip().splitlines()[-1])


@pytest.mark.parametrize("notebook", NOTEBOOKS[1:])
def test_missing_encoder_is_reported_at_once(notebook, tmp_path, monkeypatch, one_sentence):
    """In a bare notebook, too, before the images are loaded."""
    sources = notebooks.code_cells(notebook)
    (asks,) = (i for i, source in enumerate(sources) if "upload encoder.keras" in source)
    assert not any("= load_cifar10()" in source for source in sources[: asks + 1])
    space = notebooks.definitions(notebook) | {
        "ENCODER": "no-such-run",
        "RUN": "x",
        "SEED": 0,
        "PRETRAINED": True,
        "TUNED_BLOCKS": -1,
    }
    monkeypatch.chdir(tmp_path)
    with pytest.raises((AssertionError, FileNotFoundError)) as error:
        exec(sources[asks], space)
    one_sentence(str(error.value))
    assert "no-such-run" in str(error.value) and not list(tmp_path.iterdir())


def test_the_two_starts_differ_in_the_encoders_weights_only(mae, tmp_path, monkeypatch):
    (start,) = (s for s in notebooks.code_cells("regular-classification.ipynb") if "encoder_file =" in s)
    mae["build_encoder"](32, 8, 3, 16, 1, 2, 2, masked=False).save(tmp_path / "encoder.keras")
    monkeypatch.chdir(tmp_path)  # the cell creates runs/
    space, found = notebooks.definitions("regular-classification.ipynb"), {}
    for pretrained, seed in [(True, 0), (False, 0), (False, 1)]:
        settings = {"ENCODER": ".", "PRETRAINED": pretrained, "TUNED_BLOCKS": -1, "SEED": seed, "RUN": "x"}
        exec(start, space | settings, cell := {})
        found[pretrained, seed] = cell["encoder"].get_weights(), cell["encoder"].to_json()
    original = cell["pretrained"].get_weights()
    assert all(np.array_equal(a, b) for a, b in zip(found[True, 0][0], original, strict=True))
    matrices = [i for i, w in enumerate(original) if w.ndim > 1]
    for a, b in [(found[False, 0][0], original), (found[False, 0][0], found[False, 1][0])]:
        assert not any(np.array_equal(a[i], b[i]) for i in matrices)
    assert found[True, 0][1] == found[False, 0][1]


def test_executed_notebook_is_tidied(tmp_path):
    """Of a progress line the end stays; start-up chatter goes, other messages on stderr do not."""

    def stream(name, *text):
        return {"output_type": "stream", "name": name, "text": list(text)}

    picture = {"output_type": "display_data", "data": {"image/png": "..."}, "metadata": {}}
    outputs = [
        stream(
            "stderr",
            "WARNING: All log messages before absl::InitializeLog()\n",
            "I0000 00:00:1.2 3 x.cc:4] TF\n",
        ),
        stream("stdout", "first\n", "epoch 1: loss 2\r"),
        stream("stdout", "epoch 2: loss 1.5\repoch 3: loss 1\r"),
        picture,
        stream("stderr", "I0000 00:00:1.2 3 x.cc:4] XLA\n", "careful\n"),
    ]
    cells = [
        {"cell_type": "markdown", "metadata": {"papermill": {}}, "source": ["text"]},
        {
            "cell_type": "code",
            "metadata": {"tags": ["parameters"], "papermill": {}},
            "source": ["x = 1"],
            "outputs": outputs,
        },
    ]
    path = tmp_path / "executed.ipynb"
    path.write_text(json.dumps({"cells": cells, "metadata": {"papermill": {}}}))
    notebooks.tidy(path)
    tidied = json.loads(path.read_text())
    assert tidied["metadata"] == {} and [cell["metadata"] for cell in tidied["cells"]] == [
        {},
        {"tags": ["parameters"]},
    ]
    assert "outputs" not in tidied["cells"][0]
    expected = [stream("stdout", "first\n", "epoch 3: loss 1\n"), picture, stream("stderr", "careful\n")]
    assert tidied["cells"][1]["outputs"] == expected


def test_history_counts_the_last_of_repeated_epochs(tmp_path, capsys):
    """And what is followed while it is written appears once, counted from 1."""
    history, stop = tmp_path / "history.csv", threading.Event()
    history.write_text("epoch,loss,val_loss\n0,2.0,NA\n")
    follower = threading.Thread(target=notebooks.follow, args=(history, stop))
    follower.start()
    time.sleep(0.2)
    history.write_text("epoch,loss,val_loss\n0,2.0,NA\n1,1.5,NA\n1,1.25,NA\n2,1")
    time.sleep(1.5)
    stop.set()
    follower.join()
    assert capsys.readouterr().out == "  epoch 2: loss 1.25\n", "only whole lines, and not those of before"
    assert notebooks.epochs(history)[1] == {"epoch": "1", "loss": "1.25"}
    assert notebooks.epochs(tmp_path / "none.csv") == {}
