"""Run a logged run again with the settings it had: python scripts/repeat.py RUN

The settings come from logs/<RUN>/settings.json; what comes out goes to runs/<RUN>-again/.
"""

import json
import sys

import papermill
from notebooks import ROOT
from run import run_or_exit

NOTEBOOKS = ("mae-pretraining.ipynb", "linear-probe.ipynb", "regular-classification.ipynb")


def plan(name):
    """(notebook, parameters) of the run in logs/<name>/; exits with a sentence if there is no such run."""
    path = ROOT / "logs" / name / "settings.json"
    if not name or not path.exists():
        known = sorted(file.parent.name for file in ROOT.glob("logs/*/settings.json"))
        sys.exit(f"logs/ holds no run {name!r}: name one with OF=..., one of {', '.join(known)}.")
    settings = {key.upper(): value for key, value in json.loads(path.read_text()).items()}
    for notebook in NOTEBOOKS:
        if set(papermill.inspect_notebook(str(ROOT / notebook))) == set(settings):
            return notebook, settings | {"RUN": f"{name}-again"}
    sys.exit(
        f"{path} fits none of the notebooks: the run was made by an older version, named in its card.json."
    )


def main(name=""):
    """Run it; compare runs/<name>-again/ with logs/<name>/ afterwards."""
    notebook, parameters = plan(name)
    run_or_exit(notebook, **parameters)
    print(f"done: runs/{name}-again/, to be compared with logs/{name}/")


if __name__ == "__main__":
    main(*sys.argv[1:])
