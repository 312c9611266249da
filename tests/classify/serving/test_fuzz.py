"""Requests that schemathesis makes up from the OpenAPI document; ``MASKCLS_FUZZ=5000`` makes more of them."""

from __future__ import annotations

import os
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from maskcls.classify.serving.engine import Engine
from maskcls.classify.serving.metrics import Metrics
from maskcls.classify.serving.server import guarded

from .conftest import SMALL, photo

EXAMPLES = int(os.environ.get("MASKCLS_FUZZ", "40"))
OPERATIONS = ("POST /predict", "POST /predict/batch", "GET /about", "GET /healthz", "GET /metrics")
PHOTOS = [photo("red", "JPEG"), photo("blue"), photo("black", "WEBP"), photo("green", "GIF"), photo("red", "BMP")]


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A photo with some bytes changed, cut short."""
    data = bytearray(draw(st.sampled_from(PHOTOS)))
    for _ in range(draw(st.integers(0, 4))):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data[: draw(st.integers(1, len(data)))])


@pytest.fixture
def api(engine: Engine, metrics: Metrics) -> dict[str, Any]:
    """The API's operations; many of the photos in their requests are some."""
    schemathesis.openapi.format("binary", st.one_of(st.sampled_from(PHOTOS), damaged(), st.binary()))
    app = guarded(engine, metrics, SMALL, None, "testserver", 80)  # what schemathesis calls its host
    schema = schemathesis.openapi.from_asgi("/openapi.json", app)
    operations: list[Any] = [found.ok() for found in schema.get_all_operations()]  # type: ignore[union-attr]
    return {operation.label: operation for operation in operations}


def test_all_operations_are_fuzzed(api: dict[str, Any]) -> None:
    assert set(api) == set(OPERATIONS)


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["fitting", "not fitting"])
@pytest.mark.parametrize("name", OPERATIONS[:2])
def test_the_api_does_what_it_says(name: str, mode: GenerationMode, api: dict[str, Any]) -> None:
    """No error of the server, only statuses, types and bodies that are described; what the schema forbids is refused.

    Left out: that all data of the right type is taken. A photo is more than bytes.
    """
    seen: set[int] = set()

    @given(api[name].as_strategy(generation_mode=mode))
    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    def ask(case: Any) -> None:
        seen.add(case.call_and_validate(excluded_checks=[positive_data_acceptance]).status_code)

    ask()
    assert (200 in seen) == (mode == GenerationMode.POSITIVE)


@pytest.mark.parametrize("name", OPERATIONS[2:])
def test_what_is_only_read(name: str, api: dict[str, Any]) -> None:
    api[name].Case().call_and_validate()
