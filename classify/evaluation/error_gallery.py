"""The error_gallery: every mistake as a card, the costliest first, and the faces around 60 on a page of their own."""

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
from ..metrics.age_scores import BORDER
from ..tasks import PROBABILITIES
from .error_gallery_folder import FACES, PAGES, replacing_error_gallery, write_manifest
from .html import figure, number, render
from .severity import COST_OF_A_YEAR, Verdict, verdicts

NEIGHBOURS = 7
THUMBNAIL = 128
NO_FACE = "not in the table of faces"

Row = dict[Any, Any]


def write_error_gallery(
    folder: Path,
    answers: pd.DataFrame,
    faces: pd.DataFrame,
    *,
    senior_from: Sequence[Mapping[str, Any]] = (),
    jobs: int = 2,
    progress: Progress = lambda done, total: None,
) -> int:
    """Write the error_gallery of some answers and say how many faces are in it as mistakes.

    ``index.html`` shows the faces of which an answer is wrong (:mod:`.severity`), ``border.html`` those of a true age
    in :data:`~..metrics.age_scores.BORDER`, right and wrong; ``faces/`` holds their thumbnails. A former error_gallery
    is replaced at the end.

    Args:
        answers: one row a face: ``face_id, path, root, box, source, person, fold``, the truth as ``true_mask,
            true_gender, true_race, true_age_low, true_age_high``, and the answer as in ``predictions.csv``.
        faces: ``path, root, box`` of the neighbours by ``face_id`` (the index); with ``file_sha256`` a photo that has
            been replaced by another one since is not shown.
        senior_from: the sweep over where the oldest band begins, for the border's page.
        progress: called with photos read and photos to read.

    Raises:
        MaskclsError: the folder holds something else than an error gallery, or cannot be written.
    """
    cards = [_card(row) for row in answers.to_dict("records")]
    cards.sort(key=lambda card: (-card["cost"], card["name"], card["face_id"]))
    wrong = [card for card in cards if card["tokens"]]
    border = sorted((card for card in cards if _at_border(card)), key=lambda card: card["age"][0])
    with replacing_error_gallery(folder) as temporary:
        places = _places([*wrong, *border], faces)
        missing = dict.fromkeys(_wanted([*wrong, *border]), NO_FACE)
        missing = {face_id: reason for face_id, reason in missing.items() if face_id not in places}
        missing |= write_faces(temporary / FACES, places, THUMBNAIL, jobs=jobs, progress=progress)
        for card in (*wrong, *border):
            card["gaps"] = sorted({missing[voter.face_id] for voter in card["voters"] if voter.face_id in missing})
        common = {"missing": missing, "year": COST_OF_A_YEAR, "ages": BORDER, "total": len(cards)}
        beside: dict[str, Any] = {"border": True, "senior": list(senior_from), "years": _by_year(border)}
        for name, shown_cards, more in zip(PAGES, (wrong, border), ({"border": False}, beside), strict=True):
            page = render("error_gallery.html", cards=shown_cards, choices=_choices(shown_cards), **common, **more)
            (temporary / name).write_text(page, encoding="utf-8", errors="backslashreplace")
        write_manifest(temporary, {"mistakes": len(wrong), "border": len(border)})
    return len(wrong)


def _card(row: Row) -> Row:
    judged = verdicts(row)
    voters = read_voters(row)[:NEIGHBOURS]
    return {
        "face_id": str(row["face_id"]),
        "place": _place(row),
        "name": shown(str(row["path"])),
        "facts": [f"{name} {text}".strip() for name, key in _FACTS.items() if (text := _text(row.get(key)))],
        "verdicts": judged,
        "cost": sum(verdict.cost for verdict in judged),
        "tokens": " ".join(_token(verdict) for verdict in judged if verdict.wrong),
        "age": (number(row.get("true_age_low")), number(row.get("true_age_high"))),
        "true_age": _years(row.get("true_age_low"), row.get("true_age_high")),
        "said_age": _years(row.get("age"), row.get("age")),
        "range": _years(row.get("age_low"), row.get("age_high")),
        "voters": voters,
        "part": vote_share(voters, int(row.get("voters") or 0)),
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


def _token(verdict: Verdict) -> str:
    """A mistake as the filters know it: task, true class, said class, such as ``a21``."""
    classes = list(PROBABILITIES[verdict.task])
    return f"{verdict.task[0]}{classes.index(str(verdict.truth))}{classes.index(str(verdict.said))}"


def _at_border(card: Row) -> bool:
    low, high = card["age"]
    return low is not None and high is not None and BORDER[0] <= low and high <= BORDER[1]


def _wanted(cards: Iterable[Row]) -> list[str]:
    """Faces with a picture, voters' too, each once."""
    return list(dict.fromkeys(i for card in cards for i in (card["face_id"], *(v.face_id for v in card["voters"]))))


def _places(cards: Sequence[Row], faces: pd.DataFrame) -> dict[str, FacePlace]:
    """Where the wanted faces are: as their own row says, as the table of faces says of voters."""
    own = {card["face_id"]: card["place"] for card in cards}
    others = faces.loc[faces.index.isin([i for i in _wanted(cards) if i not in own])]
    return own | {
        str(row["face_id"]): _place(row) for row in others.rename_axis("face_id").reset_index().to_dict("records")
    }


def _choices(cards: Sequence[Row]) -> dict[str, Any]:
    """What the filters offer: mistakes by task, and by true and by said class."""
    mistakes = [verdict for card in cards for verdict in card["verdicts"] if verdict.wrong]
    true, said = (Counter((v.task, getattr(v, side)) for v in mistakes) for side in ("truth", "said"))

    def options(counts: Counter[tuple[str, Any]]) -> dict[str, list[tuple[str, str, int]]]:
        return {
            task: [(f"{task[0]}{i}", name, counts[task, name]) for i, name in enumerate(names) if counts[task, name]]
            for task, names in PROBABILITIES.items()
        }

    tasks = Counter(verdict.task for verdict in mistakes)
    return {
        "tasks": {task: tasks[task] for task in PROBABILITIES if tasks[task]},
        "truth": options(true),
        "said": options(said),
    }


def _by_year(border: Sequence[Row]) -> list[dict[str, Any]]:
    """For every single true age: faces, and how many were called which band."""
    found = []
    for age in range(BORDER[0], BORDER[1] + 1):
        ages = [card["verdicts"][-1] for card in border if card["age"] == (age, age) and card["verdicts"][-1].said]
        if ages:
            right = figure(sum(not verdict.wrong for verdict in ages) / len(ages))
            said = Counter(verdict.said for verdict in ages)
            found.append({"age": age, "faces": len(ages), "said": [said[band] for band in AGE_BANDS], "right": right})
    return found
