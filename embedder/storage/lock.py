"""One writer a folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from ..errors import MaskclsError
from ..photo import shown


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder against a second writer.

    Raises:
        MaskclsError: another run is writing there, or the folder cannot be made or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock", timeout=0)
        lock.acquire()
    except Timeout:
        raise MaskclsError(f"{shown(folder)}: another maskcls run is writing here; wait for it to end") from None
    except OSError as error:
        raise MaskclsError(f"{shown(folder)}: cannot be written ({error.strerror})") from error
    try:
        yield
    finally:
        lock.release()
