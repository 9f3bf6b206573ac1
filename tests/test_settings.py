"""Parameters of a run: good ones pass, each wrong one gets one clear sentence before anything is written."""

import shlex
import subprocess
import sys

import notebooks
import pytest
from conftest import ROOT

PRETRAINING, PROBE, CLASSIFICATION = notebooks.NOTEBOOKS


def problem(notebook, change):
    """What is wrong with a notebook's defaults, changed so."""
    settings = {name.lower(): value for name, value in notebooks.parameters(notebook).items()}
    assert set(change) <= set(settings)
    return notebooks.problem(settings | change)


@pytest.mark.parametrize(
    "notebook, change",
    [
        (PRETRAINING, {}),
        (PROBE, {}),
        (CLASSIFICATION, {}),
        (PRETRAINING, {"patch_size": 8}),
        (PRETRAINING, {"patch_size": 2, "mask_ratio": 0.9}),
        (PRETRAINING, {"warmup_epochs": 0, "epochs": 1}),
        (PRETRAINING, {"crop_area": 1}),
        (PRETRAINING, {"train_images": 256}),
        (PRETRAINING, {"train_images": 1024, "validation_images": 256, "batch_size": 768}),
        (PRETRAINING, {"weight_decay": 0, "seed": 7, "run": "a.b-c_d"}),
        (CLASSIFICATION, {"pretrained": False, "tuned_blocks": 0}),
        (CLASSIFICATION, {"tuned_blocks": 6, "labels_per_class": 5, "validation_images": 0, "draw": 0}),
        (PROBE, {"train_images": 1024, "validation_images": 256, "test_images": 500}),
    ],
    ids=str,
)
def test_good_settings_pass(notebook, change):
    assert problem(notebook, change) is None


@pytest.mark.parametrize(
    "notebook, change",
    [
        *(
            (PRETRAINING, {name: value})
            for name in (
                "patch_size encoder_width encoder_layers encoder_heads decoder_width decoder_layers decoder_heads mlp_ratio batch_size epochs"
            ).split()
            for value in (0, -3)
        ),
        *(
            (PRETRAINING, {name: value})
            for name in ("learning_rate", "weight_decay", "mask_ratio", "crop_area")
            for value in (-0.1, float("nan"), float("inf"))
        ),
        (PRETRAINING, {"learning_rate": 0}),
        (CLASSIFICATION, {"learning_rate": 4e3}),
        (PRETRAINING, {"patch_size": 5}),
        (PRETRAINING, {"patch_size": 64}),
        (PRETRAINING, {"mask_ratio": 0}),
        (PRETRAINING, {"mask_ratio": 1}),
        (PRETRAINING, {"mask_ratio": 0.001}),
        (PRETRAINING, {"encoder_heads": 3}),
        (PRETRAINING, {"decoder_heads": 5}),
        (PRETRAINING, {"decoder_width": 66}),
        (PRETRAINING, {"crop_area": 0}),
        (PRETRAINING, {"crop_area": 1.5}),
        (PRETRAINING, {"epochs": 20, "warmup_epochs": 20}),
        (PRETRAINING, {"warmup_epochs": -1}),
        (PRETRAINING, {"batch_size": 512, "train_images": 511}),
        (PRETRAINING, {"train_images": 50_001}),
        (PRETRAINING, {"train_images": 1024, "validation_images": 1024}),
        (PRETRAINING, {"validation_images": -1}),
        (PRETRAINING, {"seed": -1}),
        (PRETRAINING, {"seed": 2**40}),
        (PRETRAINING, {"run": "../../evil"}),
        (PRETRAINING, {"run": ""}),
        (PRETRAINING, {"run": "a/b"}),
        (PRETRAINING, {"run": ".."}),
        (PRETRAINING, {"run": "a" * 300}),
        (PRETRAINING, {"mask_ratio": 1e308}),
        (PRETRAINING, {"epochs": 10**400}),
        (CLASSIFICATION, {"epochs": 0, "warmup_epochs": 0}),
        (CLASSIFICATION, {"encoder": "runs/no-such-run"}),
        (CLASSIFICATION, {"tuned_blocks": 7}),
        (CLASSIFICATION, {"tuned_blocks": -2}),
        (CLASSIFICATION, {"labels_per_class": 5001}),
        (CLASSIFICATION, {"labels_per_class": 0}),
        (CLASSIFICATION, {"labels_per_class": 10, "validation_images": 60}),
        (CLASSIFICATION, {"validation_images": 15}),
        (CLASSIFICATION, {"label_smoothing": 1.0}),
        (PROBE, {"encoder": "runs/no-such-run"}),
        (PROBE, {"validation_images": 0}),
        (PROBE, {"test_images": 10_001}),
        (PROBE, {"train_images": 200, "validation_images": 195}),
    ],
    ids=str,
)
def test_wrong_settings_get_one_sentence(notebook, change, one_sentence):
    sentence = problem(notebook, change)
    one_sentence(sentence)
    assert any(name.upper() in sentence for name in change)


