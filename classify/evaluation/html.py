"""Templates of the HTML pages, and the format of names, shares, years and counts in them."""

from __future__ import annotations

import math
import re
from importlib.resources import files
from numbers import Real
from typing import Any

import jinja2

MISSING = "n/a"
_WORDS = {
    "f1": "F1",
    "mae": "MAE",
    "ece": "ECE",
    "lt30": "<30",
    "ge60": ">=60",
    "joint": "18-class",
}
_OF_YEARS = {"mae", "bias", "years"}


def render(template: str, **values: Any) -> str:
    """A template of this package as HTML; every value is escaped, a missing one is empty."""
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.ChainableUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=jinja2.FunctionLoader(lambda name: files(__package__).joinpath(name).read_text(encoding="utf-8")),
    )
    environment.filters |= {"count": count, "figure": figure, "label": label, "slice_name": slice_name, "span": span}
    return environment.get_template(template).render(values)


def number(value: object) -> float | None:
    """A finite number, ``None`` for anything else."""
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
        return None
    return float(value)


def in_years(metric: str) -> bool:
    """Whether a metric is measured in years; the others are shares."""
    return not _OF_YEARS.isdisjoint(re.findall("[a-z]+", metric.lower()))


def figure(value: object, metric: str = "", *, signed: bool = False) -> str:
    """A share with three decimals or years with two; :data:`MISSING` where there is no number."""
    known = number(value)
    if known is None:
        return MISSING
    return f"{known:{'+' if signed else ''}.{2 if in_years(metric) else 3}f}".replace("-", "−")


def span(low: object, high: object, metric: str = "") -> str:
    """An interval as ``low to high``, :data:`MISSING` where an end is missing."""
    if number(low) is None or number(high) is None:
        return MISSING
    return f"{figure(low, metric)} to {figure(high, metric)}"


def count(value: object) -> str:
    """A count with thousands apart, :data:`MISSING` where there is none."""
    known = number(value)
    return MISSING if known is None else f"{known:,.0f}"


def label(name: object) -> str:
    """The name of a metric for people: ``age_band_macro_f1`` is ``age band macro F1``."""
    return " ".join(_WORDS.get(word, word) for word in str(name).split("_") if word)


def slice_name(name: object) -> str:
    """The name of a slice for people: ``gender=male, age=>=60`` is ``gender male, age >=60``."""
    return ", ".join(part.replace("=", " ", 1) for part in str(name).split(", "))
