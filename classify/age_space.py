"""A space in which near means near in age: FaceNet's own space is trained to forget age."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from ..embedder.errors import MaskclsError
from ..embedder.files import replacing
from ..embedder.photo import shown

Floats = npt.NDArray[np.float32]
BIN_YEARS = 5
SHRINKAGE = 0.01
MAP_GAIN = 0.1
"""Pooled map values are about ten times as large as those of a unit embedding."""
MIN_FACES_A_BIN = 10
MIN_BINS = 4


def age_features(embeddings: Floats, maps: npt.NDArray[np.float16]) -> Floats:
    """Input of the age space: the embedding beside the spatial mean of the feature map, (n, 512 + 896)."""
    pooled = np.empty((len(maps), maps.shape[1]), np.float32)
    for start in range(0, len(maps), 1024):
        pooled[start : start + 1024] = maps[start : start + 1024].astype(np.float32).mean(axis=(2, 3))
    return np.concatenate([np.asarray(embeddings, np.float32), MAP_GAIN * pooled], axis=1)


@dataclass(frozen=True)
class AgeSpace:
    """The projection ``(features - mean) @ matrix``, compared by cosine.

    Attributes:
        mean: (1408,) float32.
        matrix: (1408, d) float32.
    """

    mean: Floats
    matrix: Floats

    @property
    def dimension(self) -> int:
        """Number of dimensions d."""
        return int(self.matrix.shape[1])

    def project(self, features: Floats) -> Floats:
        """Vectors (n, d) for features (n, 1408) of :func:`age_features`."""
        return np.asarray((features - self.mean) @ self.matrix, np.float32)

    def save(self, path: Path) -> None:
        """Write as safetensors, atomically."""
        with replacing(path) as temporary:
            save_file({"mean": self.mean, "matrix": self.matrix}, temporary)

    @classmethod
    def load(cls, path: Path) -> AgeSpace:
        """Read what :meth:`save` wrote.

        Raises:
            MaskclsError: the file is missing, damaged or lacks a tensor.
        """
        try:
            tensors = load_file(path)
            return cls(tensors["mean"], tensors["matrix"])
        except (SafetensorError, KeyError, OSError) as error:
            raise MaskclsError(f"{shown(path)}: not an age space; build the model again") from error


def fit_age_space(features: Floats, ages: Floats) -> AgeSpace:
    """Linear discriminant analysis with shrinkage on age bins of five years (Fisher 1936; Ledoit & Wolf 2004).

    Args:
        features: (n, 1408) of :func:`age_features`.
        ages: (n,) years; for a band its middle.

    With too few faces or age bins for that, the space is the embedding itself.
    """
    bins = (ages // BIN_YEARS).astype(np.int64)
    kinds, counts = np.unique(bins, return_counts=True)
    usable = np.isin(bins, kinds[counts >= MIN_FACES_A_BIN])
    if len(np.unique(bins[usable])) < MIN_BINS:
        return _plain(features.shape[1])
    lda = LinearDiscriminantAnalysis(solver="eigen", shrinkage=SHRINKAGE)
    lda.fit(features[usable], bins[usable])
    dimension = min(len(lda.classes_) - 1, features.shape[1])
    matrix = np.ascontiguousarray(lda.scalings_[:, :dimension], np.float32)
    return AgeSpace(features[usable].mean(axis=0).astype(np.float32), matrix)


def _plain(width: int) -> AgeSpace:
    matrix = np.eye(width, 512, dtype=np.float32)
    return AgeSpace(np.zeros(width, np.float32), matrix)
