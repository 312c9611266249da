"""One self-contained page: every answer with the faces behind it."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from PIL import Image

from ...embedder.labels import AGE_BANDS, age_text
from ...embedder.photo import PhotoError, read_photo
from ...embedder.storage.atomic import replacing
from ..data.thumbnails import cut_face, jpeg
from ..model.model import Model
from ..tasks import BAND_COLUMNS
from .evidence import share_line
from .explain import Evidence, flip_line
from .job import Answers

MAX_REPORT = 500
"""Photos shown at most: the first ones, so that a page stays readable by a browser (about 20 MB)."""
NEIGHBOURS = 6
FLIPS = 6
"""Voters of the set without whom another band would be said that are shown though they are not the nearest, at most."""
THUMBNAIL = 112
NEIGHBOUR_THUMBNAIL = 64


def write_report(path: Path, answers: Answers, model: Model, title: str) -> None:
    """Write the report of some answers that were explained; see :func:`.job.predict_photos`.

    Neighbours' thumbnails are cut from the gallery's photos where these still lie where they were embedded; the
    model itself holds no photo.
    """
    table = answers.table
    shown = table.head(MAX_REPORT)
    faces = model.table
    cards = [_card(number, row, answers, faces) for number, row in enumerate(shown.to_dict("records"))]
    wanted = {neighbour["id"] for card in cards for neighbour in card["neighbours"]}
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    template = environment.from_string(files(__package__).joinpath("report.html").read_text(encoding="utf-8"))
    page = template.render(
        title=title,
        cards=cards,
        counts=table["status"].value_counts().to_dict(),
        total=len(table),
        classes=table["class_id"].value_counts().sort_index().to_dict(),
        thumbnails=dict(_thumbnails(faces.set_index("face_id"), wanted)),
        settings=model.settings,
        gallery=len(model.table),
        prototypes="members" in faces,
    )
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8", errors="backslashreplace")


def _card(number: int, row: dict[Any, Any], answers: Answers, faces: pd.DataFrame) -> dict[str, Any]:
    row = {key: None if pd.isna(value) else value for key, value in row.items()}
    bars = [
        ("mask", [("wear", row["p_wear"]), ("incorrect", row["p_incorrect"]), ("normal", row["p_normal"])]),
        ("gender", [("male", row["p_male"]), ("female", row["p_female"])]),
        ("age_band", list(zip(AGE_BANDS, (row[c] for c in BAND_COLUMNS), strict=True))),
    ]
    evidence, crop = answers.evidence.get(number), answers.crops.get(number)
    neighbours = [] if evidence is None else _voters(evidence, faces)
    return row | {
        "number": number,
        "bars": bars,
        "neighbours": neighbours,
        "part": share_line(row, neighbours),
        "flips": None if evidence is None else flip_line(evidence),
        "image": None if crop is None else _data_url(Image.fromarray(crop), THUMBNAIL),
    }


def _voters(evidence: Evidence, faces: pd.DataFrame) -> list[dict[str, Any]]:
    """The nearest voters, and the first of those further away that would flip the band."""
    further = [place for place in evidence.flip if place >= NEIGHBOURS][:FLIPS]
    places = [*range(min(NEIGHBOURS, len(evidence.voters))), *further]
    rows = faces.iloc[[evidence.voters[place] for place in places]].to_dict("records")
    return [
        {
            "id": face["face_id"],
            "age": age_text(face["age_low"], face["age_high"]),
            "members": _members(face),
            "similarity": f"{evidence.similarities[place]:.3f}",
            "weight": evidence.weights[place],
            "flips": place in evidence.flip,
        }
        for place, face in zip(places, rows, strict=True)
    ]


def _members(face: Mapping[Any, Any]) -> int:
    """How many people a prototype is the centroid of; 0 for a face."""
    members: Any = face.get("members")
    return 0 if members is None or members != members else int(members)


def _thumbnails(faces: pd.DataFrame, wanted: Iterable[str]) -> Iterable[tuple[str, str]]:
    for face_id in sorted(wanted):
        face = faces.loc[face_id]
        if not isinstance(face["path"], str):  # a prototype
            continue
        try:
            photo = read_photo(Path(face["root"], face["path"]))
            if photo.sha256 == face["file_sha256"]:  # otherwise another photo lies there now
                yield face_id, _data_url(cut_face(photo, face["box"]), NEIGHBOUR_THUMBNAIL)
        except PhotoError:
            continue


def _data_url(image: Image.Image, side: int) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(jpeg(image, side)).decode()
