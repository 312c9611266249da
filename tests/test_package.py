from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
ROOMS = ("embedder", "index", "classify", "cli")


def test_the_wheel_holds_every_module_and_nothing_loose(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(ROOT / name, tree)
    for name in (*ROOMS, "maskcls"):
        shutil.copytree(ROOT / name, tree / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-m", "pip", "wheel", ".", "--no-deps", "--no-build-isolation", "--wheel-dir", "."]
    subprocess.run(command, cwd=tree, check=True, capture_output=True)
    (wheel,) = tree.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    files = {path for room in ROOMS for path in (ROOT / room).rglob("*.*") if path.suffix != ".pyc" and path.is_file()}
    expected = {f"maskcls/{path.relative_to(ROOT)}" for path in files} | {"maskcls/__init__.py", "maskcls/py.typed"}
    assert names == expected


def test_the_rooms_are_relative_links() -> None:
    for room in ROOMS:
        link = ROOT / "maskcls" / room
        assert link.is_symlink()
        assert str(link.readlink()) == f"../{room}"
