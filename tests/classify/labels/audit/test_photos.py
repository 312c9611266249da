from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd

from maskcls.classify.data.face_set import merge_sets
from maskcls.classify.labels.audit.photos import photo_issues, swapped_photos
from maskcls.embedder.faceset.store import EmbeddingSet


def test_short_embeddings_without_a_detected_face_are_no_faces() -> None:
    count = 200
    table = pd.DataFrame({"norm": 22.0, "sharpness": 40.0, "face_score": 0.99, "mask": "normal"}, index=range(count))
    table["norm"] += np.random.default_rng(0).normal(0, 1, count)
    table.loc[0, ["norm", "face_score"]] = [11.0, 0.1]
    table.loc[1, ["norm", "face_score"]] = [11.0, 0.1]
    table.loc[1, "mask"] = "wear"
    table.loc[2, "norm"] = 11.0
    table.loc[3, "sharpness"] = 1.0
    found = {(issue.kind, *issue.rows): issue.probability for issue in photo_issues(table)}
    assert found["no_face", 0] > 0.5 > max(found["no_face", row] for row in range(1, count))
    assert found["blurred", 3] > 0.5 > max(found["blurred", row] for row in range(count) if row != 3)


def test_a_stranger_in_a_folder_is_found(make_set: Callable[..., EmbeddingSet], rng: np.random.Generator) -> None:
    people, each = 30, 5
    persons = [f"p{i // each}" for i in range(people * each)]
    faces = merge_sets([make_set(people * each, person=persons, mask="normal")])
    centres = rng.standard_normal((people, 512))
    vectors = np.repeat(centres, each, axis=0) + 0.7 * rng.standard_normal((people * each, 512))
    vectors[2] = centres[8] + 0.7 * rng.standard_normal(512)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    faces = replace(faces, embeddings=vectors.astype(np.float32))
    found = sorted(swapped_photos(faces, rng), key=lambda issue: -issue.probability)
    assert found[0].rows == (2,)
    assert found[0].probability > 0.5 > found[1].probability
    assert found[0].evidence.endswith("to those of p8")
