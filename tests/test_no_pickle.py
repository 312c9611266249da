"""Nothing is ever unpickled, evaluated, or run by a shell: the code is walked, and so are the files it writes."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted(
    path for room in ("embedder", "index", "classify", "cli", "benchmarks") for path in ROOT.glob(f"{room}/**/*.py")
)
MODULES = {"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "code", "pty"}
CALLS = {
    "eval",
    "exec",
    "compile",
    "__import__",
    "read_pickle",
    "to_pickle",
    "read_hdf",
    "loads_pickle",
    "system",
    "popen",
}
SAFE = {("torch", "load"): ("weights_only", True), ("np", "load"): ("allow_pickle", False)}
HARMLESS = {"UnpicklingError"}
"""May be imported from pickle: what torch raises when it refuses a file."""
METHODS = {"eval", "compile"}
"""Also names of harmless methods: ``net.eval()``, ``re.compile()``."""


def findings(source: str) -> Iterator[str]:
    """What must not stand in a source text."""
    for node in ast.walk(ast.parse(source)):
        modules: list[str] = []
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = {alias.name for alias in node.names}
            modules = [] if (node.module, names) == ("pickle", HARMLESS) else [node.module or ""]
        yield from (f"imports {name}" for name in modules if name.partition(".")[0] in MODULES)
        if not isinstance(node, ast.Call):
            continue
        given = {word.arg: word.value.value for word in node.keywords if isinstance(word.value, ast.Constant)}
        if given.get("shell"):
            yield "runs a shell"
        if isinstance(node.func, ast.Name) and node.func.id in CALLS:
            yield f"calls {node.func.id}"
        if isinstance(node.func, ast.Attribute):
            owner = node.func.value.id if isinstance(node.func.value, ast.Name) else ""
            word, value = SAFE.get((owner, node.func.attr), ("", None))
            if word and given.get(word) is not value:
                yield f"calls {owner}.{node.func.attr} without {word}={value}"
            if node.func.attr in CALLS - METHODS or (owner, node.func.attr) == ("torch", "save"):
                yield f"calls {owner}.{node.func.attr}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_source_unpickles_or_evaluates(path: Path) -> None:
    assert list(findings(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import UnpicklingError, loads",
        "from joblib import load",
        "eval(x)",
        "torch.load(p)",
        "torch.load(p, weights_only=False)",
        "np.load(p)",
        "np.load(p, allow_pickle=True)",
        "pd.read_pickle(p)",
        "torch.save(x, p)",
        "subprocess.run(x, shell=True)",
        "os.system(x)",
    ],
)
def test_the_walk_finds_what_it_looks_for(source: str) -> None:
    assert list(findings(source))


@pytest.mark.parametrize(
    "source", ["from pickle import UnpicklingError", "net.eval()", "re.compile(x)", "np.load(p, allow_pickle=False)"]
)
def test_the_walk_lets_the_harmless_pass(source: str) -> None:
    assert not list(findings(source))
