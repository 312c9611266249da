"""The ``render-masks`` job: bare photos become photos with drawn masks, labelled and linked to their originals."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..datasets.dataset import Dataset, Listed
from ..datasets.table import LABELS
from ..detection.finder import FaceFinder
from ..errors import MaskclsError
from ..facenet.runtimes import one_thread
from ..labels import Labels, Mask
from ..photo import Photo, PhotoError, read_photo, shown, stored_below
from ..pipeline import NO_FACE, ahead
from ..storage.atomic import replacing, write_csv
from ..storage.lock import locked
from .drawing import Face, draw_mask, random_style

PHOTOS = "photos"
REJECTS = "rejects.csv"
QUALITY = (70, 95)
"""JPEG quality is drawn from this range, so that nothing is learnt from how a file was compressed."""
BATCH = 64
_OWN_NAME = re.compile(r"\.?[0-9a-f]{16}-(wear|incorrect)\.jpg(\.\d+\.tmp)?")
COLUMNS = ("path", "person", "mask", "gender", "race", "age", "drawn_on", "original")
REJECT_COLUMNS = ("path", "reason")

Progress = Callable[[int, int], None]
Row = dict[str, str | None]


@dataclass(frozen=True)
class RenderReport:
    """How many photos were drawn now and drawn before, masked originals were passed over, and rejects were written."""

    drawn: int
    reused: int
    masked: int
    rejects: int


def render_masks(
    dataset: Dataset,
    root: Path,
    out: Path,
    finder: FaceFinder,
    *,
    copies: int = 1,
    incorrect: float = 0.3,
    seed: int = 0,
    jobs: int = 2,
    progress: Progress = lambda done, total: None,
) -> RenderReport:
    """Draw masks on the largest face of every bare photo of a dataset (or photo whose mask state is unknown).

    ``out`` receives ``photos/*.jpg``, ``labels.csv`` (layout csv; ``drawn_on`` links to the original's content) and
    ``rejects.csv``. What a photo gets depends on its content, its copy's number and the seed alone; a second run
    draws only what is missing, and removes what the dataset no longer asks for.

    Args:
        copies: drawings per photo.
        incorrect: share of wrongly worn masks, 0-1.
        jobs: threads that decode, and as many that draw; the outcome does not depend on them.
        progress: is given the number of photos done and of all, at the start and after every batch.

    Raises:
        MaskclsError: ``out`` and ``root`` lie inside each other, or ``out`` holds something else or cannot be written.
    """
    _check_out(out, root)
    bare = [item for item in dataset.photos if item.refused is None and item.labels.mask in (None, "normal")]
    rejects: list[Row] = [
        {"path": stored_below(item.path, root), "reason": reason}
        for item in dataset.photos
        if (reason := item.problem(is_used=item.refused is None))
    ]
    rows: list[Row] = []
    drawn = done = 0
    progress(done, len(bare))
    with locked(out), _sought(bare, root, out, finder, (copies, incorrect, seed), jobs) as batches:
        with ThreadPoolExecutor(jobs) as pool:
            for batch in batches:
                drawn += sum(pool.map(lambda original: original.draw(out), batch))
                for original in batch:
                    if original.reason:
                        rejects.append({"path": original.name, "reason": original.reason})
                    else:
                        rows += original.rows()
                done += len(batch)
                progress(done, len(bare))
        _remove_others(out / PHOTOS, {str(row["path"]) for row in rows})
        _write(out / LABELS, rows, COLUMNS)
        _write(out / REJECTS, rejects, REJECT_COLUMNS)
    masked = sum(item.refused is None for item in dataset.photos) - len(bare)
    return RenderReport(drawn, len(rows) - drawn, masked, len(rejects))


@dataclass(frozen=True)
class _Drawing:
    """One mask to be drawn: its state, the seed of everything random about it, and the file it goes to."""

    state: Mask
    seed: int
    path: str


@dataclass
class _Original:
    """A bare photo on its way: read, then found in, then drawn on."""

    name: str
    labels: Labels
    photo: Photo | None
    reason: str | None
    drawings: list[_Drawing]
    landmarks: npt.NDArray[np.float32] | None = None

    @classmethod
    def of(cls, item: Listed, root: Path, copies: int, incorrect: float, seed: int) -> _Original:
        name = stored_below(item.path, root)
        try:
            photo = read_photo(item.path)
        except PhotoError as error:
            return cls(name, item.labels, None, str(error), [])
        return cls(name, item.labels, photo, None, [_drawing(photo, n, incorrect, seed) for n in range(copies)])

    def missing(self, out: Path) -> list[_Drawing]:
        return [drawing for drawing in self.drawings if not (out / drawing.path).exists()]

    def draw(self, out: Path) -> int:
        """Draw what is missing; the number of photos written."""
        if self.photo is None or self.landmarks is None:
            return 0
        missing = self.missing(out)
        for drawing in missing:
            random = np.random.default_rng(drawing.seed)
            image = draw_mask(self.photo.image, self.landmarks, random_style(random, drawing.state))
            with replacing(out / drawing.path) as temporary:
                image.save(temporary, "JPEG", quality=int(random.integers(*QUALITY, endpoint=True)))
        return len(missing)

    def rows(self) -> list[Row]:
        """Rows of the label file."""
        assert self.photo is not None
        own = self.labels
        age = None if own.age_low is None else f"{own.age_low:g}-{own.age_high:g}"
        same = {"person": own.person, "gender": own.gender, "race": own.race, "age": age}
        link = {"drawn_on": self.photo.sha256, "original": self.name}
        return [{"path": drawing.path, "mask": drawing.state, **same, **link} for drawing in self.drawings]


def _drawing(photo: Photo, number: int, incorrect: float, seed: int) -> _Drawing:
    key = hashlib.sha256(f"{photo.sha256} {number} {seed}".encode()).digest()
    state: Mask = "incorrect" if int.from_bytes(key[8:12]) < incorrect * 2**32 else "wear"
    return _Drawing(state, int.from_bytes(key[:8]), f"{PHOTOS}/{key[:8].hex()}-{state}.jpg")


@contextmanager
def _sought(
    items: Sequence[Listed], root: Path, out: Path, finder: FaceFinder, settings: tuple[int, float, int], jobs: int
) -> Generator[Iterator[list[_Original]]]:
    """Photos batch by batch, with the faces of those that lack a drawing; one batch is made while another is used.

    Batches of photos in memory: the one in use, the one that waits, and for a moment the one before. All threads have
    ended when the ``with`` statement ends. Faces are sought by one thread: MTCNN works in small steps, with which two
    threads of torch spend most of their time waiting for each other, and drawing needs the other processors.

    Args:
        settings: copies, share of wrongly worn masks and seed, see :func:`render_masks`.
    """
    seen: dict[str, str] = {}

    def sought(start: int) -> list[_Original]:
        batch = list(decoders.map(lambda item: _Original.of(item, root, *settings), items[start : start + BATCH]))
        for original in batch:
            if original.photo and (first := seen.setdefault(original.photo.sha256, original.name)) != original.name:
                original.photo, original.reason = None, f"exact copy of {first}"
        _find(finder, [original for original in batch if original.photo and original.missing(out)])
        return batch

    with one_thread(), ThreadPoolExecutor(jobs) as decoders, ThreadPoolExecutor(1) as seeking:
        try:
            yield ahead(seeking, map(sought, range(0, len(items), BATCH)))
        finally:
            decoders.shutdown(wait=False, cancel_futures=True)


def _find(finder: FaceFinder, originals: Sequence[_Original]) -> None:
    """Give every photo its landmarks or the reason why it has none; a search places them best."""
    images = [original.photo.image for original in originals if original.photo]
    faces = finder.find(images, "detect")
    lost = [i for i, face in enumerate(faces) if face is None]
    for i, face in zip(lost, finder.find([images[i] for i in lost], "auto"), strict=True):
        faces[i] = face
    for original, image, face in zip(originals, images, faces, strict=True):
        landmarks = None if face is None else finder.landmarks([image], [face])[0]
        if landmarks is None or Face.of(landmarks) is None:
            original.reason = NO_FACE
        else:
            original.landmarks = landmarks


def _write(path: Path, rows: Sequence[Row], columns: Sequence[str]) -> None:
    with replacing(path) as temporary:
        write_csv(temporary, pd.DataFrame(rows, columns=list(columns)))


def _remove_others(folder: Path, wanted: set[str]) -> None:
    """Drawings of photos that are gone, of other settings or of a killed run: faces that nobody asked to keep."""
    for path in folder.iterdir() if folder.is_dir() else ():
        if f"{PHOTOS}/{path.name}" not in wanted and _OWN_NAME.fullmatch(path.name):
            path.unlink()


def _check_out(out: Path, root: Path) -> None:
    photos, originals = (out / PHOTOS).resolve(), root.resolve()
    if photos.is_relative_to(originals) or originals.is_relative_to(photos):
        raise MaskclsError(f"{shown(out)}: lies inside the photo folder; choose another --out")
    for name, columns in ((LABELS, COLUMNS), (REJECTS, REJECT_COLUMNS)):
        if (out / name).is_file():
            with (out / name).open(encoding="utf-8", errors="replace") as file:
                header = file.readline().strip().replace('"', "")
            if header != ",".join(columns):
                raise MaskclsError(f"{shown(out / name)}: not made by render-masks; choose another --out")
