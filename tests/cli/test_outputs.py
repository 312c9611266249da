"""No command replaces a file of the user's unasked, and every output is checked before the work begins."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from maskcls.classify.answer import Answer, Face, Voter, answer_table
from maskcls.classify.evaluation.report import write_evaluation
from maskcls.classify.predict.explain import write_explanations
from maskcls.classify.tasks import PREDICTION_COLUMNS
from maskcls.cli.main import app
from maskcls.cli.outputs import Kind, check_outputs, json_lines, json_object, page, table
from maskcls.embedder.errors import MaskclsError
from maskcls.embedder.storage.atomic import write_table

PREDICTIONS = table("predictions", PREDICTION_COLUMNS, exact=True)
EXPLANATIONS = json_lines("explanations", ("path", "face_id", "answer", "voters"))
REPORTS = page("reports", "maskcls evaluate")
RECEIPTS = json_object("receipts", "maskcls-receipt")


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


COMMANDS = [
    pytest.param(["predict", "photos", "--out"], ".csv", id="predict --out"),
    pytest.param(["predict", "photos", "--out"], ".parquet", id="predict --out parquet"),
    pytest.param(["predict", "photos", "--report"], ".html", id="predict --report"),
    pytest.param(["predict", "photos", "--submission"], ".csv", id="predict --submission"),
    pytest.param(["predict", "photos", "--explain"], ".jsonl", id="predict --explain"),
    pytest.param(["evaluate", "faces", "--json"], ".json", id="evaluate --json"),
    pytest.param(["evaluate", "faces", "--report"], ".html", id="evaluate --report"),
    pytest.param(["evaluate", "faces", "--predictions"], ".parquet", id="evaluate --predictions"),
    pytest.param(["split", "faces", "--out"], ".csv", id="split --out"),
    pytest.param(["ensemble", "a.csv", "b.csv", "--out"], ".csv", id="ensemble --out"),
    pytest.param(["ensemble", "a.csv", "b.csv", "--out", "new.csv", "--weights"], ".json", id="ensemble --weights"),
    pytest.param(["runs", "folder", "--json"], ".json", id="runs --json"),
    pytest.param(["index", "forget", "--in", "faces", "--person", "p", "--receipt"], ".json", id="forget --receipt"),
]
"""Their inputs do not exist: a line about the output shows that it was checked first."""


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(("command", "suffix"), COMMANDS)
def test_a_file_of_the_users_is_not_replaced_unasked(command: list[str], suffix: str, tmp_path: Path) -> None:
    mine = tmp_path / f"mine{suffix}"
    mine.write_text("path,mask\na.jpg,wear\n")
    result = run(*command, mine)
    assert result.exit_code == 1
    assert str(mine) in result.stderr
    assert "--overwrite" in result.stderr
    assert mine.read_text() == "path,mask\na.jpg,wear\n"
    allowed = run(*command, mine, "--overwrite")
    assert str(mine) not in allowed.stderr


@pytest.mark.parametrize(("command", "suffix"), COMMANDS)
def test_unknown_suffixes_and_folders_are_refused(command: list[str], suffix: str, tmp_path: Path) -> None:
    result = run(*command, tmp_path / "p.xlsx", "--overwrite")
    assert result.exit_code == 1
    assert f"{tmp_path / 'p.xlsx'}: " in result.stderr
    assert suffix in result.stderr
    folder = tmp_path / f"folder{suffix}"
    folder.mkdir()
    result = run(*command, folder, "--overwrite")
    assert result.exit_code == 1
    assert f"{folder}: is a folder" in result.stderr


def test_the_files_of_an_audit_are_checked(tmp_path: Path) -> None:
    (tmp_path / "patch.csv").write_text("mine\n")
    result = run("audit", "faces", "--out", tmp_path)
    assert str(tmp_path / "patch.csv") in result.stderr
    assert "--overwrite" in result.stderr


def test_other_predictions_are_checked(tmp_path: Path) -> None:
    (tmp_path / "mine.parquet").write_text("mine")
    assert "mine.parquet" in run("evaluate", "faces", "--other-predictions", tmp_path).stderr


def test_a_member_is_not_replaced_by_the_mix(tmp_path: Path) -> None:
    members = tmp_path / "a.csv", tmp_path / "b.csv"
    assert "named twice" in run("ensemble", *members, "--out", members[0], "--overwrite").stderr


def predictions(path: Path) -> None:
    write_table(path, answer_table([Answer("a.jpg", "no_face")], PREDICTION_COLUMNS))


def explanations(path: Path) -> None:
    voter = Voter("1" * 16, 20.0, 20.0, 0.5, 1.0)
    write_explanations(path, [Answer(face=Face("0" * 16, (0.0,) * 4, 1.0, "whole", 1), voters=(voter,), voter_count=1)])


@pytest.mark.parametrize(
    ("kind", "name", "write"),
    [
        pytest.param(PREDICTIONS, "p.csv", predictions, id="CSV"),
        pytest.param(PREDICTIONS, "p.parquet", predictions, id="Parquet"),
        pytest.param(EXPLANATIONS, "p.jsonl", explanations, id="JSON lines"),
        pytest.param(REPORTS, "p.html", lambda path: write_evaluation(path, {}), id="page"),
        pytest.param(RECEIPTS, "p.json", lambda path: path.write_text('{"kind": "maskcls-receipt"}'), id="JSON"),
        pytest.param(PREDICTIONS, "p.csv", lambda path: path.touch(), id="an empty file"),
    ],
)
def test_an_earlier_output_is_replaced(kind: Kind, name: str, write: object, tmp_path: Path) -> None:
    write(tmp_path / name)  # type: ignore[operator]
    check_outputs(False, (tmp_path / name, kind), (None, kind))


@pytest.mark.parametrize(
    ("kind", "name", "content"),
    [
        pytest.param(PREDICTIONS, "p.csv", ",".join([*PREDICTION_COLUMNS, "checked"]), id="with a column more"),
        pytest.param(PREDICTIONS, "p.csv", b"\xff\xfe\x00", id="no text"),
        pytest.param(PREDICTIONS, "p.parquet", b"PAR1 damaged", id="damaged Parquet"),
        pytest.param(EXPLANATIONS, "p.jsonl", "[1]\n", id="other lines"),
        pytest.param(EXPLANATIONS, "p.jsonl", "no JSON", id="no JSON"),
        pytest.param(REPORTS, "p.html", "<!doctype html><p>letter", id="another page"),
        pytest.param(RECEIPTS, "p.json", json.dumps({"kind": "maskcls-evaluation"}), id="another kind"),
        pytest.param(RECEIPTS, "p.json", "[" * 100_000, id="deep JSON"),
    ],
)
def test_another_file_is_told_by_its_content(kind: Kind, name: str, content: str | bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(MaskclsError, match="--overwrite"):
        check_outputs(False, (tmp_path / name, kind))
    check_outputs(True, (tmp_path / name, kind))


def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(MaskclsError, match="not a writable folder"):
        check_outputs(True, (tmp_path / "file" / "p.csv", PREDICTIONS))
    with pytest.raises(MaskclsError, match="named twice"):
        check_outputs(True, (tmp_path / "p.csv", PREDICTIONS), (tmp_path / "." / "p.csv", PREDICTIONS))
    check_outputs(False, (tmp_path / "new" / "deep" / "p.CSV", PREDICTIONS))
    check_outputs(False, (Path(os.fsdecode(b"caf\xe9.csv")), PREDICTIONS))


def test_a_suffix_in_capitals_is_the_same_format(tmp_path: Path) -> None:
    predictions(tmp_path / "p.PARQUET")
    assert list(pd.read_parquet(tmp_path / "p.PARQUET")) == list(PREDICTION_COLUMNS)
