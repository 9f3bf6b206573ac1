"""Releases: numbers reach the cards, and `make verify` notices files and numbers that are not what they should be."""

import base64
import io
import json
import shutil
import subprocess
import time

import keras
import numpy as np
import pytest
import readme
import release
from conftest import ROOT
from PIL import Image

ENCODERS = sorted(path.parent for path in ROOT.glob("weights/*/encoder.keras"))
MODELS = sorted(path.parent for path in ROOT.glob("weights/*/card.json"))
TESTS = {"probe, final tokens", "probe, all blocks", "neighbours"}


@pytest.fixture
def copy(tmp_path):
    """A copy of one released encoder, with its logs, in a repository of its own; returns its folder."""
    name = ENCODERS[0].name
    for part in ("weights", "logs"):
        shutil.copytree(ROOT / part / name, tmp_path / part / name)
    return tmp_path / "weights" / name


def record(folder, accuracy, digest=None, where="weights"):
    """What a probe run would have written about the encoder in `folder`, and the runner's provenance."""
    card = json.loads((folder / "card.json").read_text())
    rates = {"untrained": {"learning_rate": 1.0}, "trained": {"learning_rate": 0.1}}
    test = {
        test: {
            state: {"accuracy": accuracy} | (rate if "probe" in test else {}) for state, rate in rates.items()
        }
        for test in TESTS
    }
    return {
        "encoder": f"{where}/{folder.name}",
        "sha256": digest or card["sha256"]["encoder.keras"],
        "seed": card["settings"]["seed"],
        "images": {"training": 50_000, "of these validation": 5_000, "test": 10_000},
        "test": test,
    }


def test_probe_results_reach_the_card_and_the_logs(copy):
    root = copy.parent.parent
    release.share_probe(record(copy, 12.34), root)
    card = json.loads((copy / "card.json").read_text())
    assert release.stated(card) == dict.fromkeys(TESTS, 12.34)
    assert release.logged(copy, root) == card["results"]
    assert json.loads((root / "logs" / copy.name / "probe.json").read_text())["seed"] == 0
    release.write_card(copy.name, root)  # a second release of the same weights keeps them
    assert json.loads((copy / "card.json").read_text()) == card


def test_probe_of_another_encoder_is_refused(copy, one_sentence):
    root, before = copy.parent.parent, (copy / "card.json").read_text()
    with pytest.raises(SystemExit) as stop:
        release.share_probe(record(copy, 12.34, digest="0" * 64), root)
    one_sentence(str(stop.value))
    assert (copy / "card.json").read_text() == before


@pytest.mark.parametrize(
    "change",
    [
        {"images": {"training": 1000, "test": 10_000}},
        {"images": {"training": 50_000, "of these validation": 1000, "test": 10_000}},
        {"encoder": "runs/same"},
        {"encoder": "."},
        {"seed": 7},
    ],
    ids=str,
)
def test_probe_that_is_no_release_is_refused(copy, one_sentence, change):
    root, before = copy.parent.parent, (copy / "card.json").read_text()
    another_seed(copy, "same", json.loads((root / "logs" / copy.name / "settings.json").read_text())["seed"])
    with pytest.raises(SystemExit) as stop:
        release.share_probe(record(copy, 12.34) | change, root)
    one_sentence(str(stop.value))
    assert (copy / "card.json").read_text() == before and not (root / "logs" / "seeds.csv").exists()


def test_probe_with_another_seed_than_its_encoder_is_refused(copy, one_sentence):
    """The untrained encoder follows from the probe's seed: with one for all, the floors of all seeds would be the same."""
    root = copy.parent.parent
    another_seed(copy, "b", 2)
    with pytest.raises(SystemExit) as stop:
        release.share_probe(record(copy, 50) | {"encoder": "runs/b"}, root)
    one_sentence(str(stop.value))
    assert "SEED=2" in str(stop.value) and not (root / "logs" / "seeds.csv").exists()


