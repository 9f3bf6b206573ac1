"""The README says what the logs say, links to what exists, and names commands that there are."""

import base64
import csv
import functools
import http.server
import itertools
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import threading

import corruptions
import few_labels
import keras
import notebooks
import numpy as np
import pytest
import readme
import variants
from conftest import interpreter
from notebooks import ROOT
from PIL import Image

README = (ROOT / "README.md").read_text()
LABELS = (ROOT / "docs" / "labels.md").read_text()


@pytest.mark.parametrize("document", readme.DOCUMENTS)
def test_tables_are_those_of_the_logs(document):
    assert readme.filled(document) == (ROOT / document).read_text(), (
        f"{document} differs from logs/: run `make results`"
    )


@pytest.mark.parametrize("name", sorted(path.parent.name for path in ROOT.glob("logs/*/settings.json")))
def test_logged_runs_can_be_repeated(name):
    """Their settings are the parameters of one of the notebooks, all of them; of models that it does not build, it says so."""
    logged = readme.log(name, "settings")
    if "variant" in logged:
        with pytest.raises(SystemExit) as error:
            notebooks.plan(name, "SEED=7")
        variant, *words = re.search("`make variant NAME=(.*)`", str(error.value))[1].split()
        defaults = notebooks.parameters(notebooks.PRETRAINING) | variants.VARIANTS[variant].settings
        settings = defaults | notebooks.parse(words, defaults)
        assert {key.lower(): value for key, value in settings.items()} == {
            key: value for key, value in logged.items() if key != "variant"
        } | {"seed": 7, "run": f"{name}-seed7"}
        return
    notebook, parameters = notebooks.plan(name)
    assert parameters["RUN"] == f"{name}-again"
    assert notebooks.plan(name, "SEED=7") == (notebook, parameters | {"SEED": 7, "RUN": f"{name}-seed7"})
    settings = {key.lower(): value for key, value in (notebooks.parameters(notebook) | parameters).items()}
    assert notebooks.problem(settings) is None
    assert {"images": ""} | logged | {"run": settings["run"]} == settings


def test_a_repeated_run_has_its_own_settings(one_sentence):
    with pytest.raises(SystemExit) as stop:
        notebooks.plan(readme.BASE, "EPOCHS=5")
    one_sentence(stop.value.code)
    assert "takes SEED only" in stop.value.code


def test_a_run_older_than_a_parameter_is_not_repeated(monkeypatch, one_sentence):
    known = notebooks.parameters
    monkeypatch.setattr(notebooks, "parameters", lambda notebook: known(notebook) | {"NEW": True})
    with pytest.raises(SystemExit) as stop:
        notebooks.plan("mae-3x1-mask60-100ep")
    one_sentence(str(stop.value))
    assert "older than NEW" in str(stop.value) and readme.log("mae-3x1-mask60-100ep", "card")["commit"][
        :7
    ] in str(stop.value)


@pytest.mark.parametrize(
    "notebook, picture",
    [
        (notebooks.PRETRAINING, "mae-6x2-mask75-100ep/reconstructions.png"),
        (notebooks.CLASSIFICATION, "labels.png"),
    ],
)
def test_title_picture_is_that_of_the_logs(notebook, picture):
    """The picture at the head of a notebook is the README's."""
    (attached,) = (c["attachments"] for c in notebooks.cells(notebook, "markdown") if "attachments" in c)
    path = ROOT / "logs" / picture
    assert base64.b64decode(attached[path.name]["image/png"]) == path.read_bytes()


def test_tables_follow_the_logs(monkeypatch):
    """A number that changes in the logs changes the README."""
    log = readme.log
    monkeypatch.setattr(
        readme, "log", lambda run, name: log(run, name) | ({"accuracy": 12.34} if name == "results" else {})
    )
    assert "12.34" in readme.filled("weights/README.md")


