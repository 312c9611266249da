"""A small world of embedding sets, a model and outputs, in which one person is everywhere."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
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
from maskcls.embedder.erasure.files import GENERATOR
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


def write_set(folder: Path, faces: EmbeddingSet) -> None:
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
        write_set(folder / "sets" / name, one)
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
    (out / "named.html").write_text(f"<head>{GENERATOR.decode()}</head><h2>anna/1.jpg</h2>")
    lines = [
        {"path": "x.jpg", "face_id": other, "voters": [{"face_id": anna}, {"face_id": other}]},
        {"path": "anna/1.jpg", "face_id": anna, "voters": [{"face_id": other}]},
        {"path": "y.jpg", "face_id": other, "voters": []},
    ]
    (out / "evidence.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (out / ".answers.parquet.12345678.tmp").write_bytes(b"PAR1 half a table")
    (out / f"{anna}.jpg").write_bytes(b"thumbnail")
    (out / f"{other}.jpg").write_bytes(b"thumbnail")
    StepCache(out / ".scores.json.folds", "key").write("fold-0", tables={"maskcls": pool.table[["face_id"]]})
    StepCache(world.folder / ".model.finetune", "key").write("0", {"tensor": np.zeros(3)})
    StepCache(world.folder / ".model.augmented" / "fold-0", "key").write("0", {"tensor": np.zeros(3)})
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


@pytest.fixture(scope="session")
def made_world(make_set: MakeSet, tmp_path_factory: pytest.TempPathFactory) -> World:
    """All of it, made once, and a copy beside it; to be changed by way of :func:`world` alone."""
    made = _sets(tmp_path_factory.mktemp("erasure") / "world", make_set)
    pool = open_face_set(made.sets)
    model, _ = build_model(pool)
    model.save(made.model)
    _outputs(made, Model.load(made.model), pool)
    shutil.copytree(made.folder, made.folder.with_name("made"))
    return made


@pytest.fixture
def world(made_world: World) -> Iterator[World]:
    """The world as it was made, where it was made; nothing else is in its parent folder."""
    yield made_world
    for path in made_world.folder.parent.iterdir():
        if path.name != "made":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    shutil.copytree(made_world.folder.with_name("made"), made_world.folder)


@pytest.fixture
def strangers(world: World, make_set: MakeSet) -> World:
    """The world with a third set, of another data set, in which somebody else is called anna, too."""
    photos = [world.folder / "others" / f"{number}.jpg" for number in range(4)]
    photos[0].parent.mkdir()
    for number, photo in enumerate(photos):
        photo.write_bytes(f"stranger {number}".encode())
    hashes = [hashlib.sha256(photo.read_bytes()).hexdigest() for photo in photos]
    people = ["anna", "anna", "ben", "anna"]
    paths = [photo.name for photo in photos]
    root = str(world.folder / "others")
    other = make_set(4, seed=9, root=root, path=paths, person=people, file_sha256=hashes, age=40, source="csv")
    write_set(world.folder / "sets" / "strangers", other)
    return world
