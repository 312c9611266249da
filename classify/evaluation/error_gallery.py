"""The error gallery: a card for every wrongly predicted face, most severe first, and a page of faces around 60."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ...embedder.labels import AGE_BANDS
from ...embedder.photo import shown
from ..answer import read_voters, vote_share
from ..data.thumbnails import FacePlace, Progress, write_faces
from ..tasks import PROBABILITIES
from .error_gallery_folder import FACES, PAGES, replacing_error_gallery, write_manifest
from .html import figure, number, render
from .severity import SEVERITY_OF_A_YEAR, Outcome, outcomes

BORDER = (57, 62)
"""Years around the border at 60, both included."""
NEIGHBOURS = 7
THUMBNAIL = 128
NO_FACE = "not in the table of faces"

Row = dict[Any, Any]


def write_error_gallery(
    folder: Path,
    predictions: pd.DataFrame,
    faces: pd.DataFrame,
    *,
    jobs: int = 2,
    progress: Progress = lambda done, total: None,
) -> int:
    """Write the error gallery of out-of-fold predictions, and return the number of faces with a wrong one.

    ``index.html`` shows the faces with a wrong prediction (:mod:`.severity`), ``border.html`` those of a true age in
    :data:`BORDER`, correct and wrong; ``faces/`` holds their thumbnails. A former error gallery is replaced at the end.

    Args:
        predictions: one row a face: ``face_id, path, root, box, source, person, fold``, true labels as ``true_mask,
            true_gender, true_race, true_age_low, true_age_high``, and the columns of ``predictions.csv``.
        faces: ``path, root, box`` of the voters by ``face_id`` (the index); with ``file_sha256`` a photo that has
            been replaced by another one since is not shown.
        progress: called with photos read and photos to read.

    Raises:
        MaskclsError: the folder holds something else than an error gallery, or cannot be written.
    """
    cards = [_card(row) for row in predictions.to_dict("records")]
    cards.sort(key=lambda card: (-card["severity"], card["name"], card["face_id"]))
    wrong = [card for card in cards if card["tokens"]]
    border = sorted((card for card in cards if _at_border(card)), key=lambda card: card["age"][0])
    with replacing_error_gallery(folder) as temporary:
        places = _places([*wrong, *border], faces)
        missing = dict.fromkeys(_wanted([*wrong, *border]), NO_FACE)
        missing = {face_id: reason for face_id, reason in missing.items() if face_id not in places}
        missing |= write_faces(temporary / FACES, places, THUMBNAIL, jobs=jobs, progress=progress)
        for card in (*wrong, *border):
            card["gaps"] = sorted({missing[voter.face_id] for voter in card["voters"] if voter.face_id in missing})
        common = {"missing": missing, "year": SEVERITY_OF_A_YEAR, "ages": BORDER, "total": len(cards)}
        beside: dict[str, Any] = {"border": True, "years": _by_year(border)}
        for name, shown_cards, more in zip(PAGES, (wrong, border), ({"border": False}, beside), strict=True):
            page = render("error_gallery.html", cards=shown_cards, choices=_choices(shown_cards), **common, **more)
            (temporary / name).write_text(page, encoding="utf-8", errors="backslashreplace")
        write_manifest(temporary, {"errors": len(wrong), "border": len(border)})
    return len(wrong)


def _card(row: Row) -> Row:
    found = outcomes(row)
    voters = read_voters(row)[:NEIGHBOURS]
    return {
        "face_id": str(row["face_id"]),
        "place": _place(row),
        "name": shown(str(row["path"])),
        "facts": [f"{name} {text}".strip() for name, key in _FACTS.items() if (text := _text(row.get(key)))],
        "outcomes": found,
        "severity": sum(one.severity for one in found),
        "tokens": " ".join(_token(one) for one in found if one.wrong),
        "age": (number(row.get("true_age_low")), number(row.get("true_age_high"))),
        "true_age": _years(row.get("true_age_low"), row.get("true_age_high")),
        "predicted_age": _years(row.get("age"), row.get("age")),
        "range": _years(row.get("age_low"), row.get("age_high")),
        "voters": voters,
        "part": vote_share(voters, int(number(row.get("voters")) or 0)),
    }


_FACTS = {"": "source", "person": "person", "fold": "fold", "race": "true_race"}


def _text(value: Any) -> str:
    known = number(value)
    return "" if value is None or value != value else f"{known:g}" if known is not None else shown(str(value))


def _years(low: Any, high: Any) -> str:
    ends = [f"{end:.0f}" for end in (number(low), number(high)) if end is not None]
    return "" if len(ends) < 2 else ends[0] if ends[0] == ends[1] else "–".join(ends)


def _place(row: Mapping[Any, Any]) -> FacePlace:
    digest = row.get("file_sha256")
    box = row["box"] if hasattr(row["box"], "__len__") else ()
    return FacePlace(str(row["root"]), str(row["path"]), list(box), digest if isinstance(digest, str) else None)


def _token(outcome: Outcome) -> str:
    """An error as the filters know it: task, true class, predicted class, such as ``a21``."""
    classes = list(PROBABILITIES[outcome.task])
    return f"{outcome.task[0]}{classes.index(str(outcome.truth))}{classes.index(str(outcome.predicted))}"


def _at_border(card: Row) -> bool:
    low, high = card["age"]
    return low is not None and high is not None and BORDER[0] <= low and high <= BORDER[1]


def _wanted(cards: Iterable[Row]) -> list[str]:
    """Faces with a picture, voters' too, each once."""
    return list(dict.fromkeys(i for card in cards for i in (card["face_id"], *(v.face_id for v in card["voters"]))))


def _places(cards: Sequence[Row], faces: pd.DataFrame) -> dict[str, FacePlace]:
    """Where the wanted faces are: from their own row, or from the table of faces for voters."""
    own = {card["face_id"]: card["place"] for card in cards}
    others = faces.loc[faces.index.isin([i for i in _wanted(cards) if i not in own])]
    return own | {
        str(row["face_id"]): _place(row) for row in others.rename_axis("face_id").reset_index().to_dict("records")
    }


def _choices(cards: Sequence[Row]) -> dict[str, Any]:
    """Choices of the filters: errors by task, and by true and by predicted class."""
    errors = [one for card in cards for one in card["outcomes"] if one.wrong]
    true, predicted = (Counter((one.task, getattr(one, side)) for one in errors) for side in ("truth", "predicted"))

    def options(counts: Counter[tuple[str, Any]]) -> dict[str, list[tuple[str, str, int]]]:
        return {
            task: [(f"{task[0]}{i}", name, counts[task, name]) for i, name in enumerate(names) if counts[task, name]]
            for task, names in PROBABILITIES.items()
        }

    tasks = Counter(one.task for one in errors)
    return {
        "tasks": {task: tasks[task] for task in PROBABILITIES if tasks[task]},
        "truth": options(true),
        "predicted": options(predicted),
    }


def _by_year(border: Sequence[Row]) -> list[dict[str, Any]]:
    """For every single true age: faces, and how many are predicted as which band."""
    found = []
    for age in range(BORDER[0], BORDER[1] + 1):
        ages = [card["outcomes"][-1] for card in border if card["age"] == (age, age) and card["outcomes"][-1].predicted]
        if ages:
            accuracy = figure(sum(not one.wrong for one in ages) / len(ages))
            bands = Counter(one.predicted for one in ages)
            found.append(
                {"age": age, "faces": len(ages), "bands": [bands[band] for band in AGE_BANDS], "accuracy": accuracy}
            )
    return found
