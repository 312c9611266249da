"""One self-contained page: every answer with the faces behind it."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image

from ...embedder.photo import PhotoError, read_photo
from ...embedder.storage.atomic import replacing
from ..answer import Answer, vote_share
from ..data.thumbnails import cut_face, jpeg
from ..model.model import Model
from .job import PredictedPhotos

MAX_REPORT = 500
"""Photos shown at most: the first ones, so that a page stays readable by a browser (about 20 MB)."""
NEIGHBOURS = 6
THUMBNAIL = 112
NEIGHBOUR_THUMBNAIL = 64


def write_report(path: Path, predicted: PredictedPhotos, model: Model, title: str) -> None:
    """Write the report of some predicted photos; see :func:`.job.predict_photos`.

    Neighbours' thumbnails are cut from the gallery's photos where these still lie where they were embedded; the
    model itself holds no photo.
    """
    answers = predicted.answers
    shown = answers[:MAX_REPORT]
    wanted = {voter.face_id for answer in shown for voter in answer.voters[:NEIGHBOURS]}
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    template = environment.from_string(files(__package__).joinpath("report.html").read_text(encoding="utf-8"))
    page = template.render(
        title=title,
        cards=[_card(answer, predicted.crops.get(number)) for number, answer in enumerate(shown)],
        counts=Counter(answer.status for answer in answers),
        total=len(answers),
        classes=dict(sorted(Counter(answer.class_id for answer in answers if answer.class_id is not None).items())),
        thumbnails=dict(_thumbnails(model.table.set_index("face_id"), wanted)),
        settings=model.settings,
        gallery=len(model.table),
        prototypes="members" in model.table,
    )
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8", errors="backslashreplace")


def _card(answer: Answer, crop: npt.NDArray[np.uint8] | None) -> dict[str, Any]:
    voters = answer.voters[:NEIGHBOURS]
    return {
        "answer": answer,
        "voters": voters,
        "share": vote_share(voters, answer.voter_count),
        "image": None if crop is None else _data_url(Image.fromarray(crop), THUMBNAIL),
    }


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