def test_a_released_run_with_fewer_images(copy, monkeypatch):
    """Its row stands beside that of the same seed with all images, and counts as no seed of the released run."""
    root, name = copy.parent.parent, copy.name
    release.share_probe(record(copy, 50), root)
    for run, seed, images, accuracy in (
        ("few", 0, 40_000, 40),
        ("all", 2, 50_000, 52),
        ("same", 2, 40_000, 42),
    ):
        another_seed(copy, run, seed, train_images=images)
        release.share_probe(record(copy, accuracy) | {"encoder": f"runs/{run}", "seed": seed}, root)
    monkeypatch.setattr(readme, "LOGS", root / "logs")
    found = [(row["train_images"], row["seed"], row["neighbours"]) for row in readme.unreleased(name)]
    assert found == [("50000", "2", "52"), ("40000", "0", "40"), ("40000", "2", "42")]
    assert [row["neighbours"] for row in readme.seeds(name)] == ["52"]
    assert readme.means(name, "neighbours") == "51.00 ± 1.41 (51.00 ± 1.41)"
    monkeypatch.setattr(readme, "released", lambda: [name])
    lines = [line.split(" | ")[1:4] for line in readme.every_seed().splitlines()[2:]]
    assert [(images, seed) for images, seed, _ in lines] == [
        ("50,000", "0"),
        ("50,000", "2"),
        ("40,000", "0"),
        ("40,000", "2"),
    ]


def another_seed(copy, name, seed, **change):
    """runs/<name>/ beside a copied encoder: its run with another seed."""
    root = copy.parent.parent
    folder = root / "runs" / name
    shutil.copytree(root / "logs" / copy.name, folder)
    settings = json.loads((folder / "settings.json").read_text()) | {"seed": seed, "run": name} | change
    (folder / "settings.json").write_text(json.dumps(settings))


def test_other_seeds_of_a_released_run(copy, one_sentence, monkeypatch):
    """They go to one table, a row each; the README tells mean and spread of all, but not of runs with other settings."""
    root, name = copy.parent.parent, copy.name
    release.share_probe(record(copy, 50), root)
    for run, seed, accuracy in (("b", 2, 99), ("b", 2, 52), ("a", 1, 54)):
        shutil.rmtree(root / "runs" / run, ignore_errors=True)
        another_seed(copy, run, seed)
        release.share_probe(record(copy, accuracy) | {"encoder": f"runs/{run}", "seed": seed}, root)
    monkeypatch.setattr(readme, "LOGS", root / "logs")
    assert [(row["seed"], row["neighbours"]) for row in readme.seeds(name)] == [("1", "54"), ("2", "52")]
    assert readme.means(name, "neighbours") == "52.00 ± 2.00 (52.00 ± 2.00)"
    row = readme.seeds(name)[0]
    rates = {column.removesuffix(", learning rate"): row[column] for column in row if "rate" in column}
    assert rates == {
        f"{test}{which}": rate
        for test in readme.TESTS[:2]
        for which, rate in (("", "0.1"), (", untrained", "1.0"))
    }
    another_seed(copy, "longer", 3, epochs=7)
    with pytest.raises(SystemExit) as stop:
        release.share_probe(record(copy, 60) | {"encoder": "runs/longer"}, root)
    one_sentence(str(stop.value))
    (root / "runs" / "longer" / "settings.json").unlink()
    with pytest.raises(SystemExit) as stop:
        release.share_probe(record(copy, 60) | {"encoder": "runs/longer"}, root)
    assert "no other seed" in str(stop.value)
    settings = root / "logs" / name / "settings.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"epochs": 7}))  # released anew
    assert readme.seeds(name) == [] and readme.means(name, "neighbours") == "50.00 (50.00)"


def test_new_weights_lose_the_old_results(copy):
    root = copy.parent.parent
    release.share_probe(record(copy, 12.34), root)
    log = root / "logs" / copy.name / "card.json"
    log.write_text(log.read_text().replace(json.loads(log.read_text())["sha256"]["encoder.keras"], "0" * 64))
    release.write_card(copy.name, root)
    assert "results" not in json.loads((copy / "card.json").read_text())