@pytest.mark.parametrize(
    "word",
    ["EPOCHS", "EPOCH=3", "EPOCHS=2.5", "EPOCHS=true", "LEARNING_RATE=nan", "WANDB=1", "MASK_RATIO='a'"],
)
def test_wrong_words_get_one_sentence(word, one_sentence):
    with pytest.raises(SystemExit) as stop:
        notebooks.parse([word], notebooks.parameters(PRETRAINING))
    one_sentence(stop.value.code.replace("'", ""))
    assert word.partition("=")[0] in stop.value.code


def test_words_become_values():
    words = ["EPOCHS=3", "LEARNING_RATE=1", "RUN=deep", "WANDB=True", "MASK_RATIO=0.9"]
    expected = {"EPOCHS": 3, "LEARNING_RATE": 1, "RUN": "deep", "WANDB": True, "MASK_RATIO": 0.9}
    found = notebooks.parse(words, notebooks.parameters(PRETRAINING))
    assert found == expected and type(found["LEARNING_RATE"]) is float


def test_refused_run_writes_nothing(one_sentence):
    """Not inside runs/, and not outside."""
    folders = [ROOT / "evil", ROOT.parent / "evil", ROOT / "runs" / "ci-refused"]
    for run in ("../evil", "../../evil", "ci-refused"):
        with pytest.raises(SystemExit) as stop:
            notebooks.run(PRETRAINING, RUN=run, ENCODER_LAYERS=0 if run == "ci-refused" else 1)
        one_sentence(stop.value.code)
    assert not any(path.exists() for path in folders)


def test_another_run_in_the_folder_is_refused(tmp_path, monkeypatch, one_sentence):
    """Other settings, another encoder behind the same path, another backend, or a run that no command began."""
    start = {"backend": "tensorflow", "commit": None}
    monkeypatch.setattr(notebooks, "ROOT", tmp_path)
    monkeypatch.setattr(notebooks, "provenance", lambda: dict(start))
    (tmp_path / "encoder.keras").write_bytes(b"one")
    folder, settings = tmp_path / "runs" / "a", {"run": "a", "seed": 0, "encoder": "."}

    def refused(settings, says):
        files = {path: path.read_bytes() for path in folder.iterdir()}
        with pytest.raises(SystemExit) as stop:
            notebooks.open_run(folder, settings)
        one_sentence(stop.value.code)
        assert says in stop.value.code
        assert {path: path.read_bytes() for path in folder.iterdir()} == files

    notebooks.open_run(folder, settings)
    assert notebooks.read(folder / "settings.json") == settings
    notebooks.open_run(folder, settings)  # the same again goes on
    refused(settings | {"seed": 1}, "seed")
    (tmp_path / "encoder.keras").write_bytes(b"two")
    refused(settings, "the file in ENCODER")
    (tmp_path / "encoder.keras").write_bytes(b"one")
    start["backend"] = "jax"
    refused(settings, "KERAS_BACKEND")
    (folder / "settings.json").unlink()
    (folder / "checkpoint.weights.h5").write_bytes(b"weights")
    refused(settings, "not started by this command")


