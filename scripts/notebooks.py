"""Use the definitions that stand in the notebooks: `definitions("mae-pretraining.ipynb")["patchify"]`."""

import ast
import json
import pathlib

ROOT = pathlib.Path(__file__).resolve().parent.parent


def code_cells(notebook):
    """The sources of a notebook's code cells; `notebook` is a file name in the repository's root."""
    cells = json.loads((ROOT / notebook).read_text())["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def definitions(notebook, only=None):
    """Run a notebook's imports, functions and classes, and nothing else, and return them as a dict.

    `only`, a set of names, leaves out all other functions and classes, and the imports that these do not need.
    """
    nodes = [node for source in code_cells(notebook) for node in ast.parse(source).body]
    wanted = [
        n
        for n in nodes
        if isinstance(n, (ast.FunctionDef, ast.ClassDef)) and (only is None or n.name in only)
    ]
    missing = set(only or ()) - {node.name for node in wanted}
    if missing:
        raise KeyError(f"{notebook} does not define {', '.join(sorted(missing))}")
    used = {n.id for w in wanted for n in ast.walk(w) if isinstance(n, ast.Name)}
    for node in nodes:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            node.names = [a for a in node.names if only is None or (a.asname or a.name.split(".")[0]) in used]
    imports = [n for n in nodes if isinstance(n, (ast.Import, ast.ImportFrom)) and n.names]
    namespace = {"__name__": notebook}
    exec(compile(ast.Module(imports + wanted, []), notebook, "exec"), namespace)
    return namespace
