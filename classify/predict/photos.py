"""Which photos are to be predicted, by files and folders, and what each is called in the answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ...embedder.errors import MaskclsError
from ...embedder.photo import PassedOver, list_photos, shown, stored, stored_below


@dataclass(frozen=True, slots=True)
class NamedPhoto:
    """A photo to be predicted.

    Attributes:
        path: of its file.
        name: in the answers.
        image_id: in a submission: its path below the folder that was named, or its file's name alone.
    """

    path: Path
    name: str
    image_id: str


def photos_at(place: Path, *, is_alone: bool) -> tuple[list[NamedPhoto], PassedOver]:
    """The photo at ``place``, or all photos below it in sorted order, and the other files found there.

    A file is called as it is given. Photos of a folder are called by their paths below it if it ``is_alone``;
    otherwise these begin with the folder as it is given, so that no two photos have one name.

    Raises:
        MaskclsError: a folder without a photo.
    """
    if not place.is_dir():
        return [NamedPhoto(place, stored(place), stored(place.name))], PassedOver()
    paths, passed_over = list_photos(place)
    if not paths:
        raise MaskclsError(f"{shown(place)}: no photo in this folder{passed_over.why_empty()}")
    below = [stored_below(path, place) for path in paths]
    names = below if is_alone else [stored(path) for path in paths]
    return [NamedPhoto(*photo) for photo in zip(paths, names, below, strict=True)], passed_over


def named_photos(places: Sequence[Path]) -> tuple[list[NamedPhoto], PassedOver]:
    """The photos of files and folders, mixed, in the order given, each file once; see :func:`photos_at`.

    Raises:
        MaskclsError: a place that does not exist, or a folder without a photo.
    """
    for place in places:
        if not place.exists():
            raise MaskclsError(f"{shown(place)}: no such file or folder")
    photos: dict[Path, NamedPhoto] = {}
    passed_over = PassedOver()
    for place in places:
        found, others = photos_at(place, is_alone=len(places) == 1)
        passed_over += others
        folder, real = (place, place.resolve()) if place.is_dir() else (place.parent, place.parent.resolve())
        for photo in found:
            photos.setdefault(real / photo.path.relative_to(folder), photo)
    return list(photos.values()), passed_over


def check_image_ids(photos: Sequence[NamedPhoto]) -> None:
    """Make sure that a submission can tell the photos apart.

    Raises:
        MaskclsError: two photos have the same path below their folders.
    """
    seen: dict[str, NamedPhoto] = {}
    for photo in photos:
        if (first := seen.setdefault(photo.image_id, photo)) is not photo:
            raise MaskclsError(
                f"{shown(first.name)} and {shown(photo.name)}: both are {shown(photo.image_id)} in a submission; "
                "name the folder above them instead, or predict them one by one"
            )
