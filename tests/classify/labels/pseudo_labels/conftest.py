"""A teacher built from made-up faces, and made-up faces for it to label."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from maskcls.classify.data.face_set import merge_sets
from maskcls.classify.labels.pseudo_labels.label_set import label_set
from maskcls.classify.model.build import build_model
from maskcls.classify.model.model import Model
from maskcls.embedder.faceset.store import EmbeddingSet, SetWriter

MakeSet = Callable[..., EmbeddingSet]
FACES = 24
"""Of the teacher's set: twelve people with two faces each."""


@pytest.fixture(scope="session")
def write_set() -> Callable[[Path, EmbeddingSet], Path]:
    """``write_set(folder, faces)`` writes an embedding set and gives back its folder."""

    def write(folder: Path, faces: EmbeddingSet) -> Path:
        writer = SetWriter(folder, len(faces))
        writer.embeddings[:] = faces.embeddings
        writer.maps[:] = faces.maps
        writer.commit(faces.table, faces.rejects, faces.encoder, faces.settings, pseudo=faces.pseudo)
        return folder

    return write


@pytest.fixture(scope="session")
def labelled(make_set: MakeSet) -> EmbeddingSet:
    """What the teacher is built from: people p0 to p11."""
    return make_set(
        FACES,
        seed=1,
        root="/labelled",
        person=[f"p{i // 2}" for i in range(FACES)],
        mask=["wear", "normal"] * (FACES // 2),
        gender=["male", "male", "female", "female"] * (FACES // 4),
        age=[20 + 5 * (i // 2) for i in range(FACES)],
    )


@pytest.fixture(scope="session")
def unlabelled(make_set: MakeSet) -> EmbeddingSet:
    """Other faces, which bring labels of their own."""
    return make_set(10, seed=2, root="/unlabelled", mask="incorrect", gender="female", age=3, race="Asian")


@pytest.fixture(scope="session")
def teacher_folder(labelled: EmbeddingSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The teacher, saved."""
    folder = tmp_path_factory.mktemp("teacher") / "model"
    build_model(merge_sets([labelled]))[0].save(folder)
    return folder


@pytest.fixture(scope="session")
def teacher(teacher_folder: Path) -> Model:
    """The same, loaded."""
    return Model.load(teacher_folder)


@pytest.fixture(scope="session")
def extra(teacher: Model, unlabelled: EmbeddingSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unlabelled faces with all of the teacher's labels, however sure it is."""
    out = tmp_path_factory.mktemp("extra") / "set"
    label_set(teacher, unlabelled, out, {"mask": 0.0, "gender": 0.0, "age": 0.0})
    return out
