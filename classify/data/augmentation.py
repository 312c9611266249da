"""Augmentation: faces are encoded again from slightly distorted crops, so that heads learn what stays of a face."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from ...embedder.errors import MaskclsError
from ...embedder.facenet.encoder import EMBEDDING_DIM, MAP_SHAPE, Encoder
from ...embedder.faceset.crops import check_photos, read_crops
from ...embedder.storage.atomic import reserve
from ...embedder.storage.step_cache import Step, StepCache

if TYPE_CHECKING:
    from .face_set import FaceSet, Progress, Rows

Crops = npt.NDArray[np.uint8]
BATCH = 64


@dataclass(frozen=True)
class AugmentedFaces:
    """Faces of a table as encoded from their photos, maybe distorted.

    Attributes:
        embeddings: (n, 512) float32.
        norms: (n,) float32, lengths of the embeddings before they were made unit vectors.
        all_maps: float16 maps, memory-mapped or not, of these faces and maybe others; :meth:`maps` finds a face's.
    """

    embeddings: npt.NDArray[np.float32]
    norms: npt.NDArray[np.float32]
    all_maps: npt.NDArray[np.float16]
    _position: Rows

    def maps(self, rows: Rows) -> npt.NDArray[np.float16]:
        """Feature maps (len(rows), channels, 4, 4); see :meth:`.face_set.FaceSet.maps`."""
        return np.asarray(self.all_maps[self._position[rows]])

    def subset(self, rows: Rows) -> AugmentedFaces:
        """The same for some of the faces, in the order given."""
        return replace(self, embeddings=self.embeddings[rows], norms=self.norms[rows], _position=self._position[rows])


def reencode(
    table: pd.DataFrame,
    encoder: Encoder,
    change: Callable[[Crops, int], Crops] = lambda crops, start: crops,
    steps: StepCache = StepCache(None),
    name: str = "",
    progress: Progress = lambda done, total: None,
) -> AugmentedFaces:
    """What an encoder makes of the faces of a table, whose photos are read again.

    The maps lie in a temporary file.

    Args:
        table: see :func:`~...embedder.faceset.crops.check_photos`.
        change: crops (m, 160, 160, 3) and the row of the first one become others of the same kind.
        steps: where batches are kept, so that a killed run goes on.
        name: begins the names of the batches there.

    Raises:
        MaskclsError: a photo is gone or changed.
    """
    count = len(table)
    embeddings, norms = np.empty((count, EMBEDDING_DIM), np.float32), np.empty(count, np.float32)
    with TemporaryFile() as file:  # the mapping outlives it
        reserve(file, max(1, count) * int(np.prod(MAP_SHAPE)) * np.dtype(np.float16).itemsize)
        maps = np.memmap(file, np.float16, "w+", shape=(max(1, count), *MAP_SHAPE))

    def encoded(start: int) -> Step:
        progress(start, count)
        crops = change(read_crops(table[start : start + BATCH]), start)
        return Step(encoder.encode(crops)._asdict())

    for start in range(0, count, BATCH):
        part = slice(start, start + BATCH)
        arrays = steps.once(f"{name}{start:08d}", partial(encoded, start)).arrays
        embeddings[part], maps[part], norms[part] = arrays["embeddings"], arrays["maps"], arrays["norms"]
    progress(count, count)
    return AugmentedFaces(embeddings, norms, maps, np.arange(count))


def augment(
    pool: FaceSet,
    encoder: Encoder,
    count: int,
    seed: int = 0,
    folder: Path | None = None,
    progress: Progress = lambda done, total: None,
) -> FaceSet:
    """The pool with ``count`` augmentations of its faces, each distorted in its own way by :mod:`.distortion`.

    Args:
        encoder: what the pool was made with.
        seed: of the distortions.
        folder: where finished batches are kept; a killed run goes on from there. None keeps none.

    Raises:
        MaskclsError: the encoder is another one, or a photo is gone or changed.
    """
    if encoder.info != pool.encoder:
        raise MaskclsError(
            f"--views: the sets were embedded with encoder {pool.encoder.name} ({pool.encoder.fingerprint}), not with "
            f"{encoder.info.name} ({encoder.info.fingerprint}); pass the same --weights, or embed them again"
        )
    check_photos(pool.table)
    boxes = [np.asarray(pool.table[name].tolist(), np.float64).tobytes() for name in ("box", "norm")]
    steps = StepCache(folder, seed, encoder.info.fingerprint, encoder.info.runtime, *pool.table["face_id"], *boxes)
    views = []
    for number in range(count):
        views.append(
            reencode(
                pool.table,
                encoder,
                partial(_distorted, seed, number),
                steps,
                f"{number}-",
                lambda done, total, number=number: progress(number * total + done, count * total),  # type: ignore[misc]
            )
        )
    return replace(pool, augmentations=tuple(views))


def _distorted(seed: int, number: int, crops: Crops, start: int) -> Crops:
    """Crops as augmentation ``number`` of a seed has them; ``start`` is the row of the first one."""
    import torch

    from .distortion import distorted

    with torch.random.fork_rng([]):
        torch.manual_seed(int(np.random.default_rng((seed, number, start)).integers(2**62)))
        return distorted(torch.from_numpy(crops)).permute(0, 2, 3, 1).contiguous().numpy()
