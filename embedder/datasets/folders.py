"""Any folder of photos: a folder called like a mask state, a gender or an age band labels the photos below it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path

from ..errors import MaskclsError
from ..labels import AGE_BANDS, UNKNOWN, LabelError, Labels, parse_age, parse_gender, parse_mask
from ..photo import stored
from .legend import PARSERS, Legend

_AMONG_SIBLINGS = (frozenset({"m", "f"}), frozenset({"남", "여"}), frozenset(AGE_BANDS))
"""Names that are labels only where no other folder lies beside them: ``f`` may be one of ``a`` to ``z``, ``30-59`` the
photos 30 to 59."""

Siblings = Mapping[Path, frozenset[str]]
"""Folder -> the folders with photos that lie in it, their names in lower case."""


def folder_labels(path: Path, legend: Legend = Legend(), siblings: Siblings | None = None) -> Labels:
    """Mask state, gender and age band by the names of the folders above a photo, in any case; the nearest one counts.

    Args:
        path: of the photo, below the folder that is read.
        legend: what codes stand for.
        siblings: see :func:`siblings_of`; without them a name such as ``f`` says nothing.

    Raises:
        MaskclsError: a folder is called by a code that the legend has for two tasks.
    """
    found: dict[str, str] = {}
    for folder in reversed(path.parents[:-1]):
        name = stored(folder.name)
        if len(tasks := legend.tasks(name)) > 1:
            raise MaskclsError(f"folder {name!r} is a code of {' and of '.join(tasks)}; call it by a word")
        for task in tasks or _tasks(name, (siblings or {}).get(folder.parent, frozenset())):
            found[task] = legend.label(task, name)
    low, high = parse_age(found.get("age", ""))
    mask, gender = parse_mask(found.get("mask", "")), parse_gender(found.get("gender", ""))
    return Labels(mask=mask, gender=gender, age_low=low, age_high=high)


def siblings_of(paths: Iterable[Path]) -> Siblings:
    """The folders beside each other above photos, by the folder that they lie in."""
    children: defaultdict[Path, set[str]] = defaultdict(set)
    for folder in {folder for path in paths for folder in path.parents[:-1]}:
        children[folder.parent].add(stored(folder.name).lower())
    return {folder: frozenset(names) for folder, names in children.items()}


@lru_cache(maxsize=4096)
def _tasks(name: str, siblings: frozenset[str]) -> list[str]:
    """The tasks that a folder's name is a label of; an age is one only as a band of the contest's classes."""
    word = name.lower()
    for words in _AMONG_SIBLINGS:
        if word in words and not (len(siblings) > 1 and siblings <= words | UNKNOWN):
            return []
    found = []
    for task, parse in PARSERS.items():
        try:
            is_label = parse(name) not in (None, (None, None))
        except LabelError:
            continue
        if is_label and (task != "age" or word in AGE_BANDS):
            found.append(task)
    return found
