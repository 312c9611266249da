"""The photos of a folder, and what is passed over there, by kind."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from .formats import CAMERA_RAW, HEAD, SUFFIXES, format_of
from .paths import open_file, shown, special

HIDDEN, NO_SUFFIX, LINKED_FOLDER = "hidden file", "file without a suffix", "folder that is a link"
BROKEN_LINK, CLOSED, CLOSED_FOLDER = "broken link", "file that cannot be opened", "folder that cannot be opened"
HIDDEN_FOLDER = "hidden folder"
_PLURALS = {
    HIDDEN: "hidden files",
    HIDDEN_FOLDER: "hidden folders",
    NO_SUFFIX: "files without a suffix",
    LINKED_FOLDER: "folders that are links",
    BROKEN_LINK: "broken links",
    CLOSED: "files that cannot be opened",
    CLOSED_FOLDER: "folders that cannot be opened",
    "pipe": "pipes",
    "socket": "sockets",
    "device": "devices",
}
KINDS_SHOWN = 8
MAX_SUFFIX = 12
"""Letters of a suffix; a longer one is a part of a sentence."""
_PHOTO, _FOLDER = "photo", "folder"


@dataclass(frozen=True)
class PassedOver:
    """What lies in a folder and is no photo; as text ``12 .txt, 3 .mp4, 1 folder that is a link``.

    Attributes:
        kinds: how many of each kind: a suffix in lower case, or words.
        links: the links to folders, which are not followed.
    """

    kinds: Counter[str] = field(default_factory=Counter)
    links: tuple[Path, ...] = ()

    def __len__(self) -> int:
        return self.kinds.total()

    def __add__(self, other: PassedOver) -> PassedOver:
        return PassedOver(self.kinds + other.kinds, self.links + other.links)

    def __str__(self) -> str:
        common = sorted(self.kinds.items(), key=lambda item: (-item[1], item[0]))
        words = [f"{count} {_PLURALS.get(kind, kind) if count > 1 else kind}" for kind, count in common[:KINDS_SHOWN]]
        if rest := sum(count for _, count in common[KINDS_SHOWN:]):
            words.append(f"{rest} of other kinds")
        return ", ".join(words)

    def why_empty(self) -> str:
        """Why a folder holds no photo, behind the words that it holds none; empty where nothing lies in it."""
        reason = f"; passed over: {self}" if self else ""
        if not self.links:
            return reason
        link = self.links[0]
        return (
            f"{reason}; {shown(link)} is a link to a folder, and these are not followed: name its target, "
            f"{shown(os.path.realpath(link))}, instead"
        )


def list_photos(root: Path) -> tuple[list[Path], PassedOver]:
    """Photos below a folder in sorted order, and what was passed over.

    A photo is a file that begins like one (:func:`.formats.format_of`), whatever its name, or that has the name of one:
    it may be damaged. Hidden files and folders (``._`` litter, ``.DS_Store``), links to folders and camera raw files
    are passed over. No file is decoded, those named like photos are not even opened, and nothing that could make the
    reader wait is.
    """
    photos: list[Path] = []
    passed_over: Counter[str] = Counter()
    links: list[Path] = []
    folders = [os.fspath(root)]
    while folders:
        for entry in _entries(folders.pop()):
            kind = CLOSED_FOLDER if entry is None else _kind(entry)
            if entry is None or kind not in (_PHOTO, _FOLDER):
                passed_over[kind] += 1
            elif kind == _PHOTO:
                photos.append(Path(entry.path))
            else:
                folders.append(entry.path)
            if entry is not None and kind == LINKED_FOLDER:
                links.append(Path(entry.path))
    return sorted(photos), PassedOver(passed_over, tuple(sorted(links)))


def is_photo(path: str | Path) -> bool:
    """Whether a file has the name of a photo or begins like one."""
    return _suffix(os.fspath(path)) in SUFFIXES or _begins_like_one(path) is True


def _entries(folder: str) -> Iterator[os.DirEntry[str] | None]:
    """What lies in a folder, and None where it cannot be read to its end."""
    try:
        with os.scandir(folder) as entries:
            yield from entries
    except OSError:
        yield None


def _kind(entry: os.DirEntry[str]) -> str:
    """A photo, a folder to be looked into, or what is passed over."""
    suffix = _suffix(entry.name)
    named = _PHOTO if suffix in SUFFIXES else None
    is_hidden = entry.name.startswith(".")
    try:
        if entry.is_dir():
            return HIDDEN_FOLDER if is_hidden else LINKED_FOLDER if entry.is_symlink() else _FOLDER
        if is_hidden:
            return HIDDEN
        if not entry.is_file():
            return special(entry.stat().st_mode) or CLOSED
    except FileNotFoundError:  # a broken link that has the name of a photo becomes a reject
        return named or BROKEN_LINK
    except OSError:
        return named or CLOSED
    if named or suffix in CAMERA_RAW:
        return named or suffix
    begins = _begins_like_one(entry.path)
    return CLOSED if begins is None else _PHOTO if begins else suffix or NO_SUFFIX


def _begins_like_one(path: str | Path) -> bool | None:
    """Whether a file begins like a photo; None where it cannot be opened."""
    try:
        with open_file(path) as file:
            return format_of(file.read(HEAD)) is not None
    except (OSError, ValueError):
        return None


def _suffix(name: str) -> str:
    """The suffix in lower case, empty where there is none."""
    suffix = os.path.splitext(name)[1].lower()
    return suffix if suffix[1:].isalnum() and len(suffix) <= MAX_SUFFIX else ""
