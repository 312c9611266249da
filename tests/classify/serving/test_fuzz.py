"""Requests that schemathesis makes up from the OpenAPI document; ``MASKCLS_FUZZ=5000`` makes more of them."""

from __future__ import annotations

import os
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from schemathesis.specs.openapi.checks import positive_data_acceptance

from maskcls.classify.serving.engine import Engine
from maskcls.classify.serving.metrics import Metrics
from maskcls.classify.serving.server import guarded

from .conftest import SMALL, photo

EXAMPLES = int(os.environ.get("MASKCLS_FUZZ", "40"))
PHOTOS = [photo("red", "JPEG"), photo("blue"), photo("black", "WEBP"), photo("green", "GIF"), photo("red", "BMP")]


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A photo with some bytes changed, cut short."""
    data = bytearray(draw(st.sampled_from(PHOTOS)))
    for _ in range(draw(st.integers(0, 4))):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data[: draw(st.integers(1, len(data)))])


@pytest.fixture
def api(engine: Engine, metrics: Metrics) -> schemathesis.BaseSchema:
    """The API's description; half of the photos in its requests are some."""
    schemathesis.openapi.format("binary", st.one_of(st.sampled_from(PHOTOS), damaged(), st.binary()))
    app = guarded(engine, metrics, SMALL, None, "testserver", 80)  # what schemathesis calls its host
    return schemathesis.openapi.from_asgi("/openapi.json", app)


schema = schemathesis.pytest.from_fixture("api")


@schema.parametrize()
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
def test_the_api_does_what_it_says(case: Any) -> None:
    """No error of the server, only statuses, types and bodies that are described; what the schema forbids is refused.

    Left out: that all data of the right type is taken. A photo is more than bytes.
    """
    case.call_and_validate(excluded_checks=[positive_data_acceptance])
