"""A space in which near means near in age: FaceNet's own space is trained to forget age."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from ...embedder.errors import MaskclsError
from ...embedder.facenet.encoder import EMBEDDING_DIM, MAP_SHAPE
from ...embedder.photo import shown
from ...embedder.storage.atomic import write_bytes
from ...index.flat import Gallery
from ..heads.ensemble import Sizes, halved
from ..heads.ensemble_training import Progress
from .network import CHUNK, DIMENSION, AgeNet, project, train_age_net, years
from .vote import Floats

if TYPE_CHECKING:
    from ..data.face_set import FaceSet

FEATURES = EMBEDDING_DIM + MAP_SHAPE[0]
"""Of the linear space, see :func:`age_features`."""
BIN_YEARS = 5
SHRINKAGE = 0.01
MAP_GAIN = 0.1
"""Pooled map values are about ten times as large as those of a unit embedding."""
MIN_FACES_A_BIN = 10
MIN_BINS = 4
MIN_FACES_TO_LEARN = 2000
"""With fewer faces of known age the space is linear."""


def age_features(embeddings: Floats, maps: npt.NDArray[np.float16]) -> Floats:
    """Input of the linear space: the embedding beside the spatial mean of the feature map, (n, 512 + 896)."""
    pooled = np.empty((len(maps), maps.shape[1]), np.float32)
    for start in range(0, len(maps), 1024):
        pooled[start : start + 1024] = maps[start : start + 1024].astype(np.float32).mean(axis=(2, 3))
    return np.concatenate([np.asarray(embeddings, np.float32), MAP_GAIN * pooled], axis=1)


class AgeSpace(Protocol):
    """Where the gallery lives; vectors are compared by cosine."""

    @property
    def dimension(self) -> int:
        """Number of dimensions d."""

    def project(self, embeddings: Floats, maps: npt.NDArray[np.float16]) -> Floats:
        """Vectors (n, d) for embeddings (n, 512) and maps (n, 896, 4, 4)."""

    def tensors(self) -> dict[str, Tensor]:
        """What :func:`load_age_space` needs."""


@dataclass(frozen=True)
class LinearSpace:
    """The projection ``(features - mean) @ matrix``; in a model, of :func:`age_features` and in float32.

    Attributes:
        mean: (f,); f is 1408 in a model.
        matrix: (f, d).
    """

    mean: npt.NDArray[Any]
    matrix: npt.NDArray[Any]

    @property
    def dimension(self) -> int:
        """See :class:`AgeSpace`."""
        return int(self.matrix.shape[1])

    def project(self, embeddings: Floats, maps: npt.NDArray[np.float16]) -> Floats:
        """See :class:`AgeSpace`."""
        return np.asarray(self.transform(age_features(embeddings, maps)), np.float32)

    def transform(self, features: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Vectors (n, d) of features (n, f)."""
        return np.asarray((features - self.mean) @ self.matrix)

    def tensors(self) -> dict[str, Tensor]:
        """See :class:`AgeSpace`."""
        return {"mean": torch.from_numpy(self.mean), "matrix": torch.from_numpy(self.matrix)}


@dataclass(frozen=True)
class LearnedSpace:
    """The main directions of the hidden layers of an :class:`~.network.AgeNet`, rounded to half precision."""

    net: AgeNet

    @property
    def dimension(self) -> int:
        """See :class:`AgeSpace`."""
        return DIMENSION

    def project(self, embeddings: Floats, maps: npt.NDArray[np.float16]) -> Floats:
        """See :class:`AgeSpace`."""
        return project(self.net, embeddings, maps)

    def years(self, embeddings: Floats, maps: npt.NDArray[np.float16]) -> Floats:
        """The network's own answer, without a vote: distributions over years (n, 121)."""
        return years(self.net, embeddings, maps)

    def tensors(self) -> dict[str, Tensor]:
        """See :class:`AgeSpace`."""
        return halved(self.net.state_dict())


