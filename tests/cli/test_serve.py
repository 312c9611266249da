"""``maskcls serve`` and ``maskcls predict`` say the same of the same photos."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image
from starlette.testclient import TestClient
from starlette.types import ASGIApp
from typer.testing import CliRunner

from maskcls.classify.answer import read_voters
from maskcls.classify.serving import server
from maskcls.classify.serving.schema import PhotoAnswer
from maskcls.classify.tasks import PROBABILITIES
from maskcls.cli.main import app

ALONE = ("--batch-size", "1")
"""The server is asked about one photo after the other; searched in larger batches, a face's box moves by a rounding."""
DIGIT = 0.001
"""Precision of weights and similarities."""
UNREADABLE = 422


@pytest.fixture(scope="module")
def photos(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Faces in every mask state, close and in the street, in several formats; no face; no photo."""
    folder = tmp_path_factory.mktemp("photos")
    people = sorted((data / "contest" / "images").iterdir())
    for person, state in zip(people[:60:10], ("normal", "mask1", "incorrect_mask") * 2, strict=True):
        (found,) = person.glob(f"{state}.*")
        shutil.copy(found, folder / f"{person.name}-{found.name}")
    street = sorted((data / "masks" / "street" / "wear").iterdir())
    for number, found in enumerate([*street[:60:20], *sorted((data / "utkface" / "photos").iterdir())[:3000:1000]]):
        shutil.copy(found, folder / f"{number}{found.suffix}")
    with Image.open(folder / "3.jpg") as face:
        pair = Image.new("RGB", (3 * face.width, 2 * face.height), "grey")
        pair.paste(face, (face.width // 4, face.height // 2))
        pair.paste(face.reduce(2), (2 * face.width, face.height // 2))
        pair.save(folder / "two.webp")
        turned = Image.Exif()
        turned[0x0112] = 6
        face.rotate(90).resize((1500, 1500)).save(folder / "turned.png", exif=turned)
        face.convert("L").save(folder / "grey.bmp")
    Image.new("RGB", (200, 200), "white").save(folder / "blank.png")
    (folder / "broken.jpg").write_bytes(b"\xff\xd8 broken")
    return folder


def command(*arguments: str | Path) -> None:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output


def posted(photos: Path, options: tuple[str, ...], patch: pytest.MonkeyPatch) -> dict[str, tuple[int, Any]]:
    """Status and body of POST /predict for every photo: all of the server but its socket."""
    answers: dict[str, tuple[int, Any]] = {}

    def ask(make: Callable[[int], ASGIApp], host: str, port: int, ready: Callable[[str], None]) -> None:
        client = TestClient(make(port), base_url=f"http://{host}:{port}")
        for path in sorted(photos.iterdir()):
            got = client.post("/predict", files={"photo": (path.name, path.read_bytes())})
            answers[path.name] = got.status_code, got.json()

    patch.setattr(server, "serve_app", ask)
    patch.delenv(server.TOKEN, raising=False)
    command("serve", *options)
    return answers


def predicted(photos: Path, options: tuple[str, ...], out: Path) -> dict[str, Any]:
    """Rows of every photo, by name; what is missing is None."""
    table = out / "answers.parquet"
    command("predict", photos, "--out", table, *options)
    frame = pd.read_parquet(table)
    rows = frame.astype(object).where(frame.notna(), None).to_dict("records")
    return {row["path"]: row for row in rows}


def same(got: dict[str, Any], row: dict[str, Any]) -> None:
    assert got.keys() == PhotoAnswer.model_fields.keys()
    assert got["name"] == row["path"]
    for field in ("status", "reason", "class_id"):
        assert got[field] == row[field], field
    for task, columns in PROBABILITIES.items():
        assert got[task] == row[task]
        given = {name: row[column] for name, column in columns.items() if row[column] is not None}
        assert got["probabilities"].get(task, {}) == pytest.approx(given, abs=DIGIT)
    for field in ("age", "age_low", "age_high"):
        assert got[field] == (None if row[field] is None else pytest.approx(row[field], abs=0.1)), field
    assert got["voters_in_all"] == (row["voters"] or 0)
    voters = read_voters(row)
    assert [(one["id"], one["age"]) for one in got["voters"]] == [(one.face_id, one.age) for one in voters]
    for one, other in zip(got["voters"], voters, strict=True):
        assert one["similarity"] == pytest.approx(other.similarity, abs=DIGIT)
        assert one["weight"] == pytest.approx(other.weight, abs=DIGIT)
    assert (got["face"] is None) == (row["status"] == "no_face")


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(ALONE, id="as it is"),
        pytest.param((*ALONE, "--face", "detect", "--min-confidence", "0.6"), id="searched and doubted"),
    ],
)
def test_the_server_says_what_predict_says(
    photos: Path, options: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = posted(photos, options, monkeypatch)
    rows = predicted(photos, options, tmp_path)
    assert answers.keys() == rows.keys() == {path.name for path in photos.iterdir()}
    for name, (status, got) in answers.items():
        if status == UNREADABLE:
            assert (got["error"], rows[name]["status"]) == (rows[name]["reason"], "unreadable")
        else:
            assert status == 200
            same(got, rows[name])
    statuses = {row["status"] for row in rows.values()}
    assert statuses == {"ok", "no_face", "unreadable"} | ({"unsure"} if "--min-confidence" in options else set())
    assert {got["face"]["faces_in_photo"] for _, got in answers.values() if got.get("face")} >= {1, 2}