def test_damaged_files_are_named(copy, one_sentence):
    root = copy.parent.parent
    assert release.damaged(copy, root) == ""
    shutil.copy(copy / "card.json", root)
    card = json.loads((copy / "card.json").read_text())
    card["results"]["neighbours"]["untrained"]["accuracy"] += 0.01
    (copy / "card.json").write_text(json.dumps(card))
    assert "results in logs/" in release.damaged(copy, root)
    one_sentence(release.damaged(copy, root))
    shutil.copy(root / "card.json", copy)
    weights = bytearray((copy / "encoder.keras").read_bytes())
    weights[len(weights) // 2] ^= 1
    (copy / "encoder.keras").write_bytes(weights)
    assert "encoder.keras" in release.damaged(copy) and "SHA-256" in release.damaged(copy)
    (copy / "encoder.keras").unlink()
    assert "missing" in release.damaged(copy)
    one_sentence(release.damaged(copy))


@pytest.mark.parametrize(
    "measured, card, well",
    [
        ({"a": 60.3}, {"a": 60.0}, True),
        ({"a": 60.6}, {"a": 60.0}, False),
        ({"a": 59.4}, {"a": 60.0}, False),
        ({"a": 60.0}, {"a": 60.0, "b": 1.0}, False),
        ({"a": 60.0, "b": 1.0}, {"a": 60.0}, False),
    ],
)
def test_only_matching_numbers_pass(measured, card, well):
    lines, passed = release.check("name", measured, card)
    assert passed is well and len(lines) >= len(measured)


def test_measuring_tells_a_trained_encoder_from_a_random_one(copy, cifar10):
    """On few images, the released weights do better in all three tests than other weights in the same file."""
    arrays = [array[:count] for array, count in zip(cifar10, (3000, 3000, 1000, 1000))]
    trained = release.answers(copy, arrays)
    assert set(trained) == TESTS and all(len(right) == 1000 for right in trained.values())
    keras.utils.set_random_seed(0)
    twin = keras.models.clone_model(keras.saving.load_model(copy / "encoder.keras"))
    twin.save(copy / "encoder.keras")
    untrained = release.answers(copy, arrays)
    gains = {test: release.paired_difference(untrained[test], trained[test]) for test in TESTS}
    assert all(gain > 4 and gain > margin for gain, margin in gains.values()), gains


@pytest.mark.parametrize("wrong", [False, True])
def test_verifying_ends_with_what_it_found(copy, monkeypatch, capsys, wrong):
    """A point less than the card states, in one test of three, is not as stated."""
    card = release.stated(json.loads((copy / "card.json").read_text()))
    rights = {test: np.arange(10_000) < round(100 * accuracy) for test, accuracy in card.items()}
    if wrong:
        rights["neighbours"] = rights["neighbours"] & (np.arange(10_000) >= 100)
    monkeypatch.setattr(release, "damaged", lambda folder: "")
    monkeypatch.setattr(
        release, "measured", lambda folder: {test: right.tolist() for test, right in rights.items()}
    )
    with pytest.raises(SystemExit) as stop:
        release.verify(str(copy), str(copy))
    assert bool(stop.value.code) == wrong
    assert ("NOT as stated" in capsys.readouterr().out) == wrong


def test_nothing_to_verify_is_not_well(tmp_path, monkeypatch):
    monkeypatch.setattr(release, "ROOT", tmp_path)
    with pytest.raises(SystemExit) as stop:
        release.verify()
    assert stop.value.code


def test_missing_card_is_not_well(copy, capsys):
    (copy / "card.json").unlink()
    with pytest.raises(SystemExit) as stop:
        release.verify(str(copy))
    assert stop.value.code and "NOT as stated" in capsys.readouterr().out


@pytest.mark.parametrize("folder", MODELS, ids=lambda folder: folder.name)
def test_cards_repeat_the_logs(folder):
    """The card is the run's own, plus what the logs say was measured."""
    card = json.loads((folder / "card.json").read_text())
    assert card.pop("results") == release.logged(folder)
    assert card == json.loads((ROOT / "logs" / folder.name / "card.json").read_text())


def test_outputs_are_given_to_the_same_code_only(tmp_path):
    """Text may have been edited since the run; code may not."""
    cells = [
        {"cell_type": "markdown", "source": ["old"], "metadata": {}},
        {"cell_type": "code", "source": ["1 + 1"], "metadata": {}, "outputs": [], "execution_count": None},
    ]
    ours, executed = tmp_path / "ours.ipynb", tmp_path / "executed.ipynb"
    ran = [cells[0], cells[1] | {"outputs": [{"output_type": "stream", "text": ["2"]}], "execution_count": 1}]
    executed.write_text(json.dumps({"cells": ran}))
    ours.write_text(json.dumps({"cells": [cells[0] | {"source": ["new"]}, cells[1]]}))
    assert release.give_outputs(executed, ours)
    result = json.loads(ours.read_text())["cells"]
    assert result[0]["source"] == ["new"] and result[1]["outputs"][0]["text"] == ["2"]
    ours.write_text(json.dumps({"cells": [cells[0], cells[1] | {"source": ["1 + 2"]}]}))
    assert not release.give_outputs(executed, ours)


def test_title_picture_follows_the_run(tmp_path):
    """An attached picture that the run has drawn anew is replaced, another one stays; opacity is left out where it hides nothing."""
    attachments = {name: {"image/png": "old"} for name in ("drawn.png", "kept.png")}
    cells = [{"cell_type": "markdown", "source": ["title"], "metadata": {}, "attachments": attachments}]
    ours, executed = tmp_path / "ours.ipynb", tmp_path / "run" / "ours.ipynb"
    executed.parent.mkdir()
    for path in (ours, executed):
        path.write_text(json.dumps({"cells": cells}))
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 4), "uint8")
    for opacity, channels in ((pixels[..., 3], 4), (255, 3)):
        pixels[..., 3] = opacity
        Image.fromarray(pixels).save(executed.with_name("drawn.png"))
        assert release.give_outputs(executed, ours)
        attachments = json.loads(ours.read_text())["cells"][0]["attachments"]
        drawn = base64.b64decode(attachments.pop("drawn.png")["image/png"])
        assert np.array_equal(Image.open(io.BytesIO(drawn)), pixels[..., :channels])
        assert attachments == {"kept.png": {"image/png": "old"}}


