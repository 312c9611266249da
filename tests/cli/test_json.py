"""Every command speaks to scripts: one JSON object on standard output."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import typer
from typer.testing import CliRunner, Result

from maskcls.classify.data.face_set import open_face_set
from maskcls.classify.labels.review import session as review_session
from maskcls.classify.model.build import build_model
from maskcls.classify.serving import server as serve_server
from maskcls.cli.main import app
from maskcls.embedder.facenet.encoder import EMBEDDING_DIM, MAP_SHAPE, FaceNetEncoder
from maskcls.embedder.faceset.store import REJECT_COLUMNS, SetTables, SetWriter
from maskcls.embedder.table import face_table

FACES, PHOTOS_A_PERSON = 48, 4


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def photos(portrait: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A face, and what is none."""
    folder = tmp_path_factory.mktemp("photos")
    shutil.copy(portrait, folder / f"face{portrait.suffix}")
    (folder / "broken.jpg").write_bytes(b"broken")
    return folder


@pytest.fixture(scope="module")
def faces(encoder: FaceNetEncoder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set of twelve made-up people, four photos each."""
    rng = np.random.default_rng(0)
    people = np.arange(FACES) // PHOTOS_A_PERSON
    vectors = rng.standard_normal((FACES, EMBEDDING_DIM)) + 3 * rng.standard_normal((FACES, EMBEDDING_DIM))[people]
    digests = [hashlib.sha256(str(row).encode()).hexdigest() for row in range(FACES)]
    rows = [
        {
            "face_id": f"{int(digest[:16], 16) >> 1:016x}",
            "path": f"{row:02}.jpg",
            "person": f"p{person:02}",
            "mask": ("wear", "normal", "incorrect", "wear")[row % 4],
            "gender": ("male", "female")[person % 2],
            "age_low": 20 + 5 * person,
            "age_high": 20 + 5 * person,
            "box": [0.0, 0.0, 64.0, 64.0],
            "face": "whole",
            "landmarks": [],
            "face_score": 1.0,
            "sharpness": 9.0,
            "norm": 20.0,
            "source": "made-up",
            "file_sha256": digest,
            **dict.fromkeys(("faces_in_photo", "file_size", "file_mtime_ns"), 1),
        }
        for row, (person, digest) in enumerate(zip(people, digests, strict=True))
    ]
    folder = tmp_path_factory.mktemp("sets") / "faces"
    writer = SetWriter(folder, FACES)
    writer.embeddings[:] = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    writer.maps[:] = rng.random((FACES, *MAP_SHAPE), np.float32)
    rejects = pd.DataFrame([], columns=list(REJECT_COLUMNS)).astype(REJECT_COLUMNS)
    settings = {"root": str(folder.parent), "layout": "folders", "face": "auto"}
    writer.commit(SetTables(face_table(rows), rejects, encoder.info, settings))
    return folder


@pytest.fixture(scope="module")
def built(faces: Path) -> Path:
    """A model built from :func:`faces`."""
    folder = faces.parent / "model"
    build_model(open_face_set([faces]))[0].save(folder)
    return folder


@pytest.fixture(scope="module")
def trained(painted: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one short training."""
    folder = tmp_path_factory.mktemp("runs")
    tiny = ("--image-size", "32", "--epochs", "1", "--folds", "2", "--score-folds", "1", "--no-bfloat16")
    result = run("train", painted, "--out", folder / "run", *tiny)
    assert result.exit_code == 0, result.output
    return folder


class World:
    """Where a case finds its data; what it may change is a copy of its own."""

    def __init__(self, photos: Path, faces: Path, built: Path, painted: Path, trained: Path, out: Path) -> None:
        self.photos, self.painted, self.out = photos, painted, out
        self.runs = Path(shutil.copytree(trained, out / "runs"))
        self.faces = Path(shutil.copytree(faces, out / "faces"))
        self.model = Path(shutil.copytree(built, out / "model"))
        self.face = str(pd.read_parquet(faces / "faces.parquet")["face_id"][0])
        self.patch = out / "patch.csv"
        self.patch.write_text(f"face_id,field,old,new\n{self.face},age,20,21\n{'f' * 16},age,1,2\n")


@pytest.fixture
def world(photos: Path, faces: Path, built: Path, painted: Path, trained: Path, tmp_path: Path) -> World:
    return World(photos, faces, built, painted, trained, tmp_path)


@pytest.fixture(autouse=True)
def _no_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers say that they are ready, and end."""

    def serve(what: Any, host: str, port: int, ready: Callable[[str], None], **_: object) -> None:
        ready(f"http://{host}:{port}/")

    monkeypatch.setattr(review_session, "serve", serve)
    monkeypatch.setattr(serve_server, "serve", serve)
    monkeypatch.delenv("MASKCLS_TOKEN", raising=False)


def receipt(world: World) -> Path:
    """Forget somebody, for a receipt."""
    path = world.out / "receipt.json"
    assert run("index", "forget", "--in", world.out, "--person", "p03", "--receipt", path).exit_code == 0
    return path


def without(world: World, person: str) -> Path:
    """Take somebody out of the gallery, so that they can come in."""
    assert run("index", "remove", world.model, "--person", person).exit_code == 0
    return world.model


def unlabelled(world: World) -> Path:
    """A set of other photos than the model's."""
    assert run("embed", world.photos, "--out", world.out / "others").exit_code == 0
    return world.out / "others"


def answers(world: World) -> list[Path]:
    """Two tables of answers in the same folds."""
    split, files = world.out / "split.csv", [world.out / "a.parquet", world.out / "b.parquet"]
    assert run("split", world.faces, "--out", split, "--folds", "2").exit_code == 0
    for seed, file in enumerate(files):
        evaluate = ("evaluate", world.faces, "--split", split, "--seed", str(seed), "--predictions", file)
        assert run(*evaluate).exit_code == 0
    return files


CASES: dict[str, tuple[Callable[[World], list[str | Path]], dict[str, object]]] = {
    "embed": (lambda w: [w.photos, "--out", w.out / "new"], {"faces": 1, "rejects": 1, "embedded": 2}),
    "build-index": (lambda w: [w.faces, "--out", w.out / "new"], {"faces": FACES, "missing": []}),
    "predict": (
        lambda w: [w.photos, "--model", w.model, "--out", w.out / "p.csv"],
        {"photos": 2, "counts": {"ok": 1, "unreadable": 1}},
    ),
    "render-masks": (lambda w: [w.photos, "--out", w.out / "new"], {"drawn": 1, "rejects": 1}),
    "evaluate": (lambda w: [w.faces, "--folds", "2", "--score-folds", "1"], {}),
    "split": (lambda w: [w.faces, "--out", w.out / "s.csv", "--folds", "2"], {"faces": FACES, "copies": 0}),
    "audit": (lambda w: [w.faces, "--out", w.out / "audit", "--folds", "2"], {"faces": FACES}),
    "relabel": (lambda w: [w.faces, "--patch", w.patch], {"changed": 1, "confirmed": 0, "done": 0}),
    "index list": (lambda w: [w.model, "--limit", "2"], {"faces": FACES, "people": 12}),
    "index add": (lambda w: [without(w, "p02"), w.faces], {"faces": PHOTOS_A_PERSON, "people": 1}),
    "index remove": (lambda w: [w.model, "--face", w.face], {"removed": 1, "left": FACES - 1}),
    "index forget": (
        lambda w: ["--in", w.out, "--person", "p01", "--receipt", w.out / "r.json"],
        {"faces": PHOTOS_A_PERSON, "verified": True},
    ),
    "index check-receipt": (lambda w: [receipt(w), "--person", "p03"], {"about": True}),
    "review": (lambda w: [w.faces, "--no-open"], {"url": "http://127.0.0.1:0/"}),
    "pseudo-label": (
        lambda w: [w.model, unlabelled(w), "--out", w.out / "extra", "--min-confidence", "0"],
        {"faces": 1, "labelled": 1, "own": 0},
    ),
    "ensemble": (lambda w: [*answers(w), "--out", w.out / "m.parquet"], {}),
    "train": (
        lambda w: [
            w.painted,
            "--out",
            w.runs / "run",
            "--image-size",
            "32",
            "--epochs",
            "1",
            "--folds",
            "2",
            "--score-folds",
            "1",
            "--no-bfloat16",
        ],
        {},
    ),
    "runs": (lambda w: [w.runs], {}),
    "doctor": (lambda w: ["--model", w.model], {}),
    "serve": (lambda w: ["--model", w.model], {"url": "http://127.0.0.1:8765/", "token": None}),
}
"""Command -> arguments, and some of its output."""


def commands(group: Any, before: str = "") -> Iterator[str]:
    """All commands of an app, with those of its groups."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{before}{name} ")
        else:
            yield before + name


def test_every_command_has_a_case() -> None:
    assert set(commands(typer.main.get_command(app))) == set(CASES)


@pytest.mark.parametrize("command", CASES)
def test_json(command: str, world: World) -> None:
    arguments, expected = CASES[command]
    result = run("--json", *command.split(), *arguments(world))
    assert result.exit_code == 0, result.output
    (line,) = result.stdout.splitlines()
    found = json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert {name: found[name] for name in expected} == expected
    assert (found["command"], found["exit_code"], found["error"]) == (command, 0, None)
    assert result.stderr


def test_json_behind_the_command_too(world: World) -> None:
    before = run("--json", "index", "list", world.model)
    behind = run("index", "list", world.model, "--json")
    assert before.stdout == behind.stdout
    assert json.loads(behind.stdout)["source"] == {"made-up": FACES}


def test_rows(world: World) -> None:
    rows = json.loads(run("index", "list", world.model, "--limit", "2", "--json").stdout)["rows"]
    assert (len(rows), rows[0]["face_id"]) == (2, world.face)
    answers = json.loads(run("--json", "predict", *CASES["predict"][0](world)).stdout)
    assert [row["status"] for row in answers["answers"]] == ["unreadable", "ok"]
    assert answers["answers"][0]["class_id"] is None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("embed", "{out}/none", "--out", "{out}/x"), "no such folder"),
        (("predict", "{photos}", "--model", "{out}/none"), "no such folder"),
        (("serve", "--model", "{out}/none"), "no such folder"),
        (("serve", "--model", "{model}", "--host", "0.0.0.0"), "--allow-remote"),
        (("index", "forget", "--in", "{out}"), "--person"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_a_mistake(arguments: tuple[str, ...], words: str, world: World) -> None:
    filled = [one.format(out=world.out, photos=world.photos, model=world.model) for one in arguments]
    result = run("--json", *filled)
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert found["exit_code"] == 1
    assert words in found["error"]
    assert result.stderr.strip().splitlines()[-1] == f"maskcls: {found['error']}"


def test_a_wrong_command_line_says_nothing_on_standard_output() -> None:
    result = run("--json", "split", "--folds", "many")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "--folds" in result.stderr


def test_quiet(world: World) -> None:
    result = run("--quiet", "index", "list", world.model)
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "")
    both = run("index", "list", world.model, "--json", "-q")
    assert json.loads(both.stdout)["faces"] == FACES
    assert both.stderr == ""
    failed = run("split", world.out / "none", "--quiet")
    assert failed.exit_code == 1
    assert failed.stderr.startswith("maskcls: ")


def test_quiet_or_not_the_address_of_a_page_is_said(world: World) -> None:
    assert run("serve", "--model", world.model, "--quiet").stdout == "http://127.0.0.1:8765/  (Ctrl-C ends)\n"


def test_the_built_in_model_serves_where_none_is_named() -> None:
    result = run("serve", "--json", "--port", "0")
    assert json.loads(result.stdout)["url"] == "http://127.0.0.1:0/"
    assert "no --model given: the built-in model" in result.stderr
