"""A small world of embedding sets, a model and outputs, in which one person is everywhere."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from maskcls.classify.age.vote import NOBODY
from maskcls.classify.data.face_set import FaceSet, open_face_set
from maskcls.classify.evaluation.error_gallery_folder import replacing_error_gallery, write_manifest
from maskcls.classify.model.answers import answer_rows
from maskcls.classify.model.build import build_model
from maskcls.classify.model.model import Model
from maskcls.embedder.faceset.store import STEPS, EmbeddingSet, SetTables, SetWriter, open_set
from maskcls.embedder.storage.step_cache import Array, StepCache

ANNA, EACH, PEOPLE = "anna", 3, 8
NAMES = (ANNA, *(f"person {i}" for i in range(1, PEOPLE)))
MakeSet = Callable[..., EmbeddingSet]


@dataclass(frozen=True)
class World:
    """Where everything lies, and Anna's traces: ids, hashes of photos, and her drawn and copied faces among them."""

    folder: Path
    faces: frozenset[str]
    hashes: frozenset[str]

    @property
    def sets(self) -> list[Path]:
        return [self.folder / "sets" / name for name in ("named", "drawn")]

    @property
    def model(self) -> Path:
        return self.folder / "model"

    @property
    def out(self) -> Path:
        return self.folder / "out"

    @property
    def photos(self) -> Path:
        return self.folder / "photos"


def _write(folder: Path, faces: EmbeddingSet) -> None:
    writer = SetWriter(folder, len(faces))
    writer.embeddings[:] = faces.embeddings
    writer.maps[:] = faces.maps
    rejects = pd.DataFrame(
        {"path": ["empty.jpg"], "reason": ["empty file (0 bytes)"], "file_size": [0], "file_mtime_ns": [1]}
    )
    writer.commit(SetTables(faces.table, rejects, faces.encoder, faces.settings))


def _sets(folder: Path, make_set: MakeSet) -> World:
    """Three photos of each of eight named people, masks drawn on all of them, and one copy of Anna's without a name."""
    count = PEOPLE * EACH
    paths = [f"{NAMES[i // EACH]}/{i % EACH}.jpg" for i in range(count)]
    hashes = []
    for path in paths:
        photo = folder / "photos" / path
        photo.parent.mkdir(parents=True, exist_ok=True)
        photo.write_bytes(f"photo of {path}".encode())
        hashes.append(hashlib.sha256(photo.read_bytes()).hexdigest())
    ages = [20 + 5 * (i // EACH) for i in range(count)]
    named = make_set(
        count,
        seed=1,
        root=str(folder / "photos"),
        path=paths,
        person=[NAMES[i // EACH] for i in range(count)],
        age=ages,
        file_sha256=hashes,
        source="folders",
    )
    drawn = make_set(
        count + 1,
        seed=2,
        root=str(folder / "drawn"),
        age=[*ages, 20],
        mask="wear",
        drawn_on=[*hashes, None],
        file_sha256=[*(hashlib.sha256(f"drawn {one}".encode()).hexdigest() for one in hashes), hashes[0]],
        source="csv",
    )
    for name, one in (("named", named), ("drawn", drawn)):
        _write(folder / "sets" / name, one)
    mine = [*named.table["face_id"][:EACH], *drawn.table["face_id"][:EACH], drawn.table["face_id"].iloc[-1]]
    return World(folder, frozenset(mine), frozenset([*hashes[:EACH], *drawn.table["file_sha256"][:EACH]]))


def _answers(model: Model, pool: FaceSet) -> pd.DataFrame:
    everyone = np.arange(len(pool))
    maps = pool.maps(everyone)
    ages = model.ages(pool.embeddings, maps, np.full(len(pool), NOBODY))
    rows = answer_rows(model, ages, pool.embeddings, maps)
    return pd.DataFrame(rows).assign(path=pool.table["path"], status="ok", reason=None)


def _outputs(world: World, model: Model, pool: FaceSet) -> None:
    out = world.out
    out.mkdir()
    answers = _answers(model, pool)
    answers.to_csv(out / "predictions.csv", index=False)
    answers.assign(face_id=pool.table["face_id"]).to_parquet(out / "answers.parquet", index=False)
    pool.table[["face_id", "path"]].assign(fold=0).to_csv(out / "split.csv", index=False)
    anna, other = sorted(world.faces)[0], next(one for one in pool.table["face_id"] if one not in world.faces)
    (out / "report.html").write_text(f"<style>.n{anna} {{}}</style>")
    (out / "other.html").write_text(f"<style>.n{other} {{}}</style>")
    (out / "named.html").write_text('<article data-status="ok">\n<h2>anna/1.jpg</h2>')
    (out / "evidence.jsonl").write_text(json.dumps({"path": "x.jpg", "voters": [{"face_id": anna}]}) + "\n")
    rows = [json.dumps(row) for row in answers[["path", "neighbours"]].to_dict("records")]
    (out / ".predictions.csv.partial").write_text("\n".join(['{"key": "k"}', *rows]) + "\n")
    (out / f"{anna}.jpg").write_bytes(b"thumbnail")
    (out / f"{other}.jpg").write_bytes(b"thumbnail")
    StepCache(out / ".scores.json.folds", "key").write("fold-0", tables={"maskcls": pool.table[["face_id"]]})
    (world.folder / ".model.finetune").mkdir()
    (world.folder / ".model.finetune" / "training.step").write_bytes(b"tensors")
    (world.folder / ".model.views").mkdir()
    (world.folder / ".model.views" / "0-00000000.step").write_bytes(b"tensors")
    for name, face in (("cases", anna), ("other-cases", other)):
        with replacing_error_gallery(out / name) as error_gallery:
            (error_gallery / "index.html").write_text(f'<img src="faces/{face}.jpg">')
            (error_gallery / "faces" / f"{face}.jpg").write_bytes(b"thumbnail")
            write_manifest(error_gallery, {"mistakes": 1})
    one = open_set(world.sets[0])
    rows_done = [{"face_id": "0" * 16, "path": "new.jpg", "file_sha256": "f" * 64}]
    arrays: dict[str, Array] = {"embeddings": np.array(one.embeddings[:1]), "maps": np.array(one.maps[:1])}
    notes: dict[str, object] = {"faces": rows_done, "rejects": [], "runtime": "torch fp32"}
    StepCache(world.sets[0] / STEPS, "key").append(arrays, notes=notes)
    (world.folder / "notes.txt").write_text("remember the milk\n")


@pytest.fixture
def world(make_set: MakeSet, tmp_path: Path) -> World:
    """All of it, freshly made."""
    made = _sets(tmp_path / "world", make_set)
    pool = open_face_set(made.sets)
    model, _ = build_model(pool)
    model.save(made.model)
    _outputs(made, Model.load(made.model), pool)
    return made
