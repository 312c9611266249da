"""Erase a person from the folders that ``render_masks`` writes: their drawings and their rows go."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ..datasets.table import LABELS
from ..erasure.files import Tables, columns_of, read_table, rows_about
from ..erasure.protocol import Artefact, Listing, Plain
from ..erasure.traces import Traces
from ..storage.lock import locked
from .render import COLUMNS, REJECT_COLUMNS, REJECTS

_LABELS = Tables("drawn masks", COLUMNS)
_REJECTS = Tables("rows of rejected photos", REJECT_COLUMNS, exact=True)


def drawn_masks(listing: Listing) -> Iterator[Artefact]:
    """See :data:`..erasure.protocol.Kind`."""
    if LABELS in listing.files and columns_of(listing.path / LABELS) >= set(COLUMNS):
        listing.claim(LABELS, ".lock")
        yield Plain(_LABELS.what, listing.path, _erase)
        if REJECTS in listing.files and columns_of(listing.path / REJECTS) == set(REJECT_COLUMNS):
            listing.claim(REJECTS)
            yield Plain(_REJECTS.what, listing.path / REJECTS, _REJECTS.erase)


def _erase(folder: Path, traces: Traces, dry_run: bool) -> int:
    """Drawings first, so that a killed run still finds them by their rows."""
    table = read_table(folder / LABELS)
    drawings = [folder / name for name in table["path"][rows_about(table, traces)]]
    there = [path for path in drawings if path.is_file()]
    if drawings and not dry_run:
        with locked(folder):
            for path in there:
                path.unlink(missing_ok=True)
            _LABELS.erase(folder / LABELS, traces, False)
    return len(there)
