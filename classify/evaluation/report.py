"""The report: the summary of an evaluation as one self-contained page of tables and charts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from ...embedder.labels import AGE_BANDS
from ...embedder.storage.atomic import replacing
from .charts import SHARE, Scale, abstention, interval_bar, reliability, scale_of
from .html import figure, in_years, label, number, render

TASKS = {"mask": "Mask", "gender": "Gender", "age_band": "Age band", "joint": "18 classes"}
WORST = 3
"""Slices named at the top of the page."""
_HEAT = 60
"""Strongest shade in percent, so that the text on it stays readable."""
_POINTS_LISTED = 20
_SMALL = 3
"""Classes of a confusion matrix that has room for shares beside the counts."""
_RANKED_BY = ("joint_accuracy", "age_band_accuracy", "gender_accuracy", "mask_accuracy", "age_mae")
_COMPARISONS = (
    ("Pseudo-labels", "pseudo_labels"),
    ("Baselines", "baselines"),
    ("Leakage", "leakage"),
)
"""Title and key."""

Row = dict[str, Any]


def write_evaluation(path: Path, summary: Mapping[str, Any]) -> None:
    """Write the page of an evaluation's summary.

    A part of the summary that is absent or ``None`` is left out, a figure that is absent or ``None`` reads ``n/a``.
    """
    slices = _rows(summary.get("slices"))
    page = render(
        "report.html",
        data=_mapping(summary.get("data")),
        worst=_worst(slices),
        overall=_measured(_mapping(summary.get("overall"))),
        years_end=_years_scale(_mapping(summary.get("overall")))[1],
        classes=_by_task(summary.get("classes"), _classes),
        confusion=_by_task(summary.get("confusion"), _confusion),
        decades=_decades(_mapping(_mapping(summary.get("confusion")).get("age_by_decade"))),
        calibration=_by_task(summary.get("calibration"), _calibration),
        abstention=_by_task(summary.get("abstention"), _abstention),
        slices=slices,
        people_compared=_mapping(summary.get("masked_vs_bare")).get("people"),
        differences=_differences(_mapping(summary.get("masked_vs_bare"))),
        comparisons=[one for title, key in _COMPARISONS if (one := _comparison(title, _mapping(summary.get(key))))],
    )
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8", errors="backslashreplace")


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _rows(value: object) -> list[Mapping[str, Any]]:
    return [row for row in value if isinstance(row, Mapping)] if isinstance(value, list | tuple) else []


def _by_task(part: object, make: Callable[[str, object], Row]) -> list[Row]:
    """The results of ``make`` for each task that the part has, in the order of the tasks."""
    known = {task: value for task, value in _mapping(part).items() if value and task != "age_by_decade"}
    order = [task for task in TASKS if task in known] + [task for task in known if task not in TASKS]
    return [{"title": TASKS.get(task, label(task)), **made} for task in order if (made := make(task, known[task]))]


def _measured(metrics: Mapping[str, Any]) -> list[Row]:
    """Rows of metrics with bars: shares on a scale of their own, years on another."""
    years = _years_scale(metrics)
    rows = [{"metric": name, **_mapping(value)} for name, value in metrics.items()]
    return [{**row, "bar": _bar(row, years if in_years(row["metric"]) else SHARE)} for row in rows]


def _years_scale(metrics: Mapping[str, Any]) -> Scale:
    of_years = [_mapping(value) for name, value in metrics.items() if in_years(name)]
    return scale_of([value.get(key) for value in of_years for key in ("value", "high")])


def _bar(row: Mapping[str, Any], scale: Scale) -> str:
    return interval_bar(row.get("value"), row.get("low"), row.get("high"), scale)


def _classes(task: str, value: object) -> Row:
    rows = _rows(value)
    return {"rows": [{**row, "bar": _bar({**row, "value": row.get("f1")}, SHARE)} for row in rows]} if rows else {}


def _cells(counts: object) -> list[Row]:
    row = [number(value) or 0.0 for value in counts] if isinstance(counts, list | tuple) else []
    total = sum(row) or 1.0
    return [{"count": value, "share": value / total, "heat": round(_HEAT * value / total)} for value in row]


def _confusion(task: str, value: object) -> Row:
    part = _mapping(value)
    names = [str(name) for name in part.get("classes") or ()]
    rows = [
        {"name": name, "cells": _cells(counts)} for name, counts in zip(names, part.get("counts") or (), strict=False)
    ]
    return {"classes": names, "rows": rows, "large": len(names) > _SMALL} if rows else {}


def _decades(part: Mapping[str, Any]) -> Row:
    columns = [part.get(key) or () for key in ("counts", "mae", "bias", "faces")]
    rows = [
        {"decade": decade, "cells": _cells(_at(columns[0], i)), "mae": _at(columns[1], i), "bias": _at(columns[2], i)}
        | {"faces": _at(columns[3], i)}
        for i, decade in enumerate(part.get("decades") or ())
    ]
    rows = [row for row in rows if row["faces"] or any(cell["count"] for cell in row["cells"])]
    return {"bands": part.get("bands") or AGE_BANDS, "rows": rows} if rows else {}


def _at(column: Any, position: int) -> Any:
    return column[position] if position < len(column) else None


def _calibration(task: str, value: object) -> Row:
    part = _mapping(value)
    bins = [row for row in _rows(part.get("bins")) if row.get("faces")]
    return {**part, "bins": bins, "plot": reliability(bins, TASKS.get(task, task)) if bins else ""}


def _abstention(task: str, value: object) -> Row:
    part = _mapping(value)
    points = _rows(part.get("points"))
    listed = points[:: max(1, -(-len(points) // _POINTS_LISTED))]
    by_quality = _mapping(part.get("by_quality"))
    plot = abstention(points, TASKS.get(task, task), _rows(by_quality.get("points"))) if points else ""
    return {**part, "aurc_by_quality": by_quality.get("aurc"), "listed": listed, "plot": plot}


def _worst(slices: Iterable[Mapping[str, Any]]) -> list[Row]:
    """The first slices with the figure that shows them to be weak."""
    found = []
    for row in list(slices)[:WORST]:
        metric = next((key for key in _RANKED_BY if number(row.get(key)) is not None), "joint_accuracy")
        found.append({**row, "metric": metric, "shown": figure(row.get(metric), metric)})
    return found


def _differences(part: Mapping[str, Any]) -> list[Row]:
    known = {name: value for name, value in part.items() if isinstance(value, Mapping)}
    rows = []
    for name, value in known.items():
        alike = [one for other, one in known.items() if in_years(other) == in_years(name)]
        scale = scale_of([one.get(key) for one in alike for key in ("difference", "low", "high")], both_ways=True)
        bar = interval_bar(value.get("difference"), value.get("low"), value.get("high"), scale, zero=0)
        rows.append({**value, "metric": name, "bar": bar})
    return rows


def _comparison(title: str, part: Mapping[str, Any]) -> Row:
    """A table of named rows over metrics; a cell is a number or a mapping with an interval."""
    metrics = [str(metric) for metric in part.get("metrics") or ()]
    rows = [
        {
            "name": row.get("name"),
            "cells": [
                {"metric": metric, **(cell if isinstance(cell := row.get(metric), Mapping) else {"value": cell})}
                for metric in metrics
            ],
        }
        for row in _rows(part.get("rows"))
    ]
    return {"title": title, "metrics": metrics, "rows": rows, "note": part.get("note")} if rows else {}
