"""Requests that schemathesis makes up from the OpenAPI document; ``MASKCLS_SOAK_CASES=5000`` asks for more of them."""

from __future__ import annotations

import os
import re
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from maskcls.classify.serving.engine import Engine
from maskcls.classify.serving.metrics import Metrics
from maskcls.classify.serving.server import guarded

from .conftest import SMALL, photo

EXAMPLES = int(os.environ.get("MASKCLS_SOAK_CASES", "40"))
OPERATIONS = ("POST /predict", "POST /predict/batch", "GET /about", "GET /healthz", "GET /metrics")
FIELDS = {"POST /predict": b"photo", "POST /predict/batch": b"photos"}
PART = re.compile(rb'form-data; name="([^"]*)"(; filename=)?')
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

    Left out: that all data of the right type is taken, for a photo is more than bytes; and that a form is refused from
    which schemathesis has lost on the way what should not fit.
    """
    seen: set[int] = set()

    @given(api[name].as_strategy(generation_mode=mode))
    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    def ask(case: Any) -> None:
        response = case.call()
        parts = set(PART.findall(response.request.body or b""))
        fits = parts == {(FIELDS[name], b"; filename=")}
        left_out = [positive_data_acceptance, *([negative_data_rejection] if fits else [])]
        case.validate_response(response, excluded_checks=left_out)
        seen.add(response.status_code)

    ask()
    assert {200} & seen if mode == GenerationMode.POSITIVE else {400, 415} & seen


@pytest.mark.parametrize("name", OPERATIONS[2:])
def test_what_is_only_read(name: str, api: dict[str, Any]) -> None:
    api[name].Case().call_and_validate()