def test_a_run_that_goes_on_with_other_code_says_so(tmp_path, monkeypatch, capsys):
    """In provenance.json, so in its card, and each time; a finished run stays as it is."""
    start = {"backend": "tensorflow", "commit": "1", "versions": {"keras": "3"}, "hardware": "2 cores"}
    monkeypatch.setattr(notebooks, "provenance", lambda: dict(start))
    notebooks.open_run(tmp_path / "a", {"run": "a"})
    notebooks.open_run(tmp_path / "a", {"run": "a"})
    assert notebooks.read(tmp_path / "a" / "provenance.json") == start and not capsys.readouterr().out
    old = start | {}
    start["commit"] = "2"
    notebooks.open_run(tmp_path / "a", {"run": "a"})
    assert notebooks.read(tmp_path / "a" / "provenance.json") == old | {"went_on_with": [{"commit": "2"}]}
    assert "goes on, with a change (commit)" in capsys.readouterr().out
    notebooks.open_run(tmp_path / "a", {"run": "a"})  # nothing has changed since
    start |= {"commit": "1", "hardware": "a GPU"}
    notebooks.open_run(tmp_path / "a", {"run": "a"})
    told = [{"commit": "2"}, {"commit": "1", "hardware": "a GPU"}]
    assert notebooks.read(tmp_path / "a" / "provenance.json") == old | {"went_on_with": told}
    notebooks.open_run(tmp_path / "a", {"run": "a"}, processes=2)
    told.append({"processes": 2})
    assert notebooks.read(tmp_path / "a" / "provenance.json") == old | {"went_on_with": told}
    notebooks.write(tmp_path / "a" / "results.json", {})
    start["commit"] = "3"
    notebooks.open_run(tmp_path / "a", {"run": "a"})
    assert notebooks.read(tmp_path / "a" / "provenance.json")["went_on_with"] == told


def test_a_folder_in_use_is_refused(tmp_path, monkeypatch, one_sentence):
    """As long as the other process lives, and no longer."""
    monkeypatch.setattr(notebooks, "provenance", lambda: {})
    code = "import fcntl, os, sys; fcntl.flock(os.open(sys.argv[1], os.O_RDONLY), fcntl.LOCK_EX); print(flush=True); input()"
    (tmp_path / "a").mkdir()
    command = [sys.executable, "-c", code, tmp_path / "a"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        with pytest.raises(SystemExit) as stop:
            notebooks.open_run(tmp_path / "a", {"run": "a"})
        one_sentence(stop.value.code)
        assert "in use" in stop.value.code and not list((tmp_path / "a").iterdir())
        other.kill()
    notebooks.open_run(tmp_path / "a", {"run": "a"})
    notebooks.open_run(tmp_path / "a", {"run": "a"})  # the same process may, again and again


def test_a_refused_quickstart_counts_no_seconds(tmp_path, monkeypatch):
    """Its folder holds another run: what lies there stays as it is."""
    monkeypatch.setattr(notebooks, "ROOT", tmp_path)
    monkeypatch.setattr(notebooks, "provenance", lambda: {})
    monkeypatch.setattr(notebooks, "parameters", lambda _: {"RUN": "mae"})
    monkeypatch.setattr(notebooks, "problem", lambda _: None)
    folder = tmp_path / "runs" / "quickstart"
    folder.mkdir(parents=True)
    for name, content in ("settings", {"run": "another"}), ("provenance", {}), ("quickstart", {"seconds": 5}):
        notebooks.write(folder / f"{name}.json", content)
    with pytest.raises(SystemExit, match="other settings"):
        notebooks.quickstart()
    assert notebooks.read(folder / "quickstart.json") == {"seconds": 5}


def test_rows_in_logs_do_not_make_a_commit_dirty(tmp_path, monkeypatch):
    """Each row of a table names the commit, and comes after another row; a change of the code does count."""

    def git(*words):
        who = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
        return subprocess.run(
            ["git", *who, *words], cwd=tmp_path, check=True, capture_output=True, text=True
        ).stdout

    monkeypatch.setattr(notebooks, "ROOT", tmp_path)
    monkeypatch.setattr(notebooks, "machine", lambda backend: {})
    assert notebooks.provenance() == {"commit": None}
    git("init")
    (tmp_path / "logs").mkdir()
    table, code = tmp_path / "logs" / "a.csv", tmp_path / "code.py"
    table.write_text("a\n")
    code.write_text("a\n")
    git("add", ".")
    git("commit", "-m", "one")
    head = git("rev-parse", "HEAD").strip()
    notebooks.add_row(table, {"a": 1})
    assert notebooks.provenance() == {"commit": head}
    code.write_text("b\n")
    assert notebooks.provenance() == {"commit": f"{head}-dirty"}


def test_a_repository_around_this_one_says_nothing(tmp_path, monkeypatch):
    """A copy without git of its own, inside somebody's repository, has no commit."""
    (tmp_path / "copy").mkdir()
    git = ["git", "-C", tmp_path, "-c", "user.name=a", "-c", "user.email=a"]
    for words in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "theirs"]):
        subprocess.run([*git, *words], check=True)
    monkeypatch.setattr(notebooks, "machine", lambda _: {})
    for root, known in ((tmp_path, True), (tmp_path / "copy", False)):
        monkeypatch.setattr(notebooks, "ROOT", root)
        assert bool(notebooks.provenance()["commit"]) == known


