"""The protocol of erasure: every kind of output finds its own artefacts in a folder, and erases a person from them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from .traces import Traces


@dataclass
class Listing:
    """One folder: names of the files and subfolders directly in it that no kind of artefact has claimed yet."""

    path: Path
    files: set[str]
    folders: set[str]

    def claim(self, *names: str) -> None:
        """Take files and subfolders out, so that no other kind looks at them."""
        self.files.difference_update(names)
        self.folders.difference_update(names)


class Artefact(Protocol):
    """One output of a command: a file or a folder that may hold something of a person."""

    @property
    def what(self) -> str:
        """What is removed from it, in the plural, as output and receipt call it."""
        ...

    @property
    def path(self) -> Path:
        """The file or folder."""
        ...

    def erase(self, traces: Traces, *, dry_run: bool = False) -> int:
        """Erase a person and return how much was removed, or would be with ``dry_run``.

        Calling it again removes nothing more; a kill at any moment leaves an artefact from which it can be called
        again.

        Raises:
            MaskclsError: the artefact is damaged, or another run is writing to it.
        """
        ...


Kind = Callable[[Listing], Iterable[Artefact]]
"""A kind of artefact: yields those that it recognises in a folder, and claims their names."""


@dataclass(frozen=True)
class Plain:
    """An artefact of one path; ``do`` is its :meth:`Artefact.erase`, given its path."""

    what: str
    path: Path
    do: Callable[[Path, Traces, bool], int]

    def erase(self, traces: Traces, *, dry_run: bool = False) -> int:
        """See :class:`Artefact`."""
        return self.do(self.path, traces, dry_run)
