"""Copy a finished run's weights to weights/<name>/ and its logs to logs/<name>/: python scripts/release.py RUN [NAME]

A run of linear-probe.ipynb gives each encoder in weights/ that it measured its part of the results. So an encoder is released in
three steps: release its run, probe weights/<name>, release the probe. If a run used a notebook's code as it stands here, without
other parameters, the notebook here gets the run's outputs.
"""

import json
import pathlib
import shutil
import sys

from notebooks import ROOT, code_cells

WEIGHTS = ("encoder.keras", "decoder.keras", "classifier.keras")
LOGS = (
    "settings.json",
    "history.csv",
    "results.json",
    "quickstart.json",
    "card.json",
    "tensorboard",
    "figures",
)


def read(path):
    """The contents of a JSON file."""
    return json.loads(path.read_text())


def copy(names, source, target):
    """Copy the files and folders `names`, as far as they exist, from one folder to another."""
    for path in (source / name for name in names if (source / name).exists()):
        target.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            shutil.rmtree(target / path.name, ignore_errors=True)  # nothing of an earlier release stays
            shutil.copytree(path, target / path.name)
        else:
            shutil.copy2(path, target)
    if target.exists():
        print(f"{target.relative_to(ROOT)}/: {', '.join(sorted(path.name for path in target.iterdir()))}")


def share_probe(record, root=ROOT):
    """From a probe run's results.json, as a dict, write logs/<encoder>/probe.json for each encoder that lies in weights/.

    Exits with a sentence, and nothing written, if one of them is not the file that was measured, or not on all images.
    """
    images = record["images"]
    if (images["training"], images["test"]) != (50_000, 10_000):
        sys.exit(
            f"this probe used {images['training']} training and {images['test']} test images: run it on all."
        )
    common = {key: value for key, value in record.items() if key not in ("encoders", "differences")}
    measured = {
        pathlib.PurePath(folder).name: result
        for folder, result in record["encoders"].items()
        if pathlib.PurePath(folder).parts[0] == "weights"
    }
    for name, result in measured.items():
        if read(root / "logs" / name / "card.json")["sha256"]["encoder.keras"] != result["sha256"]:
            sys.exit(f"the probe measured another encoder than the one in weights/{name}: run it again.")
    for name, result in measured.items():
        (root / "logs" / name / "probe.json").write_text(json.dumps(result | common, indent=1) + "\n")
        write_card(name, root)


def write_card(name, root=ROOT):
    """weights/<name>/card.json: the run's own card, and what was measured with these weights."""
    logs = root / "logs" / name
    card = read(logs / "card.json")
    if "classifier.keras" in card["sha256"]:
        card["results"] = read(logs / "results.json")
    elif (logs / "probe.json").exists():
        probe = read(logs / "probe.json")
        if probe["sha256"] == card["sha256"]["encoder.keras"]:  # not that of an earlier release
            card["results"] = probe["test"]
    (root / "weights" / name / "card.json").write_text(json.dumps(card, indent=1) + "\n")


def give_outputs(executed, notebook):
    """Put the outputs of an executed notebook into `notebook`, if their code is the same; returns whether it was."""
    if not notebook.exists() or code_cells(executed) != code_cells(notebook):
        return False
    ours, theirs = read(notebook), read(executed)
    cells = ([cell for cell in nb["cells"] if cell["cell_type"] == "code"] for nb in (ours, theirs))
    for mine, run in zip(*cells):
        mine["outputs"], mine["execution_count"] = run["outputs"], run["execution_count"]
    notebook.write_text(json.dumps(ours, indent=1, ensure_ascii=False) + "\n")
    return True


def main(run="", name=""):
    """Copy what there is; `quickstart` only shows that everything works, so its weights are not released."""
    source, name = ROOT / "runs" / run, name or run
    if not run or not (source / "results.json").exists():
        sys.exit(f"runs/{run} holds no finished run: name one with `make release RUN=...`.")
    target = ROOT / "logs" / name
    ours, theirs = (folder / "settings.json" for folder in (source, target))
    if theirs.exists() and read(ours) | {"run": ""} != read(theirs) | {"run": ""}:
        sys.exit(
            f"logs/{name} holds a run with other settings: choose another AS, or delete it and weights/{name}."
        )
    results = read(source / "results.json")
    if results.get("measured_on", "test") != "test":
        sys.exit(f"runs/{run} held out validation images to try settings: release a run without.")
    if "encoders" in results:
        share_probe(results)
    copy(LOGS, source, target)
    if run != "quickstart" and (source / "card.json").exists():
        copy(WEIGHTS, source, ROOT / "weights" / name)
        write_card(name)
    for executed in source.glob("*.ipynb"):
        if give_outputs(executed, ROOT / executed.name):
            print(f"{executed.name}: now with the outputs of this run")


if __name__ == "__main__":
    main(*sys.argv[1:])
