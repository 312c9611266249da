"""Erase a person: find them, walk all artefacts, verify that nothing is left, and write the receipt."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ...embedder.erasure.files import Staged, pages, step_caches, temporary_files
from ...embedder.erasure.protocol import Artefact, Kind, Listing
from ...embedder.erasure.traces import Traces
from ...embedder.errors import MaskclsError
from ...embedder.faceset import store
from ...embedder.faceset.erasure import StoredSet, patches
from ...embedder.masks.erasure import drawn_masks
from ...embedder.photo import is_photo, shown, stored
from ...embedder.storage.atomic import write_json
from ...embedder.storage.atomic_folder import NEXT, ensure_whole
from ...embedder.storage.manifest import key_of
from ...embedder.storage.step_cache import StepCache
from ..evaluation import erasure as evaluation
from ..evaluation import error_gallery_folder
from ..labels.audit import issues
from ..model.erasure import MODEL_FILES, StoredModelFolder
from ..predict import erasure as predict
from .person import PersonSelector, find_person
from .receipt import make_receipt
from .verify import Verification, verify

_STAGED = (
    *(*store.FILES, *store.OPTIONAL_FILES, store.MANIFEST, *MODEL_FILES),
    *(error_gallery_folder.MANIFEST, error_gallery_folder.FACES, *error_gallery_folder.PAGES),
)
KINDS: tuple[Kind, ...] = (
    *(temporary_files, Staged(_STAGED), StoredSet.find, step_caches),
    *(StoredModelFolder.find, drawn_masks, evaluation.error_galleries),
    *(issues.erasable, patches, evaluation.splits, predict.predictions, predict.submissions, predict.rejects),
    *(evaluation.predictions, predict.voters, predict.explanations, evaluation.face_thumbnails, pages),
)
"""Every kind of artefact, in the order in which they look at a folder and in which they are erased."""
PENDING = ".forget"
"""Suffix of the folder beside a receipt in which an unfinished erasure keeps what it knows of the person."""

Progress = Callable[[str, int, int], None]
"""Called with what is being done, steps done and steps to do."""


@dataclass(frozen=True)
class Erasure:
    """What was done, or would be.

    Attributes:
        faces: of the person, in all sets and models.
        others: faces of another name that are grouped with the person and were left alone.
        removed: how much of a kind was removed at a place.
        photos: the person's photos that still lie there.
        deleted: how many photos were deleted.
        models: that may have been trained on the person.
        pending: where an erasure that is not verified keeps what it needs to go on.
        verification: None after a dry run.
    """

    faces: int
    others: int
    removed: Mapping[tuple[str, Path], int]
    photos: tuple[Path, ...]
    deleted: int
    models: tuple[Path, ...]
    pending: Path
    verification: Verification | None = None

    @property
    def verified(self) -> bool:
        """Whether nothing of the person was found any more."""
        return self.verification is not None and self.verification.clean


@dataclass(frozen=True)
class _Pending:
    """What an erasure must remember across a kill, since it cannot be found again once the sets are rid of it."""

    traces: Traces = field(default_factory=Traces)
    removed: Mapping[tuple[str, Path], int] = field(default_factory=dict)
    photos: frozenset[Path] = frozenset()

    @classmethod
    def read(cls, cache: StepCache) -> _Pending:
        step = cache.read("person")
        if step is None:
            return cls()
        faces, hashes, photos, identities, removed, delete = step.notes
        where = frozenset((root, path) for root, path in photos)
        traces = Traces(frozenset(faces), frozenset(hashes), where, dict(step.arrays), frozenset(identities))
        counts = {(what, Path(path)): count for what, path, count in removed}
        return cls(traces, counts, frozenset(map(Path, delete)))

    def write(self, cache: StepCache) -> None:
        known = self.traces
        removed = [[what, stored(path), count] for (what, path), count in self.removed.items()]
        notes = [sorted(known.faces), sorted(known.hashes), sorted(known.photos), sorted(known.identities), removed]
        cache.write("person", known.vectors, notes=[*notes, sorted(map(stored, self.photos))])


def erase_person(
    selector: PersonSelector,
    folders: Sequence[Path],
    receipt_file: Path,
    *,
    delete_photos: bool = False,
    dry_run: bool = False,
    progress: Progress = lambda what, done, total: None,
) -> Erasure:
    """Erase a person from all embedding sets, models and outputs in some folders, and verify that it is done.

    What is known of the person is kept beside the receipt until nothing is left: a killed run, called again, goes on
    and ends the same. The receipt is written last, and only if nothing is left.

    Args:
        delete_photos: also delete the person's photo files, where they still are what was embedded.
        dry_run: change nothing, only return what would be done.

    Raises:
        MaskclsError: the person is unknown or ambiguous, a set or model is damaged, or another run is writing to one.
    """
    receipt_file = receipt_file.resolve()
    key = key_of(selector.text, selector.dataset, *(stored(folder.resolve()) for folder in folders))
    pending_folder = receipt_file.with_name(f".{receipt_file.name}.{key[:16]}{PENDING}")
    others = set(receipt_file.parent.glob(f".{receipt_file.name}.*{PENDING}")) - {pending_folder}
    if others:
        raise MaskclsError(
            f"{shown(others.pop())}: left by an unfinished erasure of another person; finish that one first, or choose "
            "another receipt"
        )
    skip = {receipt_file, pending_folder}
    artefacts, files = find_artefacts(folders, skip)
    sets = [one for one in artefacts if isinstance(one, StoredSet)]
    models = [one for one in artefacts if isinstance(one, StoredModelFolder)]
    cache = StepCache(pending_folder, key)
    former = _Pending.read(cache)
    found = find_person(sets, models, selector, former.traces)
    traces = found.traces
    counts = {(one.what, one.path): one.erase(traces, dry_run=True) for one in artefacts}
    removed = {place: count for place, count in counts.items() if count}
    removed |= {place: max(count, removed.get(place, 0)) for place, count in former.removed.items()}
    photos = _photos_of(traces, files)
    pending = _Pending(traces, removed, former.photos.union(photos if delete_photos else ()))
    trained = tuple(one.path for one in models)
    done = Erasure(len(traces.faces), found.others, removed, tuple(photos), 0, trained, pending_folder)
    if dry_run:
        return done
    pending.write(cache)
    for number, artefact in enumerate(artefacts):
        progress("erasing", number, len(artefacts))
        artefact.erase(traces)
    progress("erasing", len(artefacts), len(artefacts))
    for path in pending.photos:
        path.unlink(missing_ok=True)
    left = tuple(path for path in photos if path.exists())
    paths = all_files(folders, skip | set(left))
    verification = verify(sets, models, paths, traces, lambda done, total: progress("reading all files", done, total))
    done = replace(done, photos=left, deleted=len(pending.photos), verification=verification)
    if verification.clean:
        amounts = {"deleted": len(pending.photos), "left": len(left)}
        write_json(receipt_file, make_receipt(selector.text, traces, folders, removed, trained, amounts, verification))
        cache.clear()
    return done


def find_artefacts(folders: Sequence[Path], skip: Collection[Path]) -> tuple[list[Artefact], list[Path]]:
    """All artefacts in folders and below, in the order of :data:`KINDS`, and the files that belong to none.

    Hidden files and folders are looked at, too; links to folders are not followed.

    Args:
        skip: files and folders to pass over, resolved.

    Raises:
        MaskclsError: one of the folders is none.
    """
    found: list[tuple[int, Artefact]] = []
    files: list[Path] = []
    seen: set[Path] = set()
    for folder in folders:
        if not folder.is_dir():
            raise MaskclsError(f"{shown(folder)}: no such folder")
        for here, subfolders, names in os.walk(folder.resolve()):
            path = Path(here)
            if NEXT in subfolders:
                ensure_whole(path)  # a killed commit is finished, as by any reader
                subfolders[:] = [one.name for one in path.iterdir() if one.is_dir() and not one.is_symlink()]
                names = [one.name for one in path.iterdir() if one.name not in subfolders]
            subfolders[:] = [name for name in subfolders if not name.endswith(PENDING) and path / name not in skip]
            if path in seen:
                subfolders.clear()
                continue
            seen.add(path)
            listing = Listing(path, {name for name in names if path / name not in skip}, set(subfolders))
            files += [path / name for name in sorted(listing.files)]
            for number, kind in enumerate(KINDS):
                found += [(number, artefact) for artefact in kind(listing)]
            subfolders[:] = sorted(listing.folders)
    return [artefact for _, artefact in sorted(found, key=lambda one: one[0])], files


def all_files(folders: Sequence[Path], skip: Collection[Path]) -> list[Path]:
    """Every file in folders and below, each once, in order; ``skip`` as in :func:`find_artefacts`."""
    found: set[Path] = set()
    for folder in folders:
        for here, subfolders, names in os.walk(folder.resolve()):
            subfolders[:] = [name for name in subfolders if Path(here, name) not in skip]
            found.update(Path(here, name) for name in names)
    return sorted(path for path in found if path not in skip and (path.is_file() or path.is_symlink()))


def _photos_of(traces: Traces, files: Collection[Path]) -> list[Path]:
    """The person's photos that still lie where they were embedded, or anywhere among some files."""
    candidates = {Path(place) for place in traces.places} | {path for path in files if is_photo(path)}
    return sorted(path for path in candidates if _is_photo(path, traces))


def _is_photo(path: Path, traces: Traces) -> bool:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() in traces.hashes
    except (OSError, ValueError):
        return False
