"""Every file of an embedding set and of a model is damaged: it is reported in one line, or changes nothing."""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from maskcls.classify.age.vote import NOBODY, VoteSettings
from maskcls.classify.heads.network import Head, TrainedHead
from maskcls.classify.model import storage as stored_model
from maskcls.classify.model.model import Model
from maskcls.classify.model.storage import GALLERY_COLUMNS
from maskcls.embedder.errors import MaskclsError
from maskcls.embedder.facenet.encoder import MAP_SHAPE
from maskcls.embedder.faceset import store
from maskcls.embedder.faceset.corrections import apply_patch
from maskcls.embedder.faceset.store import PATCH_COLUMNS, EmbeddingSet, SetTables, SetWriter, open_set
from maskcls.embedder.storage.lock import locked
from maskcls.embedder.storage.manifest import checksums, write_manifest

CASES = int(os.environ.get("MASKCLS_SOAK_CASES", "100"))
"""Random damages of each kind of folder; ``make soak`` asks for more."""
FACES = 12
KINDS = ("set", "model", "tuned")
MANIFESTS = {"set": "encoder.json", "model": "model.json", "tuned": "model.json"}
STRANGE: tuple[Any, ...] = (
    *(None, True, 0, -1, 1e308, -1e308, float("nan"), float("inf"), 10**30, -(10**30), "", "x" * 10_000, "a\nb"),
    *("../../etc/passwd", "/etc/passwd", "\0", [], {}, [[]], {"": None}, [1] * 5_000),
)


@dataclass(frozen=True)
class Pristine:
    """Folders of every kind, and others like them, beside what they say."""

    folder: Path

    def copy(self, kind: str, target: Path) -> Path:
        shutil.rmtree(target, ignore_errors=True)
        return Path(shutil.copytree(self.folder / kind, target))

    def other(self, kind: str) -> Path:
        return self.folder / f"other-{kind}"


def write_set(folder: Path, one: EmbeddingSet) -> None:
    writer = SetWriter(folder, len(one))
    writer.embeddings[:] = one.embeddings
    writer.maps[:] = one.maps
    rejects = pd.DataFrame({"path": ["no.jpg"], "reason": ["no face found"], "file_size": [0], "file_mtime_ns": [1]})
    writer.commit(SetTables(one.table, rejects, one.encoder, one.settings))
    apply_patch([folder], patch(folder))


def patch(folder: Path) -> pd.DataFrame:
    """Turns the gender of the first face around."""
    first = open_set(folder).table.iloc[0]
    other = {"male": "female", "female": "male"}[first["gender"]]
    line = {"face_id": first["face_id"], "path": "", "field": "gender", "old": first["gender"], "new": other}
    return pd.DataFrame([line]).reindex(columns=list(PATCH_COLUMNS), fill_value="")


def heads(seed: int) -> dict[str, TrainedHead]:
    torch.manual_seed(seed)
    return {"gender": TrainedHead(Head(2).eval(), ("male", "female"), 1.0)}


