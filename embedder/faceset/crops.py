"""The aligned crops of faces that were embedded before, cut out of their photos again."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image, ImageOps

from ..detection.align import CROP_SIZE, align
from ..detection.detector import Found
from ..errors import MaskclsError
from ..photo import Photo, PhotoError, file_state, read_photo, shown

Cut = Callable[[Photo, Mapping[Hashable, Any], int], npt.NDArray[np.uint8]]
"""A photo, its row of the table and a size become RGB pixels (size, size, 3)."""

AGAIN = "run `maskcls embed` on its folder again"


def check_photos(table: pd.DataFrame) -> None:
    """Make sure, without reading them, that photos still are where they were embedded; :func:`read_crops` reads them.

    Args:
        table: :data:`~..table.COLUMNS`, plus ``root`` (the folder that ``path`` is relative to).

    Raises:
        MaskclsError: a photo is gone or has another size than when it was embedded.
    """
    sizes = zip(table["root"], table["path"], table["file_size"], strict=True)
    bad = [photo for root, path, size in sizes if file_state(photo := Path(root, path)).size != size]
    if bad:
        others = f" (and {len(bad) - 1} more photos)" if len(bad) > 1 else ""
        raise MaskclsError(f"{shown(bad[0])}{others}: gone or changed since it was embedded; {AGAIN}")


def read_crops(table: pd.DataFrame, jobs: int = 2, size: int = CROP_SIZE) -> npt.NDArray[np.uint8]:
    """RGB crops (n, size, size, 3) of the faces of a table (see :func:`check_photos`), framed as they were embedded.

    Raises:
        MaskclsError: a photo is gone, unreadable or not the one that was embedded.
    """
    return _read(table, jobs, size, _crop)


def read_whole(table: pd.DataFrame, jobs: int = 2, size: int = CROP_SIZE) -> npt.NDArray[np.uint8]:
    """The whole photos of the faces of a table, shrunk to fit into RGB squares (n, size, size, 3) with black edges.

    Raises:
        MaskclsError: as :func:`read_crops`.
    """
    return _read(table, jobs, size, _whole)


def _read(table: pd.DataFrame, jobs: int, size: int, cut: Cut) -> npt.NDArray[np.uint8]:
    crops = np.empty((len(table), size, size, 3), np.uint8)
    with ThreadPoolExecutor(jobs) as pool:
        for number, crop in enumerate(pool.map(partial(_read_one, size=size, cut=cut), table.to_dict("records"))):
            crops[number] = crop
    return crops


def _read_one(row: Mapping[Hashable, Any], size: int, cut: Cut) -> npt.NDArray[np.uint8]:
    path = Path(row["root"], row["path"])
    try:
        photo = read_photo(path)
    except PhotoError as error:
        raise MaskclsError(f"{shown(path)}: {error}; {AGAIN}") from error
    if photo.sha256 != row["file_sha256"]:
        raise MaskclsError(f"{shown(path)}: another photo than the one that was embedded; {AGAIN}")
    return cut(photo, row, size)


def _crop(photo: Photo, row: Mapping[Hashable, Any], size: int) -> npt.NDArray[np.uint8]:
    box = np.asarray(row["box"], np.float32) / np.float32(photo.scale)
    landmarks = np.asarray(row["landmarks"], np.float32).reshape(-1, 2) / np.float32(photo.scale)
    return align(photo.image, Found(box, landmarks, 1.0, 1, row["face"]), size)


def _whole(photo: Photo, row: Mapping[Hashable, Any], size: int) -> npt.NDArray[np.uint8]:
    return np.asarray(ImageOps.pad(photo.image, (size, size), Image.Resampling.BILINEAR))