def fit_age_space(
    faces: FaceSet, seed: int = 0, progress: Progress = lambda done, total: None, *, learn: bool | None = None
) -> AgeSpace:
    """The age space of faces that all have an age.

    Learned from :data:`MIN_FACES_TO_LEARN` faces on. Below, :func:`discriminant_space` of age bins of five years; with
    too few faces or bins for that, the embedding itself.

    Args:
        learn: which of the two, whatever the number of faces.
    """
    if len(faces) >= MIN_FACES_TO_LEARN if learn is None else learn:
        return LearnedSpace(train_age_net(faces, seed, progress))
    progress(0, 1)
    middle = ((faces.table["age_low"] + faces.table["age_high"]) / 2).to_numpy(np.float32)
    space = fit_linear(age_features(faces.embeddings, faces.maps(np.arange(len(faces)))), middle)
    progress(1, 1)
    return space


def fit_linear(features: Floats, ages: Floats) -> LinearSpace:
    """The linear space of features (n, 1408) of faces whose ages (n,) in years are known."""
    found = discriminant_space(features, (ages // BIN_YEARS).astype(np.int64), MIN_FACES_A_BIN, MIN_BINS)
    if found is None:
        return LinearSpace(np.zeros(features.shape[1], np.float32), np.eye(features.shape[1], 512, dtype=np.float32))
    return LinearSpace(found.mean.astype(np.float32), np.ascontiguousarray(found.matrix, np.float32))


def discriminant_space(
    features: npt.NDArray[Any], classes: npt.NDArray[np.int64], min_samples: int, min_classes: int
) -> LinearSpace | None:
    """Linear discriminant analysis with shrinkage (Fisher 1936; Ledoit & Wolf 2004), spread 1 within the classes.

    Args:
        features: (n, f).
        classes: (n,) class numbers from 0 on.
        min_samples: a class of fewer samples takes no part.

    Returns:
        None if fewer than ``min_classes`` classes are left, or nothing varies within them.
    """
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    usable = np.bincount(classes)[classes] >= min_samples
    if len(np.unique(classes[usable])) < min_classes:
        return None
    lda = LinearDiscriminantAnalysis(solver="eigen", shrinkage=SHRINKAGE)
    try:
        lda.fit(features[usable], classes[usable])
    except np.linalg.LinAlgError:
        return None
    return LinearSpace(features[usable].mean(axis=0), lda.scalings_[:, : min(len(lda.classes_) - 1, features.shape[1])])


def fill_gallery(space: AgeSpace, faces: FaceSet, ids: npt.NDArray[np.int64]) -> Gallery:
    """A gallery of all faces in their age space, under ``ids`` (n,); maps are read part by part."""
    vectors = np.empty((len(faces), space.dimension), np.float32)
    for start in range(0, len(faces), CHUNK):
        part = np.arange(start, min(start + CHUNK, len(faces)))
        vectors[part] = space.project(faces.embeddings[part], faces.maps(part))
    return Gallery.of(vectors, ids, "exact")


def save_age_space(path: Path, space: AgeSpace) -> None:
    """Write as safetensors, atomically."""
    write_bytes(path, save({name: value.contiguous() for name, value in space.tensors().items()}))


def load_age_space(path: Path) -> AgeSpace:
    """Read what :func:`save_age_space` wrote.

    Raises:
        MaskclsError: the file is missing, damaged or holds other tensors.
    """
    try:
        tensors = load_file(path)
        if tensors.keys() == {"mean", "matrix"}:
            mean, matrix = (tensors[name].numpy() for name in ("mean", "matrix"))
            if (
                mean.dtype != np.float32
                or matrix.dtype != np.float32
                or (mean.shape, matrix.shape[:-1]) != ((FEATURES,), (FEATURES,))
            ):
                raise ValueError("other features")
            return LinearSpace(mean, matrix)
        net = AgeNet(Sizes.of(tensors, "hidden"))
        net.load_state_dict(tensors)
        return LearnedSpace(net.eval())
    except (SafetensorError, OSError, KeyError, RuntimeError, ValueError) as error:
        raise MaskclsError(f"{shown(path)}: not an age space; build the model again") from error
