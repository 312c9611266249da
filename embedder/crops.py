"""The aligned crops of faces that were embedded before, cut out of their photos again."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from .align import CROP_SIZE, align
from .errors import MaskclsError
from .finder import Found
from .photo import PhotoError, file_state, read_photo, shown

AGAIN = "run `maskcls embed` on its folder again"


def check_photos(table: pd.DataFrame) -> None:
    """Make sure, without reading them, that photos still are where they were embedded; :func:`read_crops` reads them.

    Args:
        table: :data:`~.table.COLUMNS`, plus ``root`` (the folder that ``path`` is relative to).

    Raises:
        MaskclsError: a photo is gone or has another size than when it was embedded.
    """
    sizes = zip(table["root"], table["path"], table["file_size"], strict=True)
    bad = [photo for root, path, size in sizes if file_state(photo := Path(root, path)).size != size]
    if bad:
        others = f" (and {len(bad) - 1} more photos)" if len(bad) > 1 else ""
        raise MaskclsError(f"{shown(bad[0])}{others}: gone or changed since it was embedded; {AGAIN}")


def read_crops(table: pd.DataFrame, jobs: int = 2) -> npt.NDArray[np.uint8]:
    """RGB crops (n, 160, 160, 3) of the faces of a table (see :func:`check_photos`), framed as they were embedded.

    Raises:
        MaskclsError: a photo is gone, unreadable or not the one that was embedded.
    """
    crops = np.empty((len(table), CROP_SIZE, CROP_SIZE, 3), np.uint8)
    with ThreadPoolExecutor(jobs) as pool:
        for number, crop in enumerate(pool.map(_crop, table.to_dict("records"))):
            crops[number] = crop
    return crops


def _crop(row: Mapping[Hashable, Any]) -> npt.NDArray[np.uint8]:
    path = Path(row["root"], row["path"])
    try:
        photo = read_photo(path)
    except PhotoError as error:
        raise MaskclsError(f"{shown(path)}: {error}; {AGAIN}") from error
    if photo.sha256 != row["file_sha256"]:
        raise MaskclsError(f"{shown(path)}: another photo than the one that was embedded; {AGAIN}")
    box = np.asarray(row["box"], np.float32) / np.float32(photo.scale)
    landmarks = np.asarray(row["landmarks"], np.float32).reshape(-1, 2) / np.float32(photo.scale)
    return align(photo.image, Found(box, landmarks, 1.0, 1, row["face"]))
