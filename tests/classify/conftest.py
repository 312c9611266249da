"""Embedding sets made of numbers alone, for what needs no photo."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from maskcls.embedder.encoder import MAP_SHAPE, EncoderInfo
from maskcls.embedder.store import LOG_COLUMNS, REJECT_COLUMNS, EmbeddingSet
from maskcls.embedder.table import face_table

INFO = EncoderInfo("facenet", "0" * 64, {"crop_size": 160})


def _column(values: object, count: int) -> Sequence[object]:
    return list(values) if isinstance(values, Sequence) and not isinstance(values, str) else [values] * count


def unit_rows(count: int, seed: int = 0, dimension: int = 512) -> npt.NDArray[np.float32]:
    vectors = np.random.default_rng(seed).standard_normal((count, dimension)).astype(np.float32)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


@pytest.fixture(scope="session")
def make_set() -> Callable[..., EmbeddingSet]:
    """``make_set(count, seed=…, person=…, mask=…, …)``: a label is one value for all faces or a list of them."""

    def make(
        count: int,
        *,
        seed: int = 0,
        root: str = "/nowhere",
        face: str = "auto",
        encoder: EncoderInfo = INFO,
        **labels: object,
    ) -> EmbeddingSet:
        columns = {name: _column(value, count) for name, value in labels.items()}
        if "age" in columns:
            columns["age_low"] = columns["age_high"] = columns.pop("age")
        rows = []
        for i in range(count):
            digest = hashlib.sha256(f"{seed} {i}".encode()).hexdigest()
            rows.append(
                {
                    "face_id": f"{int(digest[:16], 16) >> 1:016x}",
                    "path": f"{i:05}.jpg",
                    "box": [0.0, 0.0, 64.0, 64.0],
                    "landmarks": [],
                    "face": "whole",
                    "face_score": 1.0,
                    "faces_in_photo": 1,
                    "sharpness": 9.0,
                    "norm": 20.0,
                    "source": "made-up",
                    "file_sha256": digest,
                    "file_size": 1,
                    "file_mtime_ns": 1,
                }
                | {name: values[i] for name, values in columns.items()}
            )
        maps = np.random.default_rng(seed).random((count, *MAP_SHAPE), np.float32).astype(np.float16)
        rejects = pd.DataFrame([], columns=list(REJECT_COLUMNS)).astype(REJECT_COLUMNS)
        settings = {"root": root, "layout": "folders", "face": face}
        log = pd.DataFrame(columns=list(LOG_COLUMNS)).astype(LOG_COLUMNS)
        return EmbeddingSet(face_table(rows), unit_rows(count, seed), maps, rejects, encoder, settings, log)

    return make