def test_address_stands_everywhere_or_nowhere():
    repository = re.search(r"^REPOSITORY *=(.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[1].strip()
    for name, content in readme.addressed(repository).items():
        assert (ROOT / name).read_text() == content, (
            f"{name} has another address than the Makefile: run `make address`"
        )


def test_address_needs_no_packages():
    """`make address` runs before any environment is set up."""
    command = [sys.executable, "-S", "-c", "import readme; readme.addressed('')"]  # -S: without site-packages
    done = subprocess.run(command, cwd=ROOT / "scripts", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_address_reaches_badges_and_downloads():
    files = readme.addressed("https://github.com/owner/name")
    assert "colab.research.google.com/github/owner/name/blob/main/linear-probe.ipynb" in files["README.md"]
    for name in notebooks.NOTEBOOKS:
        assert f"owner/name/blob/main/{name}" in "".join(json.loads(files[name])["cells"][0]["source"])


@pytest.mark.parametrize(
    "document",
    [
        "README.md",
        "weights/README.md",
        "logs/README.md",
        "docs/differences.md",
        "docs/labels.md",
        "docs/scale.md",
        "docs/own-images.md",
        "ablations/README.md",
    ],
)
def test_links_lead_somewhere(document):
    text = re.sub(r"```.*?```", "", (ROOT / document).read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not target.startswith("http"):
            name, _, heading = target.partition("#")
            path = (ROOT / document).parent / name if name else ROOT / document
            assert path.exists(), target
            headings = re.findall(r"^#+ (.*)", path.read_text(), re.MULTILINE) if heading else []
            slugs = {re.sub(r"[^\w -]", "", found).lower().replace(" ", "-") for found in headings}
            assert not heading or heading in slugs, target


def test_commands_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    text = "".join(path.read_text() for path in (*ROOT.glob("*.md"), *ROOT.glob("[adlw]*/*.md")))
    assert set(re.findall(r"(?:^|`)make ([a-z-]+)", text, re.MULTILINE)) <= targets
    words = " ".join("".join(found) for found in re.findall(r'\bN=(?:"([^"]+)"|([\w-]+))', text)).split()
    assert words and set(words) <= set(few_labels.plans())


FIVE_LINES = re.search(r"```python\n(.*?)```", README, re.DOTALL)[1]


@pytest.mark.parametrize("name", ["tensorflow", "jax", "torch", "colab"])
def test_the_five_lines_run(name, tmp_path):
    """What the README shows for using the weights works as it stands, with the same result everywhere."""
    python, backend = interpreter(name)
    seeded = FIVE_LINES.replace(
        "images =", "np.random.seed(0); images ="
    )  # importing JAX draws random numbers
    code = f"{seeded}np.save({str(tmp_path / 'f.npy')!r}, features)"
    subprocess.run([python, "-c", code], cwd=ROOT, env=os.environ | {"KERAS_BACKEND": backend}, check=True)
    np.random.seed(0)
    images = np.random.randint(0, 256, (8, 32, 32, 3))
    encoder = keras.saving.load_model(ROOT / re.search(r'"(.*encoder\.keras)"', FIVE_LINES)[1])
    np.testing.assert_allclose(np.load(tmp_path / "f.npy"), encoder.predict(images).mean(axis=1), atol=1e-4)


def test_lines_of_the_weights_readme_run(monkeypatch):
    monkeypatch.chdir(ROOT)
    space = {}
    for code in re.findall(r"```python\n(.*?)```", (ROOT / "weights" / "README.md").read_text(), re.DOTALL):
        exec(code, space)
    assert space["tokens"].shape == (8, 64, 128) and space["features"].shape == (8, 9 * 128)
    masked, images = np.array(space["mask"]) == 1, space["images"]
    visible = (
        np.array(space["mae"]["patchify"](images, 4))[~masked],
        np.array(space["mae"]["patchify"](space["painted"], 4))[~masked],
    )
    assert space["painted"].shape == images.shape and np.array_equal(*visible)


def test_weights_can_be_fetched_without_the_repository(tmp_path):
    """With an address, the README's download works, and refuses a file that is not the one it names."""
    (tmp_path / "raw").mkdir()
    shutil.copytree(ROOT / "weights", tmp_path / "raw" / "main" / "weights")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=tmp_path)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        document = readme.addressed(f"http://127.0.0.1:{server.server_port}")["README.md"]
        code = re.search(r"<!-- download -->.*```python\n(.*?)```.*<!-- /download -->", document, re.DOTALL)[
            1
        ]

        def fetch():
            return subprocess.run(
                [sys.executable, "-c", code + "print(encoder.output_shape)"],
                env=os.environ | {"KERAS_HOME": str(tmp_path / "keras")},
                capture_output=True,
                text=True,
            )

        done = fetch()
        assert done.returncode == 0 and "(None, 64, 128)" in done.stdout, done.stderr
        shutil.rmtree(tmp_path / "keras")
        for path in tmp_path.glob("raw/main/weights/*/encoder.keras"):
            path.write_bytes(path.read_bytes()[:-1])
        assert "hash" in fetch().stderr
        server.shutdown()


@pytest.mark.parametrize("table", ["ablations", "labels"])
def test_figure_is_drawn_from_the_table(table):
    with Image.open(ROOT / "logs" / f"{table}.png") as figure:
        assert figure.text["Description"] == readme.digest(f"{table}.csv"), (
            f"logs/{table}.csv has changed: run `make results`"
        )


def test_figure_of_epochs_and_layers_is_drawn_from_the_logs():
    with Image.open(ROOT / "logs" / "returns.png") as figure:
        assert figure.text["Description"] == json.dumps(readme.returns()), "run `make results`"


def test_tries_can_be_repeated():
    """What the table names stands in ablations/variants.py, under the same words."""
    with open(ROOT / "logs" / "ablations.csv") as file:
        for row in csv.DictReader(file):
            assert variants.VARIANTS[row["name"]][:2] == (row["factor"], row["value"])


def test_who_took_the_largest_rate():
    """What logs/README.md says of the probes' learning rates and of the floors."""
    (offered,) = re.findall(r"for rate in \(([^)]+)\)", "".join(notebooks.code_cells(notebooks.PROBE)))
    largest, took, floors = max(float(rate) for rate in offered.split(",")), set(), {}
    for run in readme.released():
        for test, found in readme.log(run, "probe")["test"].items():
            took |= {(run, test, state) for state in found if found[state].get("learning_rate") == largest}
            floors.setdefault((run[:7], "0", test), []).append(found["untrained"]["accuracy"])
    for row in readme.rows_of("seeds"):
        for test in readme.TESTS:
            floors.setdefault((row["run"][:7], row["seed"], test), []).append(
                float(row[f"{test}, untrained"])
            )
            for state, heading in (("trained", test), ("untrained", f"{test}, untrained")):
                if row.get(f"{heading}, learning rate") == f"{largest}":
                    took.add((row["run"], test, state))
    page = (ROOT / "logs" / "README.md").read_text()
    told = f"at most {max(max(found) - min(found) for found in floors.values()):.1f} points apart"
    assert told in page and f"Some probes of final tokens took the largest rate on offer, {largest}:" in page
    other = [row["untrained_blocks"] for row in readme.rows_of("ablations-100ep")]
    floor = readme.log(readme.BASE, "probe")["test"][readme.TESTS[1]]["untrained"]["accuracy"]
    assert f"and {float(max(other)) - floor:.1f} in [another]" in page
    assert {run for run, _, state in took if state == "trained"} == {"mae-3x1-mask75-100ep"}
    assert {test for _, test, _ in took} == {"probe, final tokens"}


def test_what_the_older_tries_say():
    """Each change has the lower loss with both seeds, and the second one the higher probe, too."""
    with open(ROOT / "logs" / "training.csv") as file:
        rows = {(row["mask_token"], row["attention"], row["seed"]): row for row in csv.DictReader(file)}
    for seed in "01":
        embedding, kernel, together = (
            rows[(*way, seed)]
            for way in (("embedding", "apart"), ("kernel", "apart"), ("kernel", "together"))
        )
        losses = [float(row["validation_loss"]) for row in (together, kernel, embedding)]
        assert losses == sorted(losses)
        assert float(together["validation_probe"]) > float(kernel["validation_probe"])


def test_gains_compare_means_over_seeds(monkeypatch, tmp_path):
    """A try with one seed, too, is compared with the base's mean of two; a seed that the base lacks does not count."""
    rows = ["name,factor,value,seed,probe,blocks,neighbours,untrained_probe,validation_loss"]
    rows += [f"base,base,,{seed},{probe},60,40,30,0.5" for seed, probe in ((0, 50), (1, 54))]
    rows += [f"new,factor,value,{seed},{probe},61,42,30,0.4" for seed, probe in ((0, 53), (1, 55), (2, 99))]
    rows.append("once,factor,other,0,53,61,42,30,0.4")
    (tmp_path / "ablations.csv").write_text("\n".join(rows))
    (tmp_path / "bench").mkdir()
    timed = {"base": {"ratio": 0.5}, "new": {"ratio": 0.4}}
    notebooks.write(tmp_path / "bench" / "cpu.json", {"contenders": timed})
    monkeypatch.setattr(readme, "LOGS", tmp_path)
    line, single = readme.variants().splitlines()[-2:]
    assert "53.00 (+1.00) | 61.00 (+1.00) | 42.00 (+2.00)" in single and single.endswith("| 1 |")
    assert "54.00 (+2.00) | 61.00 (+1.00) | 42.00 (+2.00) | 30.00 | 0.4000" in line and line.endswith(
        "| 0.80 | 2 |"
    )


def test_machines_are_compared_by_what_all_have_timed(monkeypatch, tmp_path):
    """A later run with more contenders shows them in its own table, kept runs of any age stand in the other."""
    row = {"images_per_second": 1000, "ratio": 1.0, "seconds to the first step": 3.0}
    ages = {"cpu": "ABC", "cpu-2026-02-02": "ABC", "cpu-2026-01-01": "AB"}
    (tmp_path / "bench").mkdir()
    for name, contenders in ages.items():
        record = {"hardware": f"2 CPU cores (Chip(R) of {name}); cpu:0", "commit": "0123456789"}
        record["contenders"] = {f"ours, {letter}": row for letter in contenders} | {"base": row}
        notebooks.write(tmp_path / "bench" / f"{name}.json", record)
    monkeypatch.setattr(readme, "LOGS", tmp_path)
    speeds, _, machines = readme.bench().split("\n\n")
    assert speeds.count("ours, ") == 3 and "ours, C" in speeds
    head, _, *lines = machines.splitlines()
    assert head.endswith("| B |")
    assert [line.split(" | ")[0] for line in lines] == [f"| Chip(R) of {name}" for name in ages]


def test_few_labels_are_those_of_the_chosen_rate(monkeypatch, tmp_path):
    """The rate that was best on held-out images counts, though another one is better on the test images; a tie goes to the lower."""
    monkeypatch.setattr(readme, "of_encoder", lambda rows, run=None: list(rows))
    lines = ["labels_per_class,method,draw,learning_rate,held_out,epochs,accuracy"]
    for number, methods in {10: readme.METHODS, 50: list(readme.METHODS)[:2]}.items():
        for method in methods:
            quoted = f'"{method}"'
            lines += [
                f"{number},{quoted},0,{rate},20,5,{a}" for rate, a in ((0.1, 30), (0.01, 40), (1.0, 40))
            ]
            lines += [
                f"{number},{quoted},{d},{rate},0,{epochs},{a + d}"
                for rate, epochs, a in ((0.1, 5, 70), (0.01, 5, 50), (0.01, 50, 60))
                for d in range(3)
            ]
    (tmp_path / "labels.csv").write_text("\n".join(lines) + "\n")
    monkeypatch.setattr(readme, "LOGS", tmp_path)
    assert readme.few_labels() == {(10, method): [50, 51, 52] for method in sorted(readme.METHODS)}


def test_lines_of_the_figure(monkeypatch):
    """With all labels both starts have 20 epochs; the others have the longest runs of both starts, where there are shorter
    ones, too. Runs with AdamW, from histograms, or that chose a rate, are left out."""
    keys = "labels_per_class", "method", "held_out", "epochs", "accuracy"
    rows = [
        ("50", "scratch", "0", "50", "40"),
        ("50", "scratch", "0", "500", "44"),
        ("50", "scratch", "0", "500", "45"),
        ("50", "fine-tuned", "0", "50", "58"),
        ("500", "scratch", "0", "40", "62"),
        ("500", "fine-tuned", "0", "40", "78"),
        ("5000", "scratch", "0", "20", "84"),
        ("5000", "scratch", "0", "38", "87"),
        ("5000", "scratch", "0", "57", "88"),
        ("5000", "scratch", "5000", "5", "65"),
        ("5000", "scratch, AdamW", "0", "57", "82"),
        ("5000", "fine-tuned", "0", "20", "89"),
        ("5000", "fine-tuned", "0", "57", "92"),
        ("5000", "fine-tuned", "0", "20", "99"),
    ]
    rows = [dict(zip(keys, row, strict=True)) for row in rows]
    monkeypatch.setattr(readme, "rows_of", lambda name: rows)
    monkeypatch.setattr(
        readme, "of_encoder", lambda rows, run=readme.BASE: rows[:-1] if run == readme.BASE else rows[-1:]
    )
    monkeypatch.setattr(readme, "few_labels", lambda: {(50, "scratch"): [40], (50, "fine-tuned"): [58]})
    monkeypatch.setattr(
        readme,
        "log",
        lambda run, name: {
            "test": {"probe, final tokens": {"trained": {"accuracy": 68}, "untrained": {"accuracy": 43}}}
        },
    )
    assert readme.labels_lines() == {
        "fine-tuned": {50: [58], 5000: [89]},
        "linear probe, pre-trained": {5000: [68]},
        "linear probe, untrained": {5000: [43]},
        "from scratch": {50: [40], 5000: [84]},
        "from scratch, longer": {50: [44, 45], 5000: [88]},
        "fine-tuned, longer": {5000: [92]},
    }


def test_work_with_all_labels_counts_pretraining(monkeypatch, tmp_path):
    """Runs measured on the test images, those with AdamW last, the shortest first; the weights stand at the run with the same
    learning rate and accuracy, so not those of another seed."""
    lines = ["labels_per_class,method,learning_rate,held_out,epochs,accuracy"]
    lines += [
        "5000,scratch,0.002,0,57,80.5",
        "5000,scratch,0.002,0,20,70.25",
        "5000,fine-tuned,0.001,0,20,85",
        '5000,"fine-tuned, AdamW",0.002,0,20,86',
        '5000,"scratch, AdamW",0.004,0,20,75',
        "5000,fine-tuned,0.002,0,20,86",
    ]
    lines += ["5000,fine-tuned,0.001,5000,5,99", "50,scratch,0.004,0,50,36"]
    lines += ["5000,fine-tuned,0.001,0,20,87", "5000,fine-tuned,0.002,0,20,90"]
    (tmp_path / "labels.csv").write_text("\n".join(lines) + "\n")
    monkeypatch.setattr(readme, "LOGS", tmp_path)
    monkeypatch.setattr(readme, "classifiers", lambda: ["new", "adamw", "old", "seed"])
    of = {readme.BASE: slice(-2), readme.HOG: slice(-2, -1), readme.DEEP: slice(-1, None)}
    monkeypatch.setattr(readme, "of_encoder", lambda rows, run: rows[of[run]])
    new = {"pretrained": True, "muon": True, "learning_rate": 0.001}
    for name, settings, accuracy in (
        ("new", new, 85.0),
        ("adamw", {"pretrained": False, "learning_rate": 0.004}, 75.0),
        ("old", {"labels_per_class": 50}, 36.0),
        ("seed", new | {"seed": 1}, 84.0),
    ):
        (tmp_path / name).mkdir()
        notebooks.write(tmp_path / name / "results.json", {"accuracy": accuracy})
        usual = {"labels_per_class": 5000, "blend": True, "epochs": 20, "encoder": f"weights/{readme.BASE}"}
        notebooks.write(tmp_path / name / "settings.json", usual | settings)
    assert readme.all_labels().splitlines()[2:] == [
        "| from scratch, Muon | 20 | 20 | 0.002 | 70.25 |  |",
        "| fine-tuned, Muon | 20 | 57 | 0.001 | 85.00 | [weights](../weights/new) |",
        "| fine-tuned, Muon | 20 | 57 | 0.002 | 86.00 |  |",
        "| fine-tuned from histograms, Muon | 20 | 38 | 0.001 | 87.00 |  |",
        "| fine-tuned, 9 layers, Muon | 20 | 85 | 0.002 | 90.00 |  |",
        "| from scratch, Muon | 57 | 57 | 0.002 | 80.50 |  |",
        "| fine-tuned, AdamW | 20 | 57 | 0.002 | 86.00 |  |",
        "| from scratch, AdamW | 20 | 20 | 0.004 | 75.00 | [weights](../weights/adamw) |",
    ]


def test_what_is_said_of_muon_with_labels():
    """How far the tries with each optimiser came on held-out images, each with its best rate."""
    with open(ROOT / "logs" / "labels.csv") as file:
        tries = [row for row in readme.of_encoder(csv.DictReader(file)) if row["held_out"] != "0"]
    best = {}
    for row in tries:
        key = row["labels_per_class"], row["method"]
        best[key] = max(best.get(key, (0, 0)), (float(row["accuracy"]), float(row["learning_rate"])))
    (old, _), (new, rate) = best["5000", "scratch, AdamW"], best["5000", "scratch"]
    among = {}
    for row in tries:
        if row["labels_per_class"] == "5000" and "AdamW" not in row["method"]:
            among.setdefault(row["method"], []).append((float(row["accuracy"]), row["learning_rate"]))
    (first, second, *_), (tuned_first, tuned_second, *_) = (
        sorted(among[start], reverse=True) for start in ("scratch", "fine-tuned")
    )
    assert [first[1], second[1], tuned_first[1]] == ["0.004", "0.008", "0.002"]
    assert f"With Muon {rate} won from scratch, within chance of 0.008" in LABELS
    assert ("0.001 has not been tried there" in LABELS) == ("0.001" not in dict(among["fine-tuned"]).values())
    assert all(a[0] - b[0] < 1.4 for a, b in ((first, second), (tuned_first, tuned_second)))
    (tuned_old, _), (tuned_new, _) = best["5000", "fine-tuned, AdamW"], best["5000", "fine-tuned"]
    assert new - old > tuned_new - tuned_old > 1.4
    assert (
        f"{new:.2f} % against AdamW's {old:.2f} from scratch, {tuned_new:.2f} against {tuned_old:.2f} fine-tuned"
        in LABELS
    )
    held_out = [
        best["50", way][0] for way in ("fine-tuned, AdamW", "fine-tuned", "scratch, AdamW", "scratch")
    ]
    told = "of 100 held-out images AdamW has {:.0f} right and Muon {:.0f} fine-tuned, {:.0f} and {:.0f} from scratch"
    assert told.format(*held_out) in LABELS
    assert {row["held_out"] for row in tries if row["labels_per_class"] == "50"} == {"100"}
    few = {
        (number, way): readme.few_labels([way])[number, way]
        for number in (10, 50)
        for start in ("scratch", *readme.BLOCKS)
        for way in (start, f"{start}, AdamW")
        if (number, f"{start}, AdamW") in readme.few_labels([f"{start}, AdamW"])
    }
    assert len(few) == 2 * (4 + 3)
    for (number, way), draws in few.items():
        if "AdamW" not in way:
            leads = [ours - theirs for ours, theirs in zip(draws, few[number, f"{way}, AdamW"], strict=True)]
            if "last" in way:
                assert abs(statistics.mean(leads)) < 1, "within a point"
            else:
                assert min(leads) > 0
    mean = {way: statistics.mean(draws) for (number, way), draws in few.items() if number == 50}
    leads = (mean[f"fine-tuned{optimiser}"] - mean[f"scratch{optimiser}"] for optimiser in ("", ", AdamW"))
    assert "leads by {:.1f} points with Muon, and by {:.1f} with AdamW".format(*leads) in LABELS
    mean = {way: statistics.mean(draws) for (number, way), draws in few.items() if number == 10}
    told = "With 10 that depends on the rate: it leads by {:.1f} points with Muon, and with AdamW by {:.1f} at the chosen rate and by {:.1f} at 0.004."
    rows = readme.of_encoder(readme.rows_of("labels"))
    tested = [row for row in rows_of(rows, "10", "fine-tuned, AdamW") if row["held_out"] == "0"]
    same = [float(row["accuracy"]) for row in tested if row["learning_rate"] == "0.004"]
    leads = [mean[f"fine-tuned{way}"] - mean[f"scratch{way}"] for way in ("", ", AdamW")]
    assert len(same) == 3
    assert told.format(*leads, statistics.mean(same) - mean["scratch, AdamW"]) in LABELS
    assert readme.best_rate(rows_of(tries, "10", "scratch, AdamW")) == "0.004"
    rates = {
        (number, start): [
            float(readme.best_rate(rows_of(tries, number, start + way))) for way in ("", ", AdamW")
        ]
        for number, start in itertools.product(("10", "50"), ("scratch", "fine-tuned"))
    }
    assert {key for key, (ours, theirs) in rates.items() if ours != theirs} == {
        ("50", "scratch"),
        ("10", "fine-tuned"),
    }
    told = "Two of these four rows compare different rates, each the best on the held-out images"
    assert (
        f"{told}. With 50 labels from scratch these are {{}} for Muon and {{}} for AdamW".format(
            *rates["50", "scratch"]
        )
        in LABELS
    )
    rates = rates["10", "fine-tuned"]
    assert "chose {} for Muon, and for AdamW the lowest, {};".format(*rates) in LABELS


def test_what_is_said_of_all_labels():
    """The leads, and how the rates were chosen; the classifiers that are released are the runs in the table."""
    rows = [row for row in readme.of_encoder(readme.rows_of("labels")) if row["labels_per_class"] == "5000"]
    tries, epochs = (
        [row for row in rows if row["held_out"] == "5000"],
        20 + notebooks.PRETRAINING_WORK[readme.BASE],
    )
    assert {row["epochs"] for row in tries} == {"5"}
    runs = {(row["method"], row["epochs"]): row for row in rows if row["held_out"] == "0"}
    reached = {key: float(row["accuracy"]) for key, row in runs.items()}
    tuned, opponent = reached["fine-tuned", "20"], reached["scratch", str(epochs)]
    told = f"{epochs} epochs from scratch reach {opponent:.2f}, and pre-training on pixels with 20 epochs of fine-tuning {tuned:.2f}"
    assert told in LABELS and abs(tuned - opponent) < 0.1, "no gain is left"
    told = f"{epochs} epochs from scratch reach [{opponent:.2f}](weights/classifier-6-scratch-{epochs}ep), and 20 of fine-tuning {tuned:.2f}, after pre-training with the work of {notebooks.PRETRAINING_WORK[readme.BASE]}."
    assert told in README
    spread = 196 * sum(p / 100 * (1 - p / 100) / 10_000 for p in (tuned, opponent)) ** 0.5
    assert f"leaves at most about ±{spread:.1f} on such a difference" in LABELS
    older, equal, long = (
        reached[f"{start}, AdamW", str(number)]
        for start, number in (("fine-tuned", 20), ("scratch", 20), ("scratch", epochs))
    )
    told = f"with AdamW for the labelled part the lead at equal work is {older - long:.1f} points"
    assert told in LABELS
    told = f"pre-training (with Muon) leads by {older - long:.1f} points at equal work with all labels"
    assert told in README
    rows = [row for row, run in readme.with_all_labels() if run == readme.HOG]
    best = readme.best_rate(tried := [row for row in rows if row["held_out"] == "5000"])
    (histograms,) = (row for row in rows if row["held_out"] == "0")
    assert (histograms["learning_rate"], histograms["epochs"], len(tried)) == (best, "20", 2)
    found, work = float(histograms["accuracy"]), 20 + notebooks.PRETRAINING_WORK[readme.HOG]
    told = f"From histograms 20 epochs reach {found:.2f}, with the work of {work}"
    assert told in LABELS and told in README
    assert f"{found:.2f} from histograms, {tuned:.2f} from pixels (one run each)" in LABELS
    assert (
        f"was the work of {notebooks.PRETRAINING_WORK[readme.HOG]}." in LABELS and abs(found - tuned) < spread
    )
    short, best = reached["scratch", "20"], reached["fine-tuned", str(epochs)]
    leads = tuned - short, best - opponent
    told = "ahead**, by {:.1f} points after 20 epochs each, and by {:.1f} after {}, where it reaches [{:.2f}]"
    assert told.format(*leads, epochs, best) in README
    work = epochs + notebooks.PRETRAINING_WORK[readme.BASE]
    assert f"With pre-training these {epochs} epochs are the work of {work}." in LABELS
    told = (
        "{} epochs reach {:.2f}, and the lead shrinks as both train for longer, from {:.1f} points to {:.1f}."
    )
    assert told.format(epochs, best, *leads) in LABELS
    assert (
        f"From scratch 37 more epochs, from 20 to {epochs}, brought {opponent - short:.1f} points" in LABELS
    )
    told = (
        f"{tuned - short:.1f} points with Muon ({short:.2f} from scratch) and {older - equal:.1f} with AdamW"
    )
    assert told in LABELS
    (deep,) = (row for row, run in readme.with_all_labels() if run == readme.DEEP)
    same = runs["fine-tuned", "20"]
    alike = "learning_rate", "epochs", "batch_size", "held_out", "method", "draw"
    assert all(deep[key] == same[key] for key in alike) and deep["learning_rate"] == "0.002"
    deepest = float(deep["accuracy"])
    deep_work = round((20 + notebooks.PRETRAINING_WORK[readme.DEEP]) * notebooks.EPOCH_WORK[readme.DEEP])
    told = f"the work of {deep_work} with 6 layers, which have {best:.2f} with that of {work}"
    assert (
        f"20 epochs of fine-tuning reach {deepest:.2f}, where 6 layers have {tuned:.2f} (one run each)."
        in LABELS
    )
    assert f"Together that is {told}." in LABELS and deep_work < work and deepest < best
    told = (ROOT / "weights" / "README.md").read_text()
    assert f"`{readme.DEEP}` leads, with {deepest:.2f} % of test images right" in told
    text = prose(notebooks.CLASSIFICATION)
    told = f"pre-training and 20 epochs of fine-tuning reach {tuned:.1f} %, and {epochs} epochs from scratch, which are as much work, {opponent:.1f} %. Random weights have {short:.1f} % after 20 epochs."
    assert told in text
    assert f"Fine-tuned for {epochs} epochs, too, this encoder reaches {best:.1f} %." in text
    assert f"as much work as that, {work} epochs," in text
    released = {f"classifier-6-fine-tuned-{epochs}ep": ("fine-tuned", str(epochs))}
    released |= {f"classifier-6-scratch-{epochs}ep": ("scratch", str(epochs))}
    for name, key in released.items():
        settings = readme.log(name, "settings")
        assert settings["muon"] and readme.log(name, "results")["accuracy"] == reached[key]
        for setting in ("learning_rate", "epochs", "batch_size", "labels_per_class"):
            assert float(runs[key][setting]) == settings[setting]
    assert "With AdamW the middle rate won for both starts, by less than that margin over 0.001" in LABELS
    for start in ("fine-tuned", "scratch"):
        third, second, best = sorted(
            rows_of(tries, "5000", f"{start}, AdamW"), key=lambda row: float(row["accuracy"])
        )
        assert [row["learning_rate"] for row in (best, second, third)] == ["0.002", "0.001", "0.004"]
        assert float(best["accuracy"]) - float(second["accuracy"]) < 1.4
    told = f"ahead by {opponent - long:.1f} points after {epochs} epochs from scratch, and by {tuned - older:.1f} after 20"
    assert told in LABELS
    for (method, _), row in runs.items():  # the longer runs, too
        assert row["learning_rate"] == readme.best_rate(rows_of(tries, "5000", method))
    assert f"was the work of {notebooks.PRETRAINING_WORK[readme.BASE]} epochs with labels" in LABELS


def test_how_long_the_runs_with_labels_took():
    hours = {}
    for row in readme.rows_of("labels"):
        for part in ("all", row["labels_per_class"]):
            hours[part] = hours.get(part, 0) + float(row["seconds"] or 0) / 3600
    assert f"took {hours['all']:.1f} hours together, {hours['5000']:.1f} of them with all labels" in LABELS


def test_what_is_said_of_mistakes_and_attention():
    """Of the two classifiers that are released, and the encoder that one of them started from."""
    found = readme.read(readme.LOGS / "mistakes.json")
    wrong, strongest = found["wrong"], found["strongest patch, times the average"]
    for start in ("scratch", "fine-tuned"):
        released = f"classifier-6-{start}-57ep"
        assert wrong[start] == round(10_000 - 100 * readme.log(released, "results")["accuracy"])
        assert found["sha256"][start] == readme.log(released, "card")["sha256"]["classifier.keras"]
    assert found["sha256"]["pre-trained"] == readme.log(readme.BASE, "card")["sha256"]["encoder.keras"]
    one, other, both = (wrong[key] for key in ("scratch", "fine-tuned", "both"))
    told = f"From scratch is wrong on {one:,}, fine-tuned on {other}, and both on {both}; on {wrong['both, with the same answer']} of these"
    assert told in LABELS
    assert f"removes {one - both} mistakes and makes {other - both} others" in LABELS
    lead, margin = wrong["lead of fine-tuned, points"], wrong["its margin (95 %)"]
    assert f"its lead is {lead:.1f} ± {margin:.1f} points (95 %)" in LABELS
    assert f"over {found['images looked at']:,} test images the strongest patch gets" in LABELS
    order = [strongest[key] for key in ("pre-trained", "scratch", "fine-tuned")]
    told = "gets {:.1f} times the average. From scratch with all labels it gets {:.1f} times, and fine-tuned {:.1f}"
    assert told.format(*order) in LABELS
    assert len(found["hardest"]) == 8 and "Eight test images" in LABELS
    text = prose(notebooks.CLASSIFICATION)
    shown = json.dumps([cell["outputs"] for cell in notebooks.cells(notebooks.CLASSIFICATION)])
    (times,) = re.findall(
        r"without labels: the patch that receives most gets ([0-9.]+) times the average", shown
    )
    assert f"the strongest gets {times} times the average (mean of these images)" in text
    few = readme.few_labels()
    gain = statistics.mean(few[500, "fine-tuned"]) - statistics.mean(few[500, "probe"])
    assert f"With 500 it adds {gain:.1f} points" in text
    longer = readme.longer()
    assert few[500, "fine-tuned"][0] > longer[500][0] > max(few[500, "probe"]), "with 500 only fine-tuning is"
    (with_few,) = re.findall(r"with labels: the patch that receives most gets ([0-9.]+) times", shown)
    assert float(with_few) < min(order[1:]), "with all labels attention is less even still"
    assert min(few[50, "probe"]) > max(few[50, "scratch"] + longer[50]) and min(few[10, "probe"]) > max(
        few[10, "scratch"]
    )


def test_what_is_said_of_two_encoders():
    """Histograms are ahead of pixels in every row and draw; the rate of the last block is the highest tried."""
    found = {}
    for method in ("probe", "fine-tuned, AdamW", "fine-tuned, last 1, AdamW"):
        ours, theirs = (readme.few_labels([method], run) for run in (readme.HOG, readme.BASE))
        assert ours
        found |= {key: (draws, theirs[key]) for key, draws in ours.items()}
    for (number, _), (ours, theirs) in found.items():
        assert all(a > b for a, b in zip(ours, theirs, strict=True)) and f"| {number} |" in LABELS
    assert {number for number, _ in found} == {10, 50} and not readme.few_labels(run=readme.HOG)
    told = "leads with 10 and 50 labels a class, in linear probes and when fine-tuned with AdamW. With 500, and fine-tuned with Muon and few labels, it has not"
    assert told in (ROOT / "weights" / "README.md").read_text()
    assert (
        "With few labels HOG led in every row measured, in linear probes and in fine-tuning with AdamW"
        in README
    )
    rows = readme.rows_of("labels")
    last = [
        row for row in readme.of_encoder(rows, readme.HOG) if row["method"] == "fine-tuned, last 1, AdamW"
    ]
    assert {float(row["learning_rate"]) for row in last if row["held_out"] == "0"} == {0.064}
    assert max(few_labels.RATES["fine-tuned, last 1, AdamW"]) == 0.064, "the highest of those tried"
    key = {"labels_per_class": "10", "method": "fine-tuned, AdamW", "learning_rate": "0.004", "held_out": "0"}
    same = [row for row in rows if key.items() <= row.items()]
    ours, theirs = (
        {row["draw"]: float(row["accuracy"]) for row in readme.of_encoder(same, run)}
        for run in (readme.HOG, readme.BASE)
    )
    assert len(ours) == 3 and all(ours[draw] > theirs[draw] for draw in ours), "at 0.004 both"
    lead, shown = (
        statistics.mean(ours.values()) - statistics.mean(other)
        for other in (theirs.values(), readme.few_labels(["fine-tuned, AdamW"])[10, "fine-tuned, AdamW"])
    )
    assert f"but by {lead:.1f} points on average and not by {shown:.1f}" in LABELS
    theirs = rows_of(readme.of_encoder(rows), "50", "fine-tuned, last 1, AdamW")
    tried = {row["learning_rate"]: float(row["accuracy"]) for row in theirs if row["held_out"] != "0"}
    assert [rate for rate in tried if tried[rate] == max(tried.values())] == ["0.016", "0.064"], (
        "equally good"
    )
    tuned, probed = (readme.few_labels()[50, method] for method in ("fine-tuned", "probe"))
    leads = [a - b for a, b in zip(tuned, probed, strict=True)]
    assert f"ahead in each draw, by {min(leads):.1f} to {max(leads):.1f} points" in LABELS and min(leads) > 0


def test_what_is_said_of_500_labels_a_class():
    """Training from scratch is behind the probe, and that behind fine-tuning, in each draw."""
    scratch, probed, tuned = (
        readme.few_labels()[500, method] for method in ("scratch", "probe", "fine-tuned")
    )
    assert all(low < middle < high for low, middle, high in zip(scratch, probed, tuned, strict=True))
    found = {key: statistics.mean(draws) for key, draws in readme.few_labels().items()}
    leads = [found[number, "fine-tuned"] - found[number, "scratch"] for number in (10, 50, 500)]
    assert f"leads training from scratch by {min(leads):.1f} to {max(leads):.1f} points on average" in README
    leads = [a - b for a, b in zip(tuned, probed)]
    assert f"and with 500 by {min(leads):.1f} to {max(leads):.1f}" in LABELS
    rows = readme.rows_of("labels")
    tries = {
        row["learning_rate"]: float(row["accuracy"])
        for row in rows_of(rows, "500", "scratch")
        if row["held_out"] != "0"
    }
    assert (
        "and has {:.1f} on held-out images, where 0.004 has {:.1f}".format(tries["0.002"], tries["0.004"])
        in LABELS
    )
    assert max(tries, key=tries.get) == "0.004" and min(few_labels.RATES["scratch"]) == 0.004
    (equal,) = readme.longer()[500]
    assert f"They reach {equal:.2f}, and fine-tuning has {tuned[0]:.2f} with these labels (one draw" in README
    told = f"{equal:.2f} in draw 0, where 2,000 steps have {scratch[0]:.2f}, the linear probe {probed[0]:.2f}, and fine-tuning {tuned[0]:.2f}"
    assert f"{told}. So pre-training pays there at equal work, by {tuned[0] - equal:.1f} points" in LABELS
    floor = [row for row in rows_of(rows, "500", "probe, untrained") if row["held_out"] == "0"]
    assert (
        {float(row["learning_rate"]) for row in floor} == {max(few_labels.RATES["probe, untrained"])} == {0.1}
    )
    schedules = few_labels.SCHEDULES
    steps = {number: s["EPOCHS"] * 10 * number // s["BATCH_SIZE"] for number, s in schedules.items()}
    assert steps == {10: 500, 50: 500, 500: 2000} and "the work of the 2,000 steps with 500 labels" in README
    for number, schedule in schedules.items():  # a fifth chooses the rate
        row = number, schedule["BATCH_SIZE"], f"{steps[number]:,}", f"{steps[number] * 4 // 5:,}"
        assert "| {} | {} | {} | {} |".format(*row) in LABELS


def test_rows_of_another_encoder_do_not_count():
    digest = readme.log(readme.BASE, "card")["sha256"]["encoder.keras"][:12]
    assert readme.of_encoder([{"encoder": "0" * 12}, {"encoder": digest}]) == [{"encoder": digest}]


def test_what_the_page_says_of_the_solar_cells():
    """Both ways gain with 400 labels, in every split and draw; with fewer the signs differ."""
    ways = [(weights, learns) for learns in ("probe", "all") for weights in ("untrained", "pre-trained")]
    gains = {}
    for name in ("elpv", "elpv-unseen"):
        found = {}
        for row in readme.cells(name)[1]:
            which = row.get("split", row.get("draw"))
            found[int(row["labels"]), row["weights"], row["learns"], which] = float(row["average_precision"])
        assert len(found) == 3 * 4 * 5
        mean = {
            (labels, *way): np.mean([found[labels, *way, str(i)] for i in range(5)])
            for labels in (50, 100, 400)
            for way in ways
        }
        floor, probe, scratch, tuned = ways
        for labels in (50, 100, 400):
            for learns, (old, new) in {"probe": (floor, probe), "all": (scratch, tuned)}.items():
                gains[name, learns, labels] = mean[labels, *new] - mean[labels, *old]
                each = [found[labels, *new, str(i)] - found[labels, *old, str(i)] for i in range(5)]
                if labels == 400:
                    assert min(each) > 0
                    nothing = 2 if (name, learns) == ("elpv", "all") else 0
                    assert sum(gain < 0.05 for gain in each) == nothing
        best = {labels: max(ways, key=lambda way: mean[labels, *way]) for labels in (50, 100, 400)}
        if name == "elpv":
            assert best[50] == scratch and best[400] == probe
            assert sum(found[400, *probe, str(i)] > found[400, *scratch, str(i)] for i in range(5)) == 4
        else:
            assert best[400] == tuned
    for labels in (50, 100):
        assert gains["elpv", "probe", labels] > 0 > gains["elpv", "all", labels]
    assert gains["elpv-unseen", "probe", 100] < 0 > gains["elpv-unseen", "all", 100]
    for labels in (50, 100, 400):
        assert gains["elpv", "probe", labels] > gains["elpv-unseen", "probe", labels]
    tried = [row for row in readme.rows_of("elpv") if row["held_out"] and row["weights"] == "untrained"]
    low, high = (
        statistics.mean(
            float(row["average_precision"])
            for row in tried
            if (row["learns"], row["learning_rate"]) == ("probe", rate)
        )
        for rate in ("0.001", "0.01")
    )
    page = (ROOT / "docs" / "own-images.md").read_text()
    assert f"{high - low:.1f} points worse than 0.01 in the newer measurement's five folds" in page


@pytest.mark.parametrize(
    "labels, method, chosen, following, words",
    [
        (
            10,
            "fine-tuned, AdamW",
            "0.001",
            "0.004",
            "the lowest, 0.001; the next, 0.004, has {}.",
        ),
        (
            50,
            "probe, untrained",
            "0.0003",
            "0.001",
            "chose 0.0003, and the next rate, 0.001, has {}: the floor",
        ),
    ],
)
def test_what_the_page_says_of_rates(labels, method, chosen, following, words):
    """Held-out images chose the lowest rate, and the next one is better on the test images."""
    with open(ROOT / "logs" / "labels.csv") as file:
        rows = [
            row
            for row in readme.of_encoder(csv.DictReader(file))
            if (row["labels_per_class"], row["method"]) == (str(labels), method)
        ]
    tested = {
        rate: [
            float(row["accuracy"]) for row in rows if row["held_out"] == "0" and row["learning_rate"] == rate
        ]
        for rate in (chosen, following)
    }
    assert readme.few_labels([method])[labels, method] == tested[chosen]
    assert min(float(row["learning_rate"]) for row in rows) == float(chosen)
    assert statistics.mean(tested[following]) > statistics.mean(tested[chosen])
    told = f"{statistics.mean(tested[following]):.2f} ± {statistics.stdev(tested[following]):.2f}"
    assert words.format(told) in LABELS


def rows_of(table, labels, method):
    """Rows of logs/labels.csv with this number of labels a class and this method."""
    return [row for row in table if (row["labels_per_class"], row["method"]) == (labels, method)]


def test_what_is_said_of_tuned_blocks():
    """One, two and four blocks are ahead of all in each draw; one has the highest mean, and is behind four in one draw."""
    found = {method: readme.few_labels([method]).get((50, method)) for method in readme.BLOCKS}
    best, every = found["fine-tuned, last 1"], found["fine-tuned"]
    told = f"tune the last block alone, {statistics.mean(best):.1f} against {statistics.mean(every):.1f}, in each draw"
    assert told in README and all(one > whole for one, whole in zip(best, every, strict=True))
    some = [found[f"fine-tuned, last {number}"] for number in (1, 2, 4)]
    assert all(ours > theirs for draws in some for ours, theirs in zip(draws, every, strict=True))
    others = [draws for method, draws in found.items() if draws and method != "fine-tuned, last 1"]
    assert all(statistics.mean(best) > statistics.mean(draws) for draws in others)
    with open(readme.LOGS / "labels.csv") as file:
        tried = readme.of_encoder(csv.DictReader(file))
    for number, highest in ((0, True), (1, False), (2, True), (4, False)):
        rows = [row for row in tried if row["method"] == f"fine-tuned, last {number}"]
        assert ({row["learning_rate"] for row in rows if row["held_out"] == "0"} == {"0.064"}) == highest
    assert "are ahead of the whole encoder in each of the three draws" in LABELS
    assert "Its rate, and that of two blocks, is the highest of those tried" in LABELS
    rates = {method: set() for method in readme.BLOCKS}
    for row in tried:
        if row["labels_per_class"] == "50" and row["method"] in rates:
            rates[row["method"]].add(float(row["learning_rate"]))
    assert rates.pop("fine-tuned") == {0.001, 0.004, 0.016}
    assert all(found == {0.004, 0.016, 0.064} for found in rates.values())
    assert sum(four > one for one, four in zip(best, some[2], strict=True)) == 1
    assert "four are ahead of it in one draw" in LABELS
    behind = [b - a for other in (best, some[2]) for a, b in zip(some[1], other, strict=True)]
    assert f"by {min(behind):.1f} to {max(behind):.1f} points" in LABELS and min(behind) > 0


def test_what_the_page_says_of_two_seeds():
    """What leads does so in all three measures, each seed of each, and the numbers are those that the page names."""
    tries = readme.ablations()

    def leads(name, other, column):
        return [float(a[column]) - float(b[column]) for a, b in zip(tries[name], tries[other], strict=True)]

    assert [len(tries[name]) for name in ("base", "paper", "adamw", "hog")] == 4 * [2]
    alike = [
        rows
        for rows in tries.values()
        if rows[0]["epochs"] == "15"
        and rows[0]["encoder_parameters"] == tries["base"][0]["encoder_parameters"]
    ]
    for column in readme.JUDGED:
        others = [float(row[column]) for rows in alike for row in rows if not row["name"].startswith("hog")]
        assert min(float(row[column]) for row in tries["hog"]) > max(others), (
            "the best target, with both seeds"
        )
    for name, other in (("adamw", "paper"), ("base", "adamw"), ("hog", "base")):
        assert min(min(leads(name, other, column)) for column in readme.JUDGED) > 0
    least = min(
        float(a[column]) - float(b[column])
        for column in readme.JUDGED
        for a in tries["adamw"]
        for b in tries["paper"]
    )
    told = f"each seed of `adamw` is ahead of each seed of `paper`, by {least:.1f} points and more"
    page = (ROOT / "ablations" / "README.md").read_text()
    moved = {
        column: [
            float(found[0][column]) - float(found[1][column]) for found in tries.values() if len(found) == 2
        ]
        for column in readme.JUDGED
    }
    assert all(min(signed) < 0 < max(signed) for signed in moved.values()), "now up, now down"
    moved = {column: list(map(abs, signed)) for column, signed in moved.items()}
    assert f"by up to {max(moved['probe']):.1f} points in [short tries]" in README
    chance = f"moved by {min(moved['probe']):.1f} to {max(moved['probe']):.1f} points, all blocks by up to {max(moved['blocks']):.1f}"
    assert f"{chance} and neighbours by up to {max(moved['neighbours']):.1f}." in page
    gained = {}
    for words, name, other in (
        ("instead of pixels", "hog", "base"),
        ("instead of AdamW", "base", "adamw"),
        ("instead of the last one (with AdamW)", "adamw", "paper"),
    ):
        means = [statistics.mean(leads(name, other, column)) for column in readme.JUDGED]
        gained[name] = means[0]
        assert "{}: {:+.1f}, {:+.1f}, {:+.1f}.".format(words, *means) in page
    muon = [leads("base", "last-block", column) for column in readme.JUDGED]
    means = [statistics.mean(found) for found in muon]
    assert "With Muon: {:+.1f}, {:+.1f}, {:+.1f}.".format(*means) in page
    both, last = ([row["probe"] for row in tries[name]] for name in ("base", "last-block"))
    assert "{} and {} stand against {} and {}. The all".format(*both, *last) in page
    assert min(both) < max(last) and max(both) > min(last) and min(muon[1] + muon[2]) > 0
    gained |= {"muon": means[0], "blocks": means[1]}
    alone = [statistics.mean(leads("last-block", "paper", column)) for column in readme.JUDGED]
    both = [statistics.mean(leads("base", "adamw", column)) for column in readme.JUDGED]
    told_of_both = "Muon brings {:.1f} points with the last block alone, and {:.1f} with all blocks. In the two others they do not: {:.1f} and {:.1f} points, and {:.1f} and {:.1f}."
    assert told_of_both.format(alone[0], both[0], *alone[1:], *both[1:]) in page and alone[0] > 2 * both[0]
    more = [statistics.mean(leads("hog-learning-rate-0.006", "hog", column)) for column in readme.JUDGED]
    told_of_rate = (
        "(`hog-learning-rate-0.006`) brings {:.1f}, {:.1f} and {:.1f} points more, means of two seeds each"
    )
    assert told_of_rate.format(*more) in page and 0 < min(more) and max(more) < 2
    lost = [-readme.gain("low-variance-25", column) for column in readme.JUDGED]
    assert (
        "(`low-variance-25`): {:.1f}, {:.1f} and {:.1f} points behind".format(*lost) in page and min(lost) > 1
    )
    lost = [
        readme.mean(tries["hog"], column) - readme.mean(tries["hog-cross-50"], column)
        for column in readme.JUDGED
    ]
    assert "(`hog-cross-50`) {:.1f}, {:.1f} and {:.1f} points".format(*lost) in page
    helps = "Muon instead of AdamW ({base:+.1f} points of linear probe), and a decoder that reads all blocks of the encoder, not the last alone ({adamw:+.1f} with AdamW; with Muon {muon:+.1f}, but {blocks:+.1f} in all blocks). Predicting HOG brings {hog:.1f}."
    assert helps.format(**gained) in README
    fast = [readme.gain("learning-rate-0.006", column) for column in readme.JUDGED]
    ahead = "has a lower loss and is ahead by {:.1f}, {:.1f} and {:.1f} points, which is open"
    assert ahead.format(*fast) in page and 0 < min(fast) and max(fast) < 2
    assert (
        len(tries["learning-rate-0.006"]) == 2 and readme.gain("learning-rate-0.006", "validation_loss") < 0
    )
    older = {row["learning_rate"]: float(row["validation_loss"]) for row in readme.rows_of("recipe")[:3]}
    loss = {name: readme.mean(tries[name], "validation_loss") for name in tries}
    falls = older["0.003"] - older["0.0045"], loss["adamw"] - loss["base"]
    assert (
        "lowered AdamW's loss by {:.3f} after 10 epochs, and Muon lowers it by {:.3f}".format(*falls) in page
    )
    assert told in page
    paper, part, cross = (
        [readme.mean(tries[name], column) for column in readme.JUDGED]
        for name in ("paper", "paper-part-50", "paper-cross-50")
    )
    lower = [a - b for a, b in zip(paper, part)]
    told = "(`paper-part-50`). Beside `paper` it is {:.1f}, {:.1f} and {:.1f} points lower, which is open"
    assert told.format(*lower) in page and max(lower) < 2
    higher = [a - b for a, b in zip(cross, paper)]
    assert f"Beside `paper` it is between {min(higher):.1f} and {max(higher):+.1f} points away" in page
    assert max(map(abs, higher)) < 2, "open"


def test_what_is_said_of_the_papers_questions():
    """One seed each: who differs from the base by more than two points."""
    tries = readme.ablations()
    names = "raw", "decoder-layers-1", "decoder-layers-4", "mask-ratio-0.5", "mask-ratio-0.9"
    page = (ROOT / "ablations" / "README.md").read_text()
    assert all(len(tries[name]) == 1 for name in names)
    gains = {name: [readme.gain(name, column) for column in readme.JUDGED] for name in names}
    lost = [-gain for gain in gains["raw"]]
    told = "behind in all three measures, by {:.1f}, {:.1f} and {:.1f} points"
    assert told.format(*lost) in page and min(lost) > 1.5
    *_, second, first = sorted((abs(gains[name][i]), name, i) for name in names[1:] for i in range(3))
    assert {first[1:], second[1:]} == {("mask-ratio-0.9", 2), ("mask-ratio-0.5", 2)}, "the neighbour vote"
    assert f"The others are at most {first[0]:.1f} points from the base in any measure" in page
    assert gains["mask-ratio-0.5"][2] < -2 and gains["mask-ratio-0.9"][2] > 2
    assert max(map(abs, gains["decoder-layers-4"])) < 1, "within a point"
    assert readme.gain("decoder-layers-4", "validation_loss") < 0, "the loss is lower"
    assert f"one decoder block is {-gains['decoder-layers-1'][1]:.1f} points behind in the all-blocks" in page
    width = [readme.gain("width-192", column) for column in ("probe", "untrained_probe")]
    told = (
        "the linear probe gains {:.1f} points, and the untrained one {:.1f}. The loss hardly falls. One seed."
    )
    assert told.format(*width) in page and len(tries["width-192"]) == 1


def prose(notebook):
    """The text of a notebook, on one line."""
    return " ".join(
        " ".join("".join(cell["source"]).split()) for cell in notebooks.cells(notebook, "markdown")
    )


def test_what_the_readme_says_of_histograms():
    """The encoder that predicts them is ahead in all three tests, of the same size, and after half as many epochs."""
    cards = [readme.log(run, "card") for run in (readme.HOG, readme.BASE)]
    probe, blocks, neighbours = (
        [readme.accuracies(readme.HOG, test)[0] - theirs for theirs in readme.accuracies(readme.BASE, test)]
        for test in readme.TESTS
    )
    hours = readme.log(readme.DEEP_HOG, "card")["seconds"] / 3600
    assert f"the best encoder trained anew, {hours:.1f} hours and more" in README
    told = "ahead of the three seeds of 6 & 2 with pixels: by {:.1f} to {:.1f} points in the linear probe, {:.1f} to {:.1f} in neighbours, and {:.1f} to {:.1f} in all blocks."
    ends = [end(leads) for leads in (probe, neighbours, blocks) for end in (min, max)]
    assert told.format(*ends) in README and min(ends) > 0 and len(probe) == 3
    page = (ROOT / "ablations" / "README.md").read_text()
    told = "in all blocks by {:.1f} to {:.1f} points with the three seeds of pixels"
    assert told.format(min(blocks), max(blocks)) in page
    assert [card["epochs"] for card in cards] == [50, 100]
    assert cards[0]["parameters"]["encoder"] == cards[1]["parameters"]["encoder"]
    ours, theirs = (card["settings"] for card in cards)
    others = {key for key in ours | theirs if ours.get(key) != theirs.get(key)} - {"run", "images"}
    assert others == {"epochs", "variant"}, "more than target and epochs differ"
    logs = (ROOT / "logs" / "README.md").read_text()
    seconds = [round(float(readme.ablations()[name][1]["seconds"])) for name in ("hog", "base")]
    assert "with seed 1 at one commit they took {} s and pixels {} s".format(*seconds) in logs
    seconds = [round(float(readme.ablations()[name][0]["seconds"])) for name in ("hog", "base")]
    assert "with seed 0, at two commits, {} s and {} s".format(*seconds) in logs


def accuracies(run):
    """In the three tests of a released encoder."""
    return [readme.log(run, "probe")["test"][test]["trained"]["accuracy"] for test in readme.TESTS]


def test_what_is_said_of_histograms_with_more_layers():
    """Everything but the target is that of 9 & 3 with pixels."""
    cards = [readme.log(run, "card") for run in (readme.DEEP_HOG, readme.DEEP)]
    ours, theirs = (card["settings"] for card in cards)
    assert {key for key in ours | theirs if ours.get(key) != theirs.get(key)} - {"run", "images"} == {
        "variant"
    }
    assert cards[0]["parameters"]["encoder"] == cards[1]["parameters"]["encoder"]
    best, deep, small = map(accuracies, (readme.DEEP_HOG, readme.DEEP, readme.HOG))
    leads = [a - b for a, b in zip(best, deep, strict=True)]
    told = "ahead by {:.1f} points in the linear probe, {:.1f} in all blocks and {:.1f} in neighbours"
    assert told.format(*leads) in README
    told = "{:.2f} against {:.2f} % with 9 & 3 layers, and {:.2f} against {:.2f} % with 6 & 2 after half as many epochs. If it reads all blocks the leads are smaller, {:.1f} and {:.1f} points."
    base = [statistics.mean(readme.accuracies(readme.BASE, test)) for test in readme.TESTS[:2]]  # its seeds
    shown = (best[0], deep[0], small[0], base[0], best[1] - deep[1], small[1] - base[1])
    assert told.format(*shown) in README
    told = "With 9 & 3 layers and 100 epochs each it leads by {:.1f}, {:.1f} and {:.1f} points"
    assert told.format(*leads) in (ROOT / "ablations" / "README.md").read_text()
    assert (
        f"but for {deep[1] - small[1]:.1f} points in all blocks"
        in (ROOT / "weights" / "README.md").read_text()
    )
    told = f"with 9 & 3 layers the linear probe has {best[0]:.1f} % instead of {deep[0]:.1f} % (one run each)"
    assert told in prose(notebooks.PRETRAINING)


def test_what_more_epochs_and_layers_bring():
    """The figure's points are those of the tables, its floors flat, and what the page says holds."""
    found = readme.returns()
    assert list(found["epochs"]) == [5, 10, 15, 25] and list(found["layers"]) == [3, 6, 9]
    for epochs, (trained, untrained) in found["epochs"].items():
        row = readme.ablations()[f"epochs-{epochs}" if epochs != 15 else "base"][0]
        assert row["epochs"] == str(epochs) and row["seed"] == "0"
        assert trained == {column: float(row[column]) for column in readme.JUDGED}
        assert untrained == {column: float(row[f"untrained_{column}"]) for column in readme.JUDGED}
    lines = readme.details().splitlines()  # seed 0
    for layers, (trained, untrained) in found["layers"].items():
        told = f"| {trained['probe']:.2f} ({untrained['probe']:.2f}) | {trained['blocks']:.2f} ({untrained['blocks']:.2f})"
        assert any(f"[`mae-{layers}x" in line and "-mask75-100ep" in line and told in line for line in lines)
    page = (ROOT / "ablations" / "README.md").read_text()
    scores = [[trained[column] for column in readme.JUDGED] for trained, _ in found["epochs"].values()]
    told = "From 5 to 10 epochs brings {:.1f}, {:.1f} and {:.1f} points, from 10 to 15 {:.1f}, {:.1f} and {:.1f}, from 15 to 25 {:.1f}, {:.1f} and {:.1f}"
    gains = [b - a for pair in itertools.pairwise(scores) for a, b in zip(*pair, strict=True)]
    assert told.format(*gains) in page
    shares = [late / 2 / early for early, late in zip(gains[3:6], gains[6:], strict=True)]
    assert (
        round(max(shares), 1) == 0.5
        and round(min(shares), 2) == 0.25
        and "a half to a quarter as much there" in page
    )
    low, middle, high = ([found["layers"][n][0][column] for column in readme.JUDGED] for n in (3, 6, 9))
    told = "From 3 to 6 layers brings {:.1f}, {:.1f} and {:.1f} points, from 6 to 9 {:.1f}, {:.1f} and {:.1f}"
    gains = [b - a for pair in ((low, middle), (middle, high)) for a, b in zip(*pair, strict=True)]
    assert told.format(*gains) in page
    sizes = [
        readme.log(f"mae-{size}-mask75-100ep", "card")["parameters"]["encoder"]
        for size in ("3x1", "6x2", "9x3")
    ]
    assert "({:.1f}, {:.1f} and {:.1f} million parameters)".format(*(size / 1e6 for size in sizes)) in page


def test_what_is_said_of_longer_training():
    """Each row is ahead of the one above it in all three measures."""
    rows = [[float(row[column]) for column in readme.JUDGED] for row in readme.rows_of("ablations-100ep")]
    for run in (readme.BASE, readme.HOG):
        rows.append([readme.log(run, "probe")["test"][test]["trained"]["accuracy"] for test in readme.TESTS])
    leads = [b - a for above, row in itertools.pairwise(rows) for a, b in zip(above, row, strict=True)]
    assert min(leads) > 0 and (len(leads), sum(lead < 2 for lead in leads)) == (9, 6)
    page = (ROOT / "ablations" / "README.md").read_text()
    told = "ahead of the one above it in all three measures, but six of the nine leads are below two points"
    last = rows[-1][1] - statistics.mean(readme.accuracies(readme.BASE, readme.TESTS[1]))
    histograms = "That of histograms is {:.1f}, {:.1f} and {:.1f}, and in all blocks {:.1f} against the mean of the three seeds"
    assert told in page and histograms.format(*leads[-3:], last) in page


def test_what_the_readme_says_in_short():
    """Its three lines hold for every row, and repeat numbers that stand below them."""
    gains = {"published": [], "floors": []}
    assert len(readme.released()) == 6
    for run in readme.released():
        ours, floor = (
            statistics.mean(readme.accuracies(run, readme.TESTS[0], state))
            for state in ("trained", "untrained")
        )
        gains["published"] += [ours - readme.ROWS[run]] if run in readme.ROWS else []
        gains["floors"].append(ours - floor)
    low, high = ({which: round(end(leads)) for which, leads in gains.items()} for end in (min, max))
    told = f"all six rows are {low['floors']} to {high['floors']} points above untrained encoders. The four with a published number are {low['published']} to {high['published']} points above it"
    assert told in README
    equal, tuned = readme.longer(), readme.labels_lines()["fine-tuned"]
    pairs = [(tuned[number][0], equal[number][0]) for number in (500, 5000)]
    for words, pair in zip(("it leads with 500,", "was measured at equal work,"), pairs, strict=True):
        assert f"{words} {pair[0]:.2f} against {pair[1]:.2f} %" in README
    best = readme.longer("fine-tuned")[5000][0], equal[5000][0]
    head = LABELS.partition("\n## ")[0]
    assert "it leads at equal work, too: {:.2f} against {:.2f} % (one draw)".format(*pairs[0]) in head
    assert (
        "no gain was measured at equal work from the encoder that predicts pixels: {:.2f} against {:.2f} % (one run each)".format(
            *pairs[1]
        )
        in head
    )
    assert "At 57 epochs each fine-tuning leads, {:.2f} against {:.2f} %.".format(*best) in head
    leads = re.findall(r"leads training from scratch by \S+ to \S+ points", README)
    assert len(leads) == 2 and len({*leads}) == 1 and leads[0] in head  # one is compared with the logs


def test_which_encoder_leads():
    """The deepest that predicts histograms, in all three tests; what is said of the others, and of blocks."""
    told, every = (ROOT / "weights" / "README.md").read_text(), readme.released()
    best = accuracies(readme.DEEP_HOG)
    others = [max(scores) for scores in zip(*(accuracies(run) for run in every if run != readme.DEEP_HOG))]
    lead = min(a - b for a, b in zip(best, others, strict=True))
    assert f"it leads in all three tests of features, by {lead:.1f} points and more" in told and lead > 0
    (low, middle, high), floors = (
        [
            statistics.mean(readme.accuracies(f"mae-{size}-mask75-100ep", readme.TESTS[0], state))
            for size in ("3x1", "6x2", "9x3")
        ]
        for state in ("trained", "untrained")
    )
    assert (
        f"gains {middle - low:.1f} points from 3 & 1 to 6 & 2 and {high - middle:.1f} more to 9 & 3" in README
    )
    assert f"while the floors stay within {max(floors) - min(floors):.1f} points of each other" in README
    blocks, deep = (
        readme.log(run, "probe")["blocks, then final tokens, on validation images"]["trained"]
        for run in (readme.DEEP_HOG, readme.DEEP)
    )
    assert (
        blocks[-1] == max(blocks)
        and f"its final tokens have {blocks[-1]:.1f}, no less than any of its blocks" in told
    )
    words = f"they have {deep[-1]:.1f}, and block {1 + deep.index(max(deep))} has {max(deep):.1f}."
    assert words in told


def best_of_blocks(run):
    """(a released encoder's best linear probe on held-out images, the number of that layer, the number of layers)."""
    found = readme.log(run, "probe")["blocks, then final tokens, on validation images"]["trained"]
    return max(found), 1 + found.index(max(found)), len(found)


def final_tokens(run):
    """The same of the final tokens."""
    found = readme.log(run, "probe")["blocks, then final tokens, on validation images"]["trained"]
    return found[-1], len(found), len(found)


def test_what_is_said_of_the_best_layer():
    """With pixels it is the last block but one, with histograms the final tokens, and the leads are smaller there."""
    for run, behind in ((readme.BASE, 2), (readme.DEEP, 2), (readme.HOG, 0), (readme.DEEP_HOG, 0)):
        _, best, number = best_of_blocks(run)
        assert number - best == behind  # the last one is the final tokens
    lost = [best_of_blocks(run)[0] - final_tokens(run)[0] for run in (readme.BASE, readme.DEEP)]
    told = "is better, by {:.1f} points with 6 layers and {:.1f} with 9 (held-out images, one run each)."
    assert told.format(*lost) in (ROOT / "ablations" / "README.md").read_text()
    leads = [
        layer(ours)[0] - layer(theirs)[0]
        for ours, theirs in ((readme.DEEP_HOG, readme.DEEP), (readme.HOG, readme.BASE))
        for layer in (final_tokens, best_of_blocks)
    ]
    told = "On held-out images HOG leads by {:.1f} points at the final tokens and by {:.1f} with each encoder at its best block with 9 & 3, by {:.1f} and {:.1f} with 6 & 2."
    assert told.format(*leads) in README
    gained = []
    for layer in (final_tokens, best_of_blocks):
        few, middle, many = (layer(run)[0] for run in ("mae-3x1-mask75-100ep", readme.BASE, readme.DEEP))
        gained += [middle - few, many - middle]
    told = "on held-out images the linear probe gains {:.1f} and {:.1f} points at the final tokens, and {:.1f} and {:.1f} with each encoder at its best block."
    assert told.format(*gained) in (ROOT / "ablations" / "README.md").read_text()


def test_what_is_said_of_short_and_long_tries():
    """What is left of a lead after 100 epochs, which epochs a recipe saves, and the released encoder on the tries' images."""
    page, tries = (ROOT / "ablations" / "README.md").read_text(), readme.rows_of("ablations")
    last, fused = ([float(row[test]) for test in readme.JUDGED] for row in readme.rows_of("ablations-100ep"))
    muon = [readme.log(readme.BASE, "probe")["test"][test]["trained"]["accuracy"] for test in readme.TESTS]
    leads = [f"{ours - theirs:.1f}" for pair in ((muon, fused), (fused, last)) for ours, theirs in zip(*pair)]
    assert "Muon's lead is {}, {} and {} points.".format(*leads[:3]) in page
    assert "reads all blocks, with AdamW, is {}, {} and {}.".format(*leads[3:]) in page
    short = [
        statistics.mean(
            sign * float(row["blocks"]) for row in tries if row["name"] == name and row["seed"] in "01"
        )
        for name, sign in (("base", 1), ("adamw", -1))
    ]
    late = statistics.mean(readme.accuracies(readme.BASE, readme.TESTS[1])) - fused[1]
    told = f"In all blocks it was {sum(short):.1f} after 15 epochs; with the mean of Muon's three seeds it is {late:.1f} here."
    assert told in page
    hog, pixels = (
        [
            float(row[test])
            for row in tries
            if (row["name"], row["seed"]) == (name, "0")
            for test in readme.JUDGED
        ]
        for name in ("hog", "epochs-25")
    )
    assert hog[0] > pixels[0] and hog[2] > pixels[2] and f"all but {pixels[1] - hog[1]:.1f} points" in page
    held_out = [
        readme.log(readme.BASE, "probe")["test"][test]["trained"]["validation"] for test in readme.TESTS
    ]
    assert "has {:.1f}, {:.1f} and {:.1f} on the same held-out images".format(*held_out) in page
    rates = {row["learning_rate"]: row["validation_probe"] for row in readme.rows_of("recipe")[:3]}
    assert f"{rates['0.003']} at 0.003 and {rates['0.0045']} at 0.0045" in page


def test_what_is_said_of_time():
    """An epoch with labels beside one of pre-training, on one kind of machine."""
    (labelled,) = (
        float(row["seconds"]) / float(row["epochs"])
        for row in readme.of_encoder(readme.rows_of("labels"))
        if (row["labels_per_class"], row["method"], row["epochs"], row["held_out"])
        == ("5000", "scratch", "20", "0")
        and "AMD EPYC" in row["hardware"]
    )
    (speed,) = (
        float(row["images_per_second"])
        for row in readme.rows_of("ablations")
        if row["name"] == "epochs-10" and "AMD EPYC" in row["hardware"]
    )
    told = f"about {labelled:.0f} s. At the speed of a short try there, one of pre-training takes about {50_000 / speed:.0f} s"
    assert told in (ROOT / "docs" / "labels.md").read_text()
    assert (
        f"about {100 * 50_000 / speed / labelled:.0f} epochs with"
        in (ROOT / "docs" / "labels.md").read_text()
    )


def test_what_is_said_of_speed():
    """Ours is behind both ways to run PyTorch on one machine, and ahead on another; bfloat16 is slower than float32."""
    intel, epyc = (
        {n.partition(", ")[2]: row["ratio"] for n, row in readme.compared(readme.log("bench", run)).items()}
        for run in ("cpu", "cpu-2026-11-30")
    )
    eager, compiled = "PyTorch", "PyTorch compiled"
    peaks = sum(row.get("megabytes", 0) for row in readme.log("bench", "cpu")["contenders"].values())
    assert f"in memory, {peaks / 1000:.0f} GB if their peaks are added up" in README
    assert {round(intel[name], 1) for name in (eager, compiled)} == {1.1}
    assert {round(1 / epyc[name], 1) for name in (eager, compiled)} == {1.4}
    told = "On the Intel Xeon PyTorch trains 1.1 times as many images as ours, on the AMD EPYC ours 1.4 times as many as PyTorch."
    assert told in README and "Intel" in readme.log("bench", "cpu")["hardware"]
    assert "EPYC" in readme.log("bench", "cpu-2026-11-30")["hardware"]
    ours = intel["TensorFlow, bfloat16"]
    assert ours < 0.9 and intel["PyTorch, bfloat16"] < 0.9 * intel[eager]
    assert f"slower on a CPU, {ours:.2f} times as fast" in (ROOT / "docs" / "differences.md").read_text()
    pages = [
        readme.log("bench", run)["contenders"]["without large pages"]["ratio"]
        for run in ("cpu-2026-11-26", "cpu-2026-11-30")
    ]
    told = "Without these our speed was {:.2f} and {:.2f} times as high".format(*pages)
    assert told in (ROOT / "logs" / "README.md").read_text()


def test_what_is_said_of_seeds():
    """How many rows have one, and how far those of a row with several are apart at most."""
    rows = [[readme.accuracies(run, test) for test in readme.TESTS] for run in readme.released()]
    several = [row for row in rows if len(row[0]) > 1]
    floors = [readme.log(readme.BASE, "probe")["test"][readme.TESTS[1]]["untrained"]["accuracy"]]
    floors += {float(row["untrained_blocks"]) for row in readme.rows_of("ablations-100ep")}
    assert "the same untrained weights got {} and {}".format(*floors) in README
    apart = [max(max(row[i]) - min(row[i]) for row in several) for i in range(len(readme.TESTS))]
    words = dict(enumerate("None One Two Three Four Five Six".split()))
    assert (
        "**{} of the {} rows are one run, seed 0.** In the others the seeds of a row are at most "
        "{:.2f} points apart in the linear probe, {:.2f} in all blocks and {:.2f} in neighbours."
    ).format(words[len(rows) - len(several)], words[len(rows)].lower(), *apart) in README


def test_which_seeds_name_their_rates():
    """The rates of probes are in the table, but for those that are said to be lost."""
    assert (
        "The learning rates of three runs of 3 & 1 were not kept."
        in (ROOT / "logs" / "README.md").read_text()
    )
    for row in readme.rows_of("seeds"):
        rates = [row[column] for column in row if column.endswith("learning rate")]
        lost = row["commit"][:7] in ("0898082", "9ce42b5", "34d3032")  # the first three rows of 3 & 1
        assert len(rates) == 4 and any(rates) == all(rates) != lost, row["run"]


def test_what_is_said_of_fewer_images():
    """One run with 40,000 is no worse than any seed with 50,000; the leads are those that the text has."""
    run = "mae-3x1-mask75-100ep"
    (few,) = [row for row in readme.unreleased(run) if row not in readme.seeds(run)]
    assert (few["train_images"], few["seed"]) == ("40000", "0")
    leads = [
        float(few[test]) - accuracy for test in readme.TESTS for accuracy in readme.accuracies(run, test)
    ]
    told = f"in all three measures, by {min(leads):.1f} to {max(leads):.1f} points, which is open."
    assert min(leads) > 0 and told in (ROOT / "logs" / "README.md").read_text()
    all_of_them = readme.accuracies(run, readme.TESTS[0])
    told = "has {} % in the linear probe, no less than our three seeds with 50,000 ({:.2f} to {:.2f})"
    told = told.format(few[readme.TESTS[0]], min(all_of_them), max(all_of_them))
    assert len(all_of_them) == 3 and told in (ROOT / "docs" / "differences.md").read_text()


def test_what_is_said_of_mask_ratios():
    """With 3 & 1 more hidden patches are better: each seed is ahead of each, and the means differ as told."""
    leads = []
    for test in readme.TESTS:
        less, more = (readme.accuracies(f"mae-3x1-mask{mask}-100ep", test) for mask in (60, 75))
        assert min(len(less), len(more)) > 1 and min(more) > max(less)
        leads.append(sum(more) / len(more) - sum(less) / len(less))
    told = "every seed of mask 0.75 is ahead of every seed of mask 0.60, on average by {:.1f} points in the linear probe, {:.1f} in all blocks and {:.1f} in neighbours."
    assert told.format(*leads) in README


def test_what_the_notebooks_say_of_their_runs():
    """The numbers in their text are those of the logs."""
    run, text = "mae-6x2-mask75-100ep", prose(notebooks.PRETRAINING)
    results, probe = readme.log(run, "results"), readme.log(run, "probe")["test"]["probe, final tokens"]
    assert f"has {results['linear_probe']:.1f} %, without training it is {results['untrained']:.1f} %" in text
    floor, gap = probe["untrained"]["accuracy"], probe["trained"]["accuracy"] - probe["untrained"]["accuracy"]
    assert f"the untrained encoder has {floor:.1f} %, and the gap is {gap:.1f} points" in text
    base = readme.ablations()["base"][0]
    error = (
        f"ended at an error of {float(base['validation_loss']):.2f} and reached {float(base['probe']):.1f} %"
    )
    assert f"A run of {base['epochs']} epochs {error}" in text
    printed = json.dumps(notebooks.cells(notebooks.PRETRAINING, "code"))
    loss = float(re.search(r"whole test images: ([\d.]+)", printed)[1])
    error = f"ends at {loss:.2f} and {results['linear_probe']:.1f} %"
    (tint, model), (rest, more) = re.findall(
        r"the smooth fill explains (\d+)% of it, the model (\d+)%", printed
    )
    assert f"the smooth filling finds {tint} % of it" in text and int(model) > int(more) == 2 * int(rest)
    assert f"This one of {readme.log(run, 'card')['epochs']} epochs {error}" in text
    for ours, theirs in zip(*(readme.ablations()[name] for name in ("adamw", "paper")), strict=True):
        for measure in ("probe", "blocks", "neighbours"):
            assert float(ours[measure]) > float(theirs[measure]), "short trials favour it"
    assert "In short trials a classifier that reads all blocks gained most" in text
    for name, other in (("adamw", "paper"), ("base", "last-block")):
        gains = {
            measure: readme.mean(readme.ablations()[name], measure)
            - readme.mean(readme.ablations()[other], measure)
            for measure in readme.JUDGED
        }
        assert max(gains, key=gains.get) == "blocks"
    found = {method: readme.few_labels()[50, method] for method in readme.METHODS}
    scratch, tuned, probed = (found[method][0] for method in ("scratch", "fine-tuned", "probe"))
    text = prose(notebooks.CLASSIFICATION)
    for method in ("scratch", "probe", "fine-tuned"):
        assert (
            f"| {readme.METHODS[method]} | {found[method][0]:.1f} | {statistics.mean(found[method]):.1f} |"
            in text
        )
    assert f"It pays: fine-tuned is {tuned - scratch:.0f} points ahead" in text and 0 < tuned - probed < 3, (
        "comes close"
    )
    rows = rows_of(readme.rows_of("labels"), "50", "scratch")
    rates = {row["learning_rate"] for row in rows if row["held_out"] == "0"}
    assert rates == {"0.016"} and "took a higher learning rate, 0.016" in text
    assert readme.log("few-labels", "results")["accuracy"] == tuned
    (longer,) = (float(row["accuracy"]) for row in rows if row["epochs"] == "500")
    assert scratch < longer < probed and f"ten times as many steps reach {longer:.1f} with this draw" in text
    assert f"{longer:.2f} in draw 0, where 500 steps have {scratch:.2f}" in LABELS
    (equal,), (tuned_500, *_) = readme.longer()[500], readme.few_labels()[500, "fine-tuned"]
    assert (
        f"They reach {equal:.2f} %, and fine-tuning has {tuned_500:.2f} % with the same labels (one draw)"
        in text
    )
    outputs = json.dumps(notebooks.cells(notebooks.CLASSIFICATION, "code"))
    assert f"{tuned:.2f} % of 10000 test images" in outputs


def test_validation_rows_are_not_told_as_tests(monkeypatch, tmp_path):
    """An empty `held_out` is a test in logs/elpv.csv, where 0 is the first fifth; in the earlier table 0 held out none."""
    monkeypatch.setattr(readme, "LOGS", tmp_path)
    for name, column, tested in (("new", "split", ""), ("old", "draw", "0")):
        (tmp_path / f"{name}.json").write_text(json.dumps({"sha256": {"encoder.keras": "abcdef"}}))
        lines = [f"{column},held_out,encoder", "0,0,abc", "1,,abc", "2,80,abc", "3,,other", "4,0,other"]
        (tmp_path / f"{name}.csv").write_text("\n".join(lines))
        _, rows = readme.cells(name)
        assert [row["held_out"] for row in rows] == [tested]


def test_what_is_said_of_corruptions():
    """Probe and fine-tuned classifier are ahead on average, lose more, and are behind under noise."""
    found, behind = readme.corruptions(), {}
    rows = readme.rows_of("corruptions")
    (earlier,) = (row for row in rows if row["model"] not in corruptions.MODELS)
    mean = statistics.mean(float(earlier[name]) for name in corruptions.NAMES if name != "none")
    scratch = found["scratch"]
    assert (
        earlier["model"] == "fine-tuned, 20 epochs" and mean < (sum(scratch.values()) - scratch["none"]) / 15
    )
    told = f"fine-tuned for 20 epochs, it was behind on average: {mean:.1f}, with {earlier['none']} without corruption"
    assert told in LABELS
    told = f"{mean:.1f} against {(sum(scratch.values()) - scratch['none']) / 15:.1f}"
    short = {name: float(earlier[name]) - scratch[name] for name in corruptions.NAMES if name != "none"}
    lost = sorted(-lead for lead in short.values())
    behind_on_average = sum(lost) / len(lost)
    equal = "is {:.0f} to {:.0f} points behind under these two and {:.1f} on average."
    assert equal.format(*lost[-2:], behind_on_average) in README
    assert {name for name in short if -short[name] in lost[-2:]} == {"gaussian noise", "shot noise"}
    noise, blur, little = (
        [-short[name] for name in names]
        for names in (
            ("shot noise", "gaussian noise"),
            ("glass blur", "jpeg compression"),
            ("elastic transform", "pixelate"),
        )
    )
    equal = "Under shot and Gaussian noise it was {:.1f} and {:.1f} points behind, under glass blur and JPEG {:.1f} and {:.1f}, under elastic transform and pixelate {:.1f} and {:.1f}. Under impulse noise it was {:.1f} ahead, and within a point under the other eight"
    assert equal.format(*noise, *blur, *little, short["impulse noise"]) in LABELS
    assert sum(abs(lead) < 1 for lead in short.values()) == 8
    assert f"At equal work the fine-tuned classifier is behind, {told} %." in LABELS
    for row in (row for row in rows if row is not earlier):
        assert notebooks.sha256(ROOT / corruptions.MODELS[row["model"]]).startswith(row["weights"])
    for one, other in (("probe", "probe, untrained"), ("fine-tuned", "scratch")):
        ours, theirs = found[one], found[other]
        means = [sum(accuracies.values()) - accuracies["none"] for accuracies in (ours, theirs)]
        assert len(ours) == 16 and means[0] > means[1]
        if one == "fine-tuned":
            told = "{:.1f} against {:.1f}".format(*(mean / 15 for mean in means))
            assert f"after 57 epochs each, {told}, but" in README and f"to {told} %" in LABELS
            lead = (means[0] - means[1]) / 15, ours["none"] - theirs["none"]
            assert (
                "{}, by {:.1f} points before rounding, where it has {:.1f} without corruption".format(
                    told, *lead
                )
                in LABELS
            )
        kept = [(mean / 15 - 10) / (a["none"] - 10) for mean, a in zip(means, (ours, theirs))]
        assert kept[0] < kept[1]
        behind[one] = {name for name in ours if ours[name] < theirs[name]}
    assert behind["probe"] == {f"{noise} noise" for noise in ("gaussian", "shot", "impulse")}
    leads = {name: found["fine-tuned"][name] - found["scratch"][name] for name in found["scratch"]}
    leads.pop("none")
    noise = [-leads.pop(f"{name} noise") for name in ("gaussian", "shot")]
    assert "Under Gaussian and shot noise it is {:.1f} and {:.1f} points behind".format(*noise) in LABELS
    assert "a deficit of {1:.1f} and {0:.1f} points".format(*noise) in LABELS
    assert "but {1:.0f} to {0:.0f} points behind under two kinds of noise".format(*noise) in README
    little = [leads.pop(name) for name in ("glass blur", "jpeg compression")]
    assert -1 < min(little) and max(little) < 0
    low, high = min(leads.values()), max(leads.values())
    told = f"Under the other eleven it is ahead, by {low:.1f} to {high:.1f} points"
    assert told in LABELS and len(leads) == 11 and low > 0
    for name in ("defocus blur", "zoom blur"):
        assert all(found[model][name] > found[model]["none"] for model in ("scratch", "fine-tuned"))
