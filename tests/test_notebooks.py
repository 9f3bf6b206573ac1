"""The three notebooks: they agree with each other, run from top to bottom, and say in one sentence what is wrong."""

import ast
import hashlib
import json
import os
import re
import shutil
import subprocess

import notebooks
import pytest
from conftest import ROOT, interpreter

NOTEBOOKS = ["mae-pretraining.ipynb", "linear-probe.ipynb", "regular-classification.ipynb"]
TINY = ["ENCODER_LAYERS=1", "DECODER_LAYERS=1", "EPOCHS=2", "WARMUP_EPOCHS=1", "TRAIN_IMAGES=1024"]


# --- the text of the notebooks ---


def cells(notebook):
    """All cells of a notebook; skips the test if there is no such notebook."""
    if not (ROOT / notebook).exists():
        pytest.skip(f"there is no {notebook}")
    return json.loads((ROOT / notebook).read_text())["cells"]


def definitions(notebook):
    """Name -> syntax tree of each function and class, doc strings included."""
    cells(notebook)
    nodes = [node for source in notebooks.code_cells(notebook) for node in ast.parse(source).body]
    return {node.name: node for node in nodes if isinstance(node, (ast.FunctionDef, ast.ClassDef))}


@pytest.mark.parametrize("first, second", [(0, 1), (0, 2), (1, 2)])
def test_shared_definitions_are_identical(first, second):
    ours, theirs = definitions(NOTEBOOKS[first]), definitions(NOTEBOOKS[second])
    shared = sorted(set(ours) & set(theirs))
    assert {"load_cifar10", "store_cifar10", "cifar10_sha256"} <= set(shared)
    different = [name for name in shared if ast.unparse(ours[name]) != ast.unparse(theirs[name])]
    assert not different, (
        f"{NOTEBOOKS[first]} and {NOTEBOOKS[second]} define differently: {', '.join(different)}"
    )


@pytest.mark.parametrize("notebook", NOTEBOOKS)
def test_no_name_is_defined_twice(notebook):
    cells(notebook)
    nodes = [node for source in notebooks.code_cells(notebook) for node in ast.parse(source).body]
    names = [node.name for node in nodes if isinstance(node, (ast.FunctionDef, ast.ClassDef))]
    assert len(names) == len(set(names))


def parameters(notebook):
    """The names in the cell that is tagged parameters."""
    tagged = [cell for cell in cells(notebook) if "parameters" in cell["metadata"].get("tags", [])]
    assert len(tagged) == 1
    return {node.targets[0].id for node in ast.parse("".join(tagged[0]["source"])).body}


@pytest.mark.parametrize("notebook", NOTEBOOKS)
def test_definitions_take_settings_as_arguments(notebook):
    known = parameters(notebook)
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
    """python scripts/run.py NOTEBOOK ...; returns the finished process."""
    python, backend = interpreter(name)
    cells(notebook)
    environment = os.environ | {"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    return subprocess.run(
        [python, ROOT / "scripts" / "run.py", notebook, *words],
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
    assert set(card["sha256"]) == set(files)
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
    """An interpreter's name, its tiny pre-training run, and the words of the command; removed in the end."""
    interpreter(request.param)
    folder = ROOT / "runs" / f"ci-{request.param}"
    shutil.rmtree(folder, ignore_errors=True)
    words = [f"RUN={folder.name}", *TINY, f"VALIDATION_IMAGES={256 if request.param == 'tensorflow' else 0}"]
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
        and card["settings"]["encoder_layers"] == 1
    )
    results = strict_json(folder / "results.json")
    assert 0 < results["untrained"] <= 100 and 0 < results["linear_probe"] <= 100
    assert results["measured_on"] == ("validation" if name == "tensorflow" else "test")
    history = (folder / "history.csv").read_text().splitlines()
    assert len(history) == 3 and "loss" in history[0].split(",")
    figures = {path.stem for path in (folder / "figures").glob("*.png")}
    assert {
        "masked",
        "positions",
        "crops",
        "learning-rate",
        "loss",
        "reconstructions",
        "mask-ratios",
        "linear-probe",
    } <= figures
    executed = json.loads((folder / NOTEBOOKS[0]).read_text())["cells"]
    assert all(cell["execution_count"] for cell in executed if cell["cell_type"] == "code" and cell["source"])


