"""The README says what the logs say, links to what exists, and names commands that there are."""

import json
import re

import address
import matplotlib.pyplot as plt
import papermill
import pytest
import repeat
import results
from notebooks import ROOT
from PIL import Image

README = (ROOT / "README.md").read_text()


def test_tables_are_those_of_the_logs():
    assert results.filled(README) == README, "the README's tables differ from logs/: run `make results`"


def test_figure_is_that_of_the_logs(tmp_path, monkeypatch):
    """The numbers that the figure shows stand in the file, too."""
    assert json.loads(Image.open(results.FIGURE).text["Description"]) == results.figure_data()
    monkeypatch.setattr(results, "FIGURE", tmp_path / "figures" / "results.png")
    monkeypatch.setattr(
        results, "figure_data", lambda: {"a": {"accuracy": 1, "floor": 2, "published": 3, "loss": [4]}}
    )
    results.draw_figure()
    assert plt.imread(results.FIGURE).ndim == 3
    assert json.loads(Image.open(results.FIGURE).text["Description"])["a"]["loss"] == [4]


@pytest.mark.parametrize("name", sorted(path.parent.name for path in ROOT.glob("logs/*/settings.json")))
def test_logged_runs_can_be_repeated(name):
    """Their settings are parameters of one of the notebooks."""
    notebook, parameters = repeat.plan(name)
    assert set(parameters) == set(papermill.inspect_notebook(str(ROOT / notebook)))
    assert parameters["RUN"] == f"{name}-again"


def test_tables_follow_the_logs(monkeypatch):
    """A number that changes in the logs changes the README."""
    read = results.read
    monkeypatch.setattr(
        results,
        "read",
        lambda run, name: read(run, name) | ({"accuracy": 12.34} if name == "results" else {}),
    )
    assert "12.34" in results.filled(README)


def test_address_stands_everywhere_or_nowhere():
    repository = re.search(r"^REPOSITORY *=(.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[1].strip()
    for name, content in address.stamped(repository).items():
        assert (ROOT / name).read_text() == content, (
            f"{name} has another address than the Makefile: run `make address`"
        )


def test_address_reaches_badges_and_downloads():
    files = address.stamped("https://github.com/owner/name")
    assert "colab.research.google.com/github/owner/name/blob/main/linear-probe.ipynb" in files["README.md"]
    cells = "".join("".join(cell["source"]) for cell in json.loads(files["linear-probe.ipynb"])["cells"])
    assert 'repository = "https://github.com/owner/name"' in cells
    for name in address.NOTEBOOKS:
        assert f"owner/name/blob/main/{name}" in "".join(json.loads(files[name])["cells"][0]["source"])


@pytest.mark.parametrize("document", ["README.md", "weights/README.md"])
def test_links_lead_somewhere(document):
    text = (ROOT / document).read_text()
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        if not target.startswith("http"):
            assert ((ROOT / document).parent / target).exists(), target


def test_commands_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:^|`)make ([a-z-]+)", README, re.MULTILINE)) <= targets


def test_the_five_lines_run(monkeypatch):
    """What the README shows for using the weights works as it stands."""
    monkeypatch.chdir(ROOT)
    code = re.search(r"```python\n(.*?)```", README, re.DOTALL)[1]
    space = {}
    exec(code, space)
    assert space["tokens"].shape == (8, 64, 128) and space["features"].shape == (8, 128)
