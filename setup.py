"""Restores the links of ``maskcls/`` before a build, where a zip or git without ``core.symlinks`` stored text files."""

import sys
from pathlib import Path

from setuptools import setup

PACKAGE = Path(__file__).resolve().parent / "maskcls"

for room in ("embedder", "index", "classify", "cli"):
    link = PACKAGE / room
    if (link / "__init__.py").is_file():
        continue
    try:
        link.unlink(missing_ok=True)
        link.symlink_to(f"../{room}", target_is_directory=True)
    except OSError as error:
        hint = "make that link yourself (Windows: turn on developer mode first), then install again"
        sys.exit(f"maskcls: cannot link {link} to ../{room}: {error.strerror}; {hint}")

setup()
