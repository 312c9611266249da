"""What layers of the frozen FaceNet say of faces: read from the photos themselves, once, and kept on disk.

Part of ``age_ablation.py``. The backbone runs in bfloat16, since three times faster.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional

from maskcls.embedder.facenet.encoder import EMBEDDING_DIM
from maskcls.embedder.facenet.network import scaled
from maskcls.embedder.facenet.weights import load_facenet
from maskcls.embedder.faceset.crops import read_crops
from maskcls.embedder.storage.atomic import replacing

Halves = npt.NDArray[np.float16]
Floats = npt.NDArray[np.float32]
AugmentedFaces = Callable[[Tensor], Tensor]

BATCH = 128
SHIFT = 4
"""Pixels of a crop of 160."""
GEM_POWER = 3.0
"""Generalised-mean pooling (Radenovic et al. 2018, https://arxiv.org/abs/1711.02512)."""

SHAPES = {
    "repeat_1": (256, 4),
    "mixed_6a": (896, 4),
    "repeat_2": (896, 4),
    "mixed_7a": (1792, 3),
    "block8": (1792, 3),
    "max": (896, 1),
    "gem": (896, 1),
}
"""Map -> channels and side. ``max`` and ``gem`` are ``repeat_2`` pooled over all places; larger maps are averaged."""


def shifted(dx: int, dy: int) -> AugmentedFaces:
    """Pixels (n, 3, 160, 160) moved right and down, those of the edge repeated."""

    def move(pixels: Tensor) -> Tensor:
        padded = functional.pad(pixels, (SHIFT,) * 4, mode="replicate")
        side = pixels.shape[-1]
        top, left = SHIFT - dy, SHIFT - dx
        return padded[:, :, top : top + side, left : left + side]

    return move


VIEWS: Mapping[str, AugmentedFaces] = {
    "plain": lambda pixels: pixels,
    "flipped": lambda pixels: pixels.flip(3),
    "left": shifted(-SHIFT, 0),
    "right": shifted(SHIFT, 0),
    "up": shifted(0, -SHIFT),
    "down": shifted(0, SHIFT),
}


@dataclass(frozen=True)
class Seen:
    """Of n faces: ``maps`` by name (n, channels, side, side) and unit ``embeddings`` (n, 512)."""

    maps: Mapping[str, Halves]
    embeddings: Floats


class Backbone:
    """FaceNet (Schroff et al. 2015, https://arxiv.org/abs/1503.03832), keeping some of its layers."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._net = load_facenet()[0].to(memory_format=torch.channels_last)
        self._kept: dict[str, Tensor] = {}
        for name in {name if name not in ("max", "gem") else "repeat_2" for name in names}:
            getattr(self._net, name).register_forward_hook(self._keep(name))

    def _keep(self, name: str) -> Callable[[nn.Module, object, Tensor], None]:
        def keep(_module: nn.Module, _inputs: object, output: Tensor) -> None:
            self._kept[name] = output.float()

        return keep

    def __call__(self, pixels: Tensor) -> tuple[dict[str, Halves], Floats]:
        """Maps and embeddings of pixels (n, 3, 160, 160) in [-1, 1]."""
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            embeddings = self._net(pixels.contiguous(memory_format=torch.channels_last)).float()
        maps = {name: self._map(name).contiguous().half().numpy() for name in self._names}
        return maps, functional.normalize(embeddings).numpy()

    def _map(self, name: str) -> Tensor:
        if name == "max":
            return self._kept["repeat_2"].amax(dim=(2, 3), keepdim=True)
        if name == "gem":
            powers = self._kept["repeat_2"].clamp(min=1e-6) ** GEM_POWER
            return powers.mean(dim=(2, 3), keepdim=True) ** (1 / GEM_POWER)
        return functional.adaptive_avg_pool2d(self._kept[name], SHAPES[name][1])


def see(table: pd.DataFrame, names: Sequence[str], view: str, folder: Path) -> Seen:
    """Maps and embeddings of the faces of a pool's table; what ``folder`` has already is not computed again."""
    key = hashlib.sha256("".join(table["face_id"]).encode()).hexdigest()[:12]
    shapes: dict[str, tuple[int, ...]] = {name: (SHAPES[name][0], *SHAPES[name][1:] * 2) for name in names}
    shapes["embedding"] = (EMBEDDING_DIM,)
    files = {name: folder / f"{view}-{name}-{key}.npy" for name in shapes}
    if not all(path.exists() for path in files.values()):
        with _files(files, shapes, len(table)) as out:
            backbone = Backbone(names)
            for start, pixels in _pixels(table):
                maps, embeddings = backbone(VIEWS[view](pixels))
                for name, values in (maps | {"embedding": embeddings}).items():
                    out[name][start : start + len(pixels)] = values
    read = {name: np.load(path, mmap_mode="r", allow_pickle=False) for name, path in files.items()}
    return Seen(read, np.asarray(read.pop("embedding"), np.float32))


@contextmanager
def _files(
    files: Mapping[str, Path], shapes: Mapping[str, tuple[int, ...]], count: int
) -> Iterator[dict[str, npt.NDArray[np.generic]]]:
    """Arrays (count, *shape) by name that are written to ``files``; a file appears only when it is complete."""
    if not files:
        yield {}
        return
    (name, path), *others = files.items()
    dtype = np.float32 if name == "embedding" else np.float16
    with replacing(path) as temporary:
        out = np.lib.format.open_memmap(temporary, "w+", dtype, (count, *shapes[name]))
        with _files(dict(others), shapes, count) as rest:
            yield rest | {name: out}
        out.flush()


def _pixels(table: pd.DataFrame) -> Iterator[tuple[int, Tensor]]:
    """First row and pixels (n, 3, 160, 160) of one batch of faces after another."""
    for start in range(0, len(table), BATCH):
        crops = torch.from_numpy(read_crops(table.iloc[start : start + BATCH]))
        yield start, scaled(crops.permute(0, 3, 1, 2))
