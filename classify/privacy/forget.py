"""The ``index forget`` job: find a person, remove them everywhere, prove it, and write the receipt."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ...embedder.faceset.store import MANIFEST, open_set
from ...embedder.photo import stored
from ...embedder.storage.atomic import write_json
from ...embedder.storage.atomic_folder import ensure_whole, is_interrupted
from ...embedder.storage.manifest import key_of
from ..model.model import Model
from .pending import read_pending
from .person import Found, Models, Wanted, find_person
from .places import Places, find_places
from .proof import Proof, prove
from .receipt import receipt
from .removal import photos_left, tasks
from .traces import Traces

Step = Callable[[str, int, int], None]
"""Called with what is being done, steps done and steps to do."""


@dataclass(frozen=True)
class Forgetting:
    """What was done, or would be.

    Attributes:
        faces: of the person, in all sets and models.
        others: faces of another name that are grouped with the person and were left alone.
        removed: how many of a kind were removed at a place.
        photos: the person's photos that still lie there.
        deleted: photos that were deleted.
        models: that have been trained on people of which the person may have been one.
        pending: where a run that could not prove it keeps what it needs to go on.
        proof: None after a dry run.
    """

    faces: int
    others: int
    removed: Mapping[tuple[str, Path], int]
    photos: tuple[Path, ...]
    deleted: int
    models: tuple[Path, ...]
    pending: Path
    proof: Proof | None


def forget_person(
    wanted: Wanted,
    folders: Sequence[Path],
    receipt_file: Path,
    *,
    delete_photos: bool = False,
    dry_run: bool = False,
    step: Step = lambda what, done, total: None,
) -> Forgetting:
    """Remove a person from all embedding sets, models and outputs in some folders, and prove that it is done.

    What is known of the person is kept beside the receipt until the proof holds, since it cannot be found again once
    the sets are rid of it: a killed run, called again, goes on and ends the same. The receipt is written last.

    Args:
        delete_photos: also delete the person's photo files, where they still are what was embedded.
        dry_run: change nothing, only say what would be done.

    Raises:
        MaskclsError: the person is unknown, a set or model is damaged, or another run is writing to one.
    """
    receipt_file = receipt_file.resolve()
    pending_file = receipt_file.with_name(f".{receipt_file.name}.pending")
    skip = {receipt_file, pending_file}
    key = key_of(wanted.person, wanted.source, wanted.face, *(stored(folder.resolve()) for folder in folders))
    places = find_places(folders, skip)
    if not dry_run:
        places = _made_whole(places, folders, skip)
    former = read_pending(pending_file, key)
    models = {folder: Model.load(folder) for folder in places.models}
    found = _find(places, models, wanted, former.traces)
    todo = list(tasks(places, found.traces))
    photos = photos_left(places, found.traces)
    pending = former.merged(
        found.traces,
        {(task.what, task.where): task.count for task in todo if task.count},
        photos if delete_photos else (),
    )
    done = Forgetting(
        len(found.traces.faces), found.others, pending.removed, tuple(photos), 0, tuple(models), pending_file, None
    )
    if dry_run:
        return done
    for torn in pending_file.parent.glob(f".{pending_file.name}.*.tmp"):
        torn.unlink()
    pending.save(pending_file, key)
    for number, task in enumerate(todo):
        step("removing", number, len(todo))
        task.do()
    step("removing", len(todo), len(todo))
    for path in pending.photos:
        path.unlink(missing_ok=True)
    left = tuple(path for path in photos if path.exists())
    proof = prove(
        folders,
        places.models,
        found.traces,
        skip | {path.resolve() for path in left},
        lambda done, total: step("reading all files", done, total),
    )
    counts = {"deleted": len(pending.photos), "left": len(left)}
    content = receipt(wanted.text, found.traces, folders, pending.removed, places.models, counts, proof)
    write_json(receipt_file, content)
    if proof.holds:
        pending_file.unlink()
    return replace(done, photos=left, deleted=len(pending.photos), proof=proof)


def _made_whole(places: Places, folders: Sequence[Path], skip: Collection[Path]) -> Places:
    """The places once everything that a kill has cut short is put right."""
    cut = [staging.parent for staging in places.garbage if is_interrupted(staging.parent)]
    for folder in cut:
        ensure_whole(folder)
    return find_places(folders, skip) if cut else places


def _find(places: Places, models: Models, wanted: Wanted, known: Traces) -> Found:
    sets = {folder: open_set(folder) for folder in places.sets if (folder / MANIFEST).exists()}
    return find_person(sets, models, wanted, known)
