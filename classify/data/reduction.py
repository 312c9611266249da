"""Feature maps along their main directions: small enough for memory, and cheaper to learn from."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ...embedder.facenet.encoder import MAP_SHAPE
from .face_set import FaceSet, MapsOf

CHANNELS = 128
"""Of 896."""
FACES = 4000
"""The directions are those of so many faces at most, none of them with pseudo-labels."""
CHUNK = 1024


def reduced(pool: FaceSet, seed: int = 0) -> tuple[FaceSet, Tensor]:
    """The faces of a pool with maps along the main directions of its maps, and the directions.

    The directions are the right singular vectors of the maps' places, not centred (Eckart & Young 1936).

    Returns:
        A pool whose maps (n, 128, 4, 4) lie in memory, 4 KB a face, and directions (896, 128), orthonormal columns:
        see :meth:`~..heads.ensemble.TwoBranches.read_whole_maps`.
    """
    rows = np.sort(np.random.default_rng(seed).permutation(np.flatnonzero(pool.real))[:FACES])
    products = torch.zeros(pool.channels, pool.channels, dtype=torch.float64)
    for start in range(0, len(rows), CHUNK):
        places = _places(pool.maps(rows[start : start + CHUNK]))
        products += places.T @ places
    directions = torch.linalg.eigh(products).eigenvectors[:, -CHANNELS:].float()

    def along(maps_of: MapsOf) -> npt.NDArray[np.float16]:
        out = np.empty((len(pool), CHANNELS, *MAP_SHAPE[1:]), np.float16)
        for start in range(0, len(pool), CHUNK):
            places = _places(maps_of(np.arange(start, min(start + CHUNK, len(pool)))))
            small = (places @ directions).numpy().reshape(-1, *MAP_SHAPE[1:], CHANNELS)
            out[start : start + CHUNK] = small.transpose(0, 3, 1, 2)
        return out

    return pool.with_maps(along), directions


def _places(maps: npt.NDArray[np.float16]) -> Tensor:
    """The vectors (n * 16, channels) of the places of maps (n, channels, 4, 4), float32."""
    return torch.from_numpy(maps).to(torch.float32, memory_format=torch.channels_last).permute(0, 2, 3, 1).flatten(0, 2)