@pytest.mark.parametrize("losses, epoch", [("2.1 1.9", None), ("2.1 nan", 2), ("inf nan", 1), ("", None)])
def test_a_loss_that_is_no_number_is_found(tmp_path, one_sentence, losses, epoch):
    rows = [f"{i},{loss},1.0" for i, loss in enumerate(losses.split())]
    (tmp_path / "history.csv").write_text("\n".join(["epoch,loss,seconds", *rows]) + "\n")
    said = notebooks.diverged(tmp_path)
    if epoch:
        one_sentence(said)
        assert f"epoch {epoch}:" in said
    else:
        assert said is None


def test_make_quotes_what_it_is_given():
    """Blanks, quotes and signs that a shell would read; what is not for the notebook stays out."""
    given = {"IMAGES": "Anna's (old) photos; $x & more", "RUN": "a", "KERAS_BACKEND": "jax", "SEED": "1"}
    words = [f"{name}={value}" for name, value in given.items()]
    done = subprocess.run(
        ["make", "-n", "--no-print-directory", "pretrain", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    command = shlex.split(done.stdout.splitlines()[-1])
    assert command[1:3] == ["scripts/notebooks.py", PRETRAINING]
    assert sorted(command[3:]) == sorted(word for word in words if not word.startswith("KERAS"))


def test_rows_stand_under_their_headings(tmp_path):
    """In the order of the file, whatever that of the row; a new column is an error, and nothing is written."""
    table = tmp_path / "a.csv"
    notebooks.add_row(table, {"a": 1, "b": 2})
    notebooks.add_row(table, {"b": 4, "a": 3})
    with pytest.raises(ValueError):
        notebooks.add_row(table, {"a": 5, "c": 6})
    assert table.read_text() == "a,b\n1,2\n3,4\n"
    table.write_text(table.read_text().rstrip("\n"))  # as some editors leave it
    notebooks.add_row(table, {"a": 5, "b": 6})
    assert table.read_text() == "a,b\n1,2\n3,4\n5,6\n"


def test_commits_in_few_letters():
    """Code that nobody can check out is not shown as a commit."""
    commits = "0123456789", "0123456789-dirty", None
    assert [notebooks.short(commit) for commit in commits] == ["0123456", "0123456-dirty", "no commit"]


def test_backend_that_is_not_there_gets_one_sentence(monkeypatch, one_sentence):
    monkeypatch.setenv("KERAS_BACKEND", "abacus")
    with pytest.raises(SystemExit) as stop:
        notebooks.provenance()
    one_sentence(stop.value.code)
    assert "abacus" in stop.value.code


@pytest.mark.parametrize("what", ["card", "digest"])
def test_foreign_encoder_is_refused(tmp_path, monkeypatch, what, one_sentence):
    monkeypatch.setattr(notebooks, "ROOT", tmp_path)
    (tmp_path / "encoder.keras").write_bytes(b"weights")
    if what == "digest":
        (tmp_path / "card.json").write_text('{"sha256": {"encoder.keras": "0"}}')
    one_sentence(notebooks.foreign("."))
    assert "SHA-256" in notebooks.foreign(".")
    notebooks.write(
        tmp_path / "card.json", {"sha256": {"encoder.keras": notebooks.sha256(tmp_path / "encoder.keras")}}
    )
    assert notebooks.foreign(".") is None
