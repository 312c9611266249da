"""Wheels and editable installs, also from trees whose links were lost on the way."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("embedder", "index", "classify", "cli")
BUILD = "import sys; from setuptools import build_meta; getattr(build_meta, sys.argv[1])(sys.argv[2])"
SCRIPT = """
import site, sys
site.addsitedir(sys.argv[1])
import maskcls, maskcls.embedder.errors
print(maskcls.__all__)
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what a build reads, in a folder called ``maskcls`` as after ``git clone``."""
    tree = tmp_path / "maskcls"
    tree.mkdir()
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(ROOT / name, tree)
    for name in (*ROOMS, "maskcls"):
        shutil.copytree(ROOT / name, tree / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    return tree


def lose_links(checkout: Path) -> None:
    """Store each link as a text file, as a zip unpacked by pip does."""
    for room in ROOMS:
        link = checkout / "maskcls" / room
        link.unlink()
        link.write_text(f"../{room}")


def build(checkout: Path, kind: str, site: Path) -> subprocess.CompletedProcess[str]:
    """Build by the hook ``kind`` of PEP 517 or 660 and unpack the wheel into ``site``."""
    command = [sys.executable, "-c", BUILD, kind, str(checkout)]
    result = subprocess.run(command, cwd=checkout, capture_output=True, text=True)
    for wheel in checkout.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(site)
    return result


def test_the_wheel_holds_every_module_and_nothing_else(checkout: Path, tmp_path: Path) -> None:
    lose_links(checkout)
    site = tmp_path / "site"
    result = build(checkout, "build_wheel", site)
    assert result.returncode == 0, result.stderr
    installed = {str(path.relative_to(site)) for path in site.glob("maskcls/**/*") if path.is_file()}
    files = {path for room in ROOMS for path in (ROOT / room).rglob("*.*") if path.suffix != ".pyc" and path.is_file()}
    assert installed == {f"maskcls/{path.relative_to(ROOT)}" for path in files} | {
        "maskcls/__init__.py",
        "maskcls/py.typed",
    }


@pytest.mark.parametrize("linked", [True, False], ids=["links", "text-files"])
def test_a_script_beside_an_editable_checkout_imports_the_package(checkout: Path, tmp_path: Path, linked: bool) -> None:
    if not linked:
        lose_links(checkout)
    site = tmp_path / "site"
    result = build(checkout, "build_editable", site)
    assert result.returncode == 0, result.stderr
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-S", str(script), str(site)]
    imported = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert "Classifier" in imported.stdout, imported.stderr


def test_a_link_that_cannot_be_made_is_reported_in_one_line(checkout: Path, tmp_path: Path) -> None:
    link = checkout / "maskcls" / "embedder"
    link.unlink()
    link.mkdir()
    result = build(checkout, "build_editable", tmp_path / "site")
    assert result.returncode
    assert result.stderr.splitlines()[-1].startswith(f"maskcls: cannot link {link} to ../embedder: ")


def test_the_rooms_are_relative_links() -> None:
    for room in ROOMS:
        link = ROOT / "maskcls" / room
        assert link.is_symlink()
        assert str(link.readlink()) == f"../{room}"


def test_classify_has_no_modules_beside_its_rooms_but_three() -> None:
    assert {path.name for path in (ROOT / "classify").glob("*.py")} == {
        "__init__.py",
        "answer.py",
        "api.py",
        "tasks.py",
    }
