"""One writer a folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from ..errors import MaskclsError
from ..photo import shown

LOCK = ".lock"


@contextmanager
def locked(folder: Path, wait: float = 0.0) -> Iterator[None]:
    """Hold a folder against a second writer; a folder that this makes is removed again if it stays empty.

    Args:
        wait: seconds to wait for another writer to end.

    Raises:
        MaskclsError: another run is writing there, or the folder cannot be made or written to.
    """
    is_new = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / LOCK, timeout=wait)
        lock.acquire()
    except Timeout:
        raise MaskclsError(f"{shown(folder)}: another maskcls run is writing here; wait for it to end") from None
    except OSError as error:
        raise MaskclsError(f"{shown(folder)}: cannot be written ({error.strerror})") from error
    try:
        yield
    finally:
        with suppress(OSError):
            (folder / LOCK).unlink(missing_ok=True)  # who opened it just now finds it unlinked, and tries again
        lock.release()
        if is_new:
            with suppress(OSError):
                folder.rmdir()