@pytest.fixture(scope="module")
def pristine(
    make_set: Callable[..., EmbeddingSet],
    made_up: Callable[[int, int, VoteSettings], Model],
    tmp_path_factory: pytest.TempPathFactory,
) -> Pristine:
    folder = tmp_path_factory.mktemp("pristine")
    for seed, prefix in enumerate(("", "other-")):
        genders = ["male", "female"] * (FACES // 2)
        one = make_set(FACES, seed=seed, person=[f"p{i // 2}" for i in range(FACES)], gender=genders, age=40.0)
        write_set(folder / f"{prefix}set", one)
        model = made_up(FACES, seed, VoteSettings(voters=3))
        mine = {name: model.table[name] for name in ("face_id", "age_low", "age_high", "group")}
        table = one.table.assign(root="/nowhere", dataset=one.dataset, **mine)[[*GALLERY_COLUMNS, "group"]]
        model = replace(model, table=table, heads=heads(seed), card={"edits": []})
        model.save(folder / f"{prefix}model")
        tuned = {"last_linear.bias": torch.full((512,), float(seed)).half()}
        replace(model, tuned=tuned).save(folder / f"{prefix}tuned")
    return Pristine(folder)


def says(kind: str, folder: Path) -> list[Any]:
    """All that a folder says: the tables and numbers of a set, what a model answers."""
    if kind == "set":
        one = open_set(folder)
        tables = [frame.to_json() for frame in (one.table, one.rejects, one.corrections)]
        return [*tables, one.embeddings.tobytes(), one.maps.tobytes(), one.encoder, one.settings]
    model = Model.load(folder)
    random_ = np.random.default_rng(0)
    embeddings = random_.standard_normal((3, 512)).astype(np.float32)
    maps = random_.random((3, *MAP_SHAPE)).astype(np.float16)
    ages = model.ages(embeddings, maps, np.full(3, NOBODY))
    answers: list[Any] = [ages.votes.bands, ages.votes.age, ages.votes.predicted, ages.voters]
    answers += [head.probabilities(maps, embeddings) for head in model.heads.values()]
    tuned = [value.numpy().tobytes() for value in (model.tuned or {}).values()]
    rest = [model.table.to_json(), model.encoder, model.face, model.least_norm, model.settings, model.card]
    return [*(answer.tobytes() for answer in answers), *tuned, *rest]


def refused(kind: str, folder: Path) -> str | None:
    """The one line with which a folder is refused, None where it is not."""
    try:
        says(kind, folder)
    except MaskclsError as error:
        line = str(error)
    else:
        return None
    assert line.isprintable(), repr(line)
    assert len(line) < 600
    return line


def damage(rng: random.Random, path: Path, other: Path) -> str:
    """Damage one file somehow; what was done."""
    data = path.read_bytes()
    what = rng.choice(("cut", "bit", "bit", "bit", "zeros", "swapped", "grown", "gone", "folder", "link"))
    at = rng.randrange(len(data))
    if what in ("gone", "folder", "link"):
        path.unlink()
        if what == "folder":
            path.mkdir()
        elif what == "link":
            path.symlink_to(rng.choice((other, Path("/dev/null"), path.parent, path.with_name("nothing"), path)))
        return what
    bit = bytes([data[at] ^ (1 << rng.randrange(8))])
    contents = {
        "cut": data[:at],
        "bit": data[:at] + bit + data[at + 1 :],
        "zeros": data[:at] + bytes(min(512, len(data) - at)) + data[at + 512 :],
        "swapped": other.read_bytes(),
        "grown": data + data[: at + 1],
    }
    path.write_bytes(contents[what])
    return what


@pytest.mark.parametrize("kind", KINDS)
def test_damage_is_noticed_or_changes_nothing(kind: str, pristine: Pristine, tmp_path: Path) -> None:
    rng = random.Random(0)
    whole = says(kind, pristine.folder / kind)
    names = sorted(path.name for path in (pristine.folder / kind).iterdir() if path.name != ".lock")
    assert len(names) >= 5
    for number in range(CASES):
        folder = pristine.copy(kind, tmp_path / "copy")
        name = names[number % len(names)]
        what = damage(rng, folder / name, pristine.other(kind) / name)
        if not refused(kind, folder):
            assert says(kind, folder) == whole, f"{number}: {name} {what}"


def reseal(folder: Path, manifest: str, changed: dict[str, Any] | None = None) -> None:
    """Make all checksums right again."""
    content = changed or json.loads((folder / manifest).read_text())
    if isinstance(content.get("files"), dict):
        content["files"] = content["files"] | checksums(folder, [n for n in content["files"] if (folder / n).is_file()])
    write_manifest(folder / manifest, content)


@pytest.mark.parametrize("kind", KINDS)
def test_damage_behind_right_checksums_is_one_line_at_worst(kind: str, pristine: Pristine, tmp_path: Path) -> None:
    rng = random.Random(1)
    manifest = MANIFESTS[kind]
    names = [name for name in json.loads((pristine.folder / kind / manifest).read_text())["files"]]
    lines = set()
    for number in range(CASES // 2):
        folder = pristine.copy(kind, tmp_path / "copy")
        name = names[number % len(names)]
        damage(rng, folder / name, pristine.other(kind) / name)
        reseal(folder, manifest)
        lines.add(refused(kind, folder))
    assert len(lines) > 5


def leaves(content: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where something is in JSON: keys and positions from the outside in."""
    if at:
        yield at
    items = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in items:
        yield from leaves(value, (*at, key))


@pytest.mark.parametrize("kind", KINDS)
def test_strange_values_in_a_manifest_are_one_line_at_worst(kind: str, pristine: Pristine, tmp_path: Path) -> None:
    folder, manifest = pristine.copy(kind, tmp_path / "copy"), MANIFESTS[kind]
    original = (folder / manifest).read_text()
    cases = [(where, value) for where in leaves(json.loads(original)) for value in (*STRANGE, KeyError)]
    lines = set()
    for where, value in random.Random(2).sample(cases, min(CASES, len(cases))):
        content = json.loads(original)
        inner = content
        for key in where[:-1]:
            inner = inner[key]
        if value is KeyError:
            del inner[where[-1]]
        else:
            inner[where[-1]] = value
        write_manifest(folder / manifest, content)
        lines.add(refused(kind, folder))
    assert len(lines) > 10


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param('{"a":' * 100_000, "not a", id="nested without end"),
        pytest.param("[" * 100_000 + "]" * 100_000, "not a", id="nested deeply"),
        pytest.param("9" * 10_000, "not a", id="a long number"),
        pytest.param('{"kind": "%s", "format": "1\\n2"}', r"format 1\n2, this maskcls reads %v", id="two lines"),
        pytest.param('{"kind": "%s", "format": 1}', "format 1, this maskcls reads %v; make it", id="older"),
        pytest.param('{"kind": "%s", "format": 99}', "format 99, this maskcls reads %v; make it", id="newer"),
        pytest.param('{"kind": "%s", "format": %v, "files": {}}', "not a", id="no files"),
        pytest.param("\0" * 500, "not a", id="zeros"),
    ],
)
@pytest.mark.parametrize("kind", ["set", "model"])
def test_manifests_of_no_use(kind: str, pristine: Pristine, tmp_path: Path, content: str, reason: str) -> None:
    folder = pristine.copy(kind, tmp_path / "copy")
    name, version = {"set": ("maskcls-embedding-set", store.FORMAT), "model": (stored_model.KIND, stored_model.FORMAT)}[
        kind
    ]
    (folder / MANIFESTS[kind]).write_text(content.replace("%s", name).replace("%v", str(version)))
    assert reason.replace("%v", str(version)) in (refused(kind, folder) or "")


@pytest.mark.parametrize("name", ["../set/maps.npy", "/etc/passwd", "a/../maps.npy", "..", "", "maps.npy\0", "a\\b"])
@pytest.mark.parametrize("kind", ["set", "model"])
def test_no_file_of_a_manifest_lies_elsewhere(kind: str, pristine: Pristine, tmp_path: Path, name: str) -> None:
    folder = pristine.copy(kind, tmp_path / "copy")
    content = json.loads((folder / MANIFESTS[kind]).read_text())
    write_manifest(folder / MANIFESTS[kind], content | {"files": content["files"] | {name: "0" * 64}})
    assert f"{MANIFESTS[kind]}: not a maskcls-" in (refused(kind, folder) or "")


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("path", "../outside.jpg"),
        ("path", "/etc/passwd"),
        ("path", "a/../../b.jpg"),
        ("path", ".."),
        ("path", "nul\0.jpg"),
        ("path", None),
        ("root", ""),
        ("root", "nul\0"),
        ("face_id", "ffffffffffffffff"),
        ("face_id", "../../../../etc/"),
        ("face_id", None),
        ("file_sha256", "0"),
        ("gender", "<script>"),
        ("mask", "weAr"),
        ("age_low", -1.0),
        ("age_low", 41.0),
        ("age_high", float("inf")),
        ("box", [0.0, 1.0]),
    ],
)
@pytest.mark.parametrize("kind", ["set", "model"])
def test_cells_that_are_none(kind: str, pristine: Pristine, tmp_path: Path, column: str, value: object) -> None:
    folder = pristine.copy(kind, tmp_path / "copy")
    name = {"set": "faces.parquet", "model": "gallery.parquet"}[kind]
    table = pd.read_parquet(folder / name)
    if column not in table or (kind == "model" and column == "path" and value is None):
        pytest.skip("not in this table, or allowed")
    if column == "age_low":
        table["age_high"] = 40.0
    cells = table[column].astype("object").to_list()
    cells[3] = value
    table.assign(**{column: cells}).to_parquet(folder / name, index=False)
    reseal(folder, MANIFESTS[kind])
    assert "again" in (refused(kind, folder) or "")


class _Payload:
    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return os.mkdir, (os.environ["MASKCLS_PAYLOAD"],)


def test_a_pickled_array_is_refused_and_not_run(
    pristine: Pristine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MASKCLS_PAYLOAD", str(tmp_path / "ran"))
    folder = pristine.copy("set", tmp_path / "copy")
    np.save(folder / "embeddings.npy", np.array([_Payload()] * FACES, object), allow_pickle=True)
    reseal(folder, "encoder.json")
    assert "make it again" in (refused("set", folder) or "")
    assert not (tmp_path / "ran").exists()


@contextmanager
def full_disk(size: int) -> Iterator[None]:
    """No file may grow beyond ``size`` bytes, as if the disk were full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def rewrite(kind: str, folder: Path) -> None:
    """Write a folder anew, as embed, relabel and the edits of a gallery do."""
    if kind == "set":
        write_set(folder, open_set(folder))
    else:
        Model.load(folder).save(folder)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [0, 500, 5_000, 20_000, 100_000, 300_000])
def test_a_full_disk_leaves_the_old_state(kind: str, pristine: Pristine, tmp_path: Path, size: int) -> None:
    folder = pristine.copy(kind, tmp_path / "copy")
    before = says(kind, folder)
    with full_disk(size), pytest.raises(OSError, match=r".") as caught:
        rewrite(kind, folder)
    assert str(caught.value).isprintable()
    assert says(kind, folder) == before
    rewrite(kind, folder)
    assert refused(kind, folder) is None


@pytest.mark.parametrize("kind", KINDS)
def test_a_folder_that_may_not_be_written(
    kind: str, pristine: Pristine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = pristine.copy(kind, tmp_path / "parent" / "copy")
    before = says(kind, folder)

    def denied(path: Path, *_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    with monkeypatch.context() as context:
        for name in ("mkdir", "rename", "unlink", "write_bytes", "write_text"):
            context.setattr(Path, name, denied)
        assert says(kind, folder) == before  # reading writes nothing
        with pytest.raises((OSError, MaskclsError), match="Permission denied"):
            rewrite(kind, folder)
    assert says(kind, folder) == before


@pytest.mark.parametrize("kind", ["model", "tuned"])
def test_two_models_are_not_saved_to_one_place_at_once(kind: str, pristine: Pristine, tmp_path: Path) -> None:
    folder = pristine.copy(kind, tmp_path / "copy")
    model = Model.load(folder)
    with locked(folder), pytest.raises(MaskclsError, match="another maskcls run is writing here"):
        replace(model, face="whole").save(folder)
    assert Model.load(folder).face == model.face
    replace(model, face="whole").save(folder)
    assert Model.load(folder).face == "whole"
    assert not (folder / ".lock").exists()


@pytest.mark.parametrize("mask", [0o022, 0o027])
def test_the_umask_decides_who_may_read_every_file_of_a_model(pristine: Pristine, tmp_path: Path, mask: int) -> None:
    model = Model.load(pristine.copy("tuned", tmp_path / "copy"))
    former = os.umask(mask)
    try:
        model.save(tmp_path / "new")
    finally:
        os.umask(former)
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "new").iterdir()}
    assert {"backbone.safetensors", "heads.safetensors", "age_space.safetensors"} < modes.keys()
    assert set(modes.values()) == {0o666 & ~mask}