def test_tries_and_unfinished_runs_are_not_released(monkeypatch, tmp_path, one_sentence):
    """Nor is a run over another one that had other settings."""
    monkeypatch.setattr(release, "ROOT", tmp_path)
    run = tmp_path / "runs" / "a"
    run.mkdir(parents=True)

    def refused(*words):
        with pytest.raises(SystemExit) as stop:
            release.publish(*words)
        one_sentence(str(stop.value))
        return str(stop.value)

    assert "no finished run" in refused("a") and "no finished run" in refused("", "b")
    (run / "settings.json").write_text(json.dumps({"run": "a", "seed": 0}))
    (run / "results.json").write_text(json.dumps({"measured_on": "validation"}))
    assert "validation" in refused("a")
    (run / "results.json").write_text(json.dumps({"measured_on": "test"}))
    assert "card.json" in refused("a", "b")
    keras.Sequential([keras.Input((10,)), keras.layers.Dense(100)]).save(run / "encoder.keras")
    (run / "card.json").write_text(
        json.dumps({"sha256": {"encoder.keras": release.sha256(run / "encoder.keras")}})
    )
    release.publish("a", "b")
    released = tmp_path / "weights" / "b" / "encoder.keras"
    before, digest = released.read_bytes(), release.sha256(released)
    (run / "settings.json").write_text(json.dumps({"run": "again", "seed": 0}))
    time.sleep(1.1)  # HDF5 and ZIP would note another second
    release.publish("a", "b")
    assert released.read_bytes() == before, "equal weights, equal bytes"
    assert released.stat().st_size < (run / "encoder.keras").stat().st_size
    ours, theirs = (keras.saving.load_model(path).get_weights() for path in (run / "encoder.keras", released))
    assert all(map(np.array_equal, ours, theirs)), "compressed without loss"
    for card in ("logs/b/card.json", "weights/b/card.json"):
        assert json.loads((tmp_path / card).read_text())["sha256"] == {"encoder.keras": digest}
    (run / "encoder.keras").write_bytes(b"others")
    assert "SHA-256" in refused("a", "b")
    (run / "encoder.keras").unlink()
    assert "SHA-256" in refused("a", "b")
    (run / "settings.json").write_text(json.dumps({"run": "a", "seed": 1}))
    assert "other settings" in refused("a", "b")
    assert json.loads((tmp_path / "logs" / "b" / "settings.json").read_text())["seed"] == 0
    assert released.read_bytes() == before