def test_same_command_again_does_not_train(pretrained):
    name, folder, words = pretrained
    if name != "tensorflow":
        pytest.skip("one backend is enough")
    names = ("history.csv", "checkpoint.weights.h5", "encoder.keras", "decoder.keras", "card.json")
    before = [(folder / file).read_bytes() for file in names]
    done = run(name, NOTEBOOKS[0], *words)
    assert done.returncode == 0, done.stderr[-3000:]
    assert [(folder / file).read_bytes() for file in names] == before


@pytest.mark.parametrize(
    "wrong, says",
    [
        ("MASK_RATIO=0.5", "other settings"),
        ("MASK_RATIOS=0.5", "MASK_RATIOS"),
        ("PATCH_SIZE=5", "PATCH_SIZE"),
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
    assert {path: path.read_bytes() for path in files} == files


def test_linear_probe_runs(pretrained):
    name, folder, _ = pretrained
    probe, twice = (ROOT / "runs" / f"{folder.name}-{part}" for part in ("probe", "twice"))
    try:
        shutil.copytree(folder, twice, dirs_exist_ok=True)
        words = [
            f"RUN={probe.name}",
            f"ENCODERS=runs/{folder.name},runs/{twice.name}",
            "TRAIN_IMAGES=1024",
            "VALIDATION_IMAGES=256",
            "TEST_IMAGES=500",
        ]
        done = run(name, "linear-probe.ipynb", *words)
        assert done.returncode == 0, done.stdout + done.stderr[-3000:]
        results = strict_json(probe / "results.json")
        record, again = results["encoders"].values()
        assert record["test"] == again["test"]
        ((_, difference),) = results["differences"].items()
        assert len(difference) == 3 and all(value == [0, 0] for value in difference.values())
        assert record["sha256"] == hashlib.sha256((folder / "encoder.keras").read_bytes()).hexdigest()
        accuracies = [
            row[state]["accuracy"] for row in record["test"].values() for state in ("trained", "untrained")
        ]
        assert accuracies and all(5 < accuracy <= 100 for accuracy in accuracies)
    finally:
        shutil.rmtree(probe, ignore_errors=True)
        shutil.rmtree(twice, ignore_errors=True)


@pytest.mark.parametrize("start", ["from scratch", "from the pre-trained encoder"])
def test_classification_runs(pretrained, start):
    name, folder, _ = pretrained
    if name == "jax" and start == "from scratch":
        pytest.skip("one of the two is enough here")
    classifier = ROOT / "runs" / f"{folder.name}-classifier"
    shutil.rmtree(classifier, ignore_errors=True)
    try:
        words = [
            f"RUN={classifier.name}",
            "ENCODER_LAYERS=1",
            "EPOCHS=2",
            "WARMUP_EPOCHS=1",
            "TRAIN_IMAGES=1024",
        ]
        if start != "from scratch":
            words.append(f"ENCODER=runs/{folder.name}")
        done = run(name, "regular-classification.ipynb", *words)
        assert done.returncode == 0, done.stdout + done.stderr[-3000:]
        check_card(name, classifier, ["classifier.keras"])
        assert 5 < strict_json(classifier / "results.json")["accuracy"] <= 100
        assert len((classifier / "history.csv").read_text().splitlines()) == 3
    finally:
        shutil.rmtree(classifier, ignore_errors=True)


def test_probe_does_not_overwrite_another_run(pretrained, one_sentence):
    name, folder, _ = pretrained
    if name != "tensorflow":
        pytest.skip("one backend is enough")
    before = (folder / "results.json").read_text()
    done = run(name, "linear-probe.ipynb", f"RUN={folder.name}", f"ENCODERS=runs/{folder.name}")
    assert done.returncode != 0 and (folder / "results.json").read_text() == before
    one_sentence(done.stderr.strip().splitlines()[-1])


def test_probe_of_a_missing_encoder_says_so(one_sentence):
    probe = ROOT / "runs" / "ci-missing"
    try:
        done = run("tensorflow", "linear-probe.ipynb", f"RUN={probe.name}", "ENCODERS=runs/ci-no-such-run")
        assert done.returncode != 0 and "Traceback" not in done.stderr
        one_sentence(done.stderr.strip().splitlines()[-1])
    finally:
        shutil.rmtree(probe, ignore_errors=True)
