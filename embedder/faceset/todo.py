"""What is left to embed: photos that are new, changed, or whose labelled faces are others now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ..datasets.dataset import Dataset, Listed
from ..photo import NO_FILE, file_state, stored_below
from .finished import Positions, position_of
from .forgotten import Forgotten

Todo = dict[Path, list[Listed]]
"""Photos, each with its entries of the data set: one, or one a labelled face."""


def photos_to_embed(dataset: Dataset, root: Path, known: Positions) -> Todo:
    """The photos of a data set that can be used and are not finished."""
    todo: Todo = {}
    for item in dataset.photos:
        if is_usable(item, root, known):
            todo.setdefault(item.path, []).append(item)
    return {path: items for path, items in todo.items() if not _is_done(path, items, root, known)}


def is_usable(item: Listed, root: Path, known: Positions) -> bool:
    """Whether a photo or face has a row: its labels can be used, or it lies there and has vectors already."""
    if item.refused is None:
        return True
    position = position_of(known.get(stored_below(item.path, root), ()), item.box)
    return position is not None and not position.rejected and file_state(item.path) != NO_FILE


def _is_done(path: Path, items: Sequence[Listed], root: Path, known: Positions) -> bool:
    """Whether a photo is unchanged, and was embedded for these labelled faces and no others."""
    positions = known.get(stored_below(path, root), ())
    state = file_state(path)
    return (
        len(positions) <= len(items)
        and all(position.state == state for position in positions)
        and all(position_of(positions, item.box) is not None for item in items)
    )


def forgotten_photos(todo: Mapping[Path, Sequence[Listed]], forgotten: Forgotten) -> set[Path]:
    """The photos that must not come back."""
    if not forgotten.keys:
        return set()
    return {
        path
        for path, items in todo.items()
        if any(item.labels.drawn_on in forgotten for item in items) or forgotten.holds_file(path)
    }