@pytest.mark.parametrize("name", ["weights/b", "../b", "b/", "."])
def test_a_release_is_a_name_and_no_folder(monkeypatch, tmp_path, one_sentence, name):
    """Else its files would lie where neither a table nor `make verify` looks."""
    monkeypatch.setattr(release, "ROOT", tmp_path)
    run = tmp_path / "runs" / "a"
    run.mkdir(parents=True)
    (run / "settings.json").write_text(json.dumps({"run": "a", "seed": 0}))
    (run / "results.json").write_text(json.dumps({"measured_on": "test"}))
    keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)]).save(run / "encoder.keras")
    card = {"sha256": {"encoder.keras": release.sha256(run / "encoder.keras")}}
    (run / "card.json").write_text(json.dumps(card))
    with pytest.raises(SystemExit) as stop:
        release.publish("a", name)
    one_sentence(str(stop.value))
    assert "without folders" in str(stop.value) and [path.name for path in tmp_path.iterdir()] == ["runs"]


def test_a_probe_takes_no_name(copy, monkeypatch, one_sentence):
    """Given the name of its encoder's release, it is not taken for another run that would have to be deleted first."""
    root = copy.parent.parent
    monkeypatch.setattr(release, "ROOT", root)
    run = root / "runs" / copy.name
    run.mkdir(parents=True)
    (run / "results.json").write_text(json.dumps(record(copy, 12.34)))
    (run / "provenance.json").write_text("{}")
    with pytest.raises(SystemExit) as stop:
        release.publish(copy.name)
    one_sentence(str(stop.value))
    assert "settings.json" in str(stop.value)
    (run / "settings.json").write_text(json.dumps({"run": copy.name, "seed": 7}))
    with pytest.raises(SystemExit) as stop:
        release.publish(copy.name, copy.name)
    one_sentence(str(stop.value))
    assert "leave AS out" in str(stop.value)
    monkeypatch.setattr(release, "share_probe", lambda results: shared.append(results["seed"]))
    shared = []
    release.publish(copy.name)
    assert shared == [0]


def test_comparing_needs_two_sound_encoders(one_sentence, capsys, monkeypatch):
    """And compares them image by image."""
    for names in ((), ("a",), (ENCODERS[0].name, "no-such-encoder")):
        with pytest.raises(SystemExit) as stop:
            release.compare(*names)
        one_sentence(str(stop.value))
    answers = iter([{"neighbours": [True, False, True, False]}, {"neighbours": [True, True, True, False]}])
    monkeypatch.setattr(release, "measured", lambda folder: next(answers))
    release.compare(ENCODERS[0].name, ENCODERS[1].name)
    assert "+25.00 (± 42.44)" in capsys.readouterr().out


def test_repository_stays_light():
    """What git tracks is under 30 MB, so that a copy is quick and fits where space is short."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git repository")
    files = [ROOT / name for name in listed.stdout.split("\0") if name]
    assert sum(path.stat().st_size for path in files if path.exists()) < 30e6
