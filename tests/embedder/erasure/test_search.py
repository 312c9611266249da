from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskcls.embedder.erasure.search import CHUNK, FACE, PATH, PHOTO, VECTOR, Search
from maskcls.embedder.erasure.traces import Traces

ROWS = np.random.default_rng(0).standard_normal((3, 512)).astype(np.float32)
TRACES = Traces(
    frozenset({"0123456789abcdef"}),
    frozenset({"f" * 64}),
    frozenset({("/data/set", "anna b/1 é.jpg"), ("/data/set", 'say "cheese" & go.jpg')}),
    {"embeddings/x": ROWS},
)
SEARCH = Search(TRACES)


@pytest.mark.parametrize(
    ("data", "found"),
    [
        pytest.param(b"", set(), id="nothing"),
        pytest.param(b"x", set(), id="one byte"),
        pytest.param(b"a 0123456789abcdef:20", {FACE}, id="a face id"),
        pytest.param(b"0123456789abcdee" * 99, set(), id="nearly a face id"),
        pytest.param(b"f" * 64, {PHOTO}, id="a photo's hash"),
        pytest.param(b"f" * 63, set(), id="nearly a hash"),
        pytest.param(b"\x01" + ROWS[1].tobytes(), {VECTOR}, id="a float32 row at an odd place"),
        pytest.param(ROWS[2].astype(np.float16).tobytes(), {VECTOR}, id="a float16 row"),
        pytest.param((-ROWS).tobytes(), set(), id="other vectors"),
        pytest.param("p,anna b/1 é.jpg,x".encode(), {PATH}, id="a path"),
        pytest.param(b'"anna b/1 \\u00e9.jpg"', {PATH}, id="a path in JSON"),
        pytest.param(b"say &quot;cheese&quot; &amp; go.jpg", {PATH}, id="a path in HTML"),
        pytest.param(b"say &#34;cheese&#34; &amp; go.jpg", {PATH}, id="a path in a report"),
        pytest.param("anna b/1 e\u0301.jpg".encode(), {PATH}, id="a path in the other normal form"),
        pytest.param(b'"say ""cheese"" & go.jpg"', {PATH}, id="a path in CSV"),
        pytest.param("/data/set/anna b/1 é.jpg".encode(), {PATH}, id="a whole path"),
        pytest.param("set/anna b/1 é.jpg".encode(), {PATH}, id="the end of a path"),
        pytest.param("joanna b/1 é.jpg".encode(), set(), id="the end of another path"),
        pytest.param("anna b/1 é.jpg2".encode(), set(), id="the beginning of another path"),
        pytest.param("other/anna b/1 é.jpg".encode(), set(), id="a path below another folder"),
    ],
)
def test_kinds_of_traces(data: bytes, found: set[str], tmp_path: Path) -> None:
    assert SEARCH.in_bytes(data) == found
    (tmp_path / "file").write_bytes(data)
    assert SEARCH.in_file(tmp_path / "file") == found


@settings(deadline=None, max_examples=50)
@given(st.binary(max_size=200), st.binary(max_size=200), st.sampled_from([b"0123456789abcdef", ROWS[0].tobytes()]))
def test_a_trace_is_found_wherever_it_lies(before: bytes, after: bytes, trace: bytes) -> None:
    assert SEARCH.in_bytes(before + trace + after)


@pytest.mark.parametrize("shift", [-20, -3, -1, 0, 1])
def test_a_trace_across_two_chunks_is_found(shift: int) -> None:
    data = bytearray(CHUNK + 200)
    data[CHUNK + shift : CHUNK + shift + 16] = b"0123456789abcdef"
    assert SEARCH.in_bytes(bytes(data)) == {FACE}


def test_the_columns_of_a_compressed_table_are_read(tmp_path: Path) -> None:
    table = pd.DataFrame({"id": ["x"] * 500 + ["0123456789abcdef"] + ["y"] * 500, "v": [ROWS[0]] * 1001})
    path = tmp_path / "t.parquet"
    table.to_parquet(path, compression="zstd", write_statistics=False)
    assert SEARCH.in_file(path) == {FACE, VECTOR}
    (tmp_path / "no.parquet").write_bytes(b"PAR1")
    assert SEARCH.in_file(tmp_path / "no.parquet") == set()


def test_the_name_of_a_file_counts(tmp_path: Path) -> None:
    (tmp_path / "0123456789abcdef.jpg").write_bytes(b"")
    assert SEARCH.in_file(tmp_path / "0123456789abcdef.jpg") == {FACE}


def test_rows_of_a_constant_are_not_looked_for() -> None:
    assert Search(Traces(vectors={"maps/x": np.ones((2, 64), np.float16)})).patterns[VECTOR] == 0


def test_json_lines_with_escapes(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"path": "anna b/1 é.jpg"}))
    assert SEARCH.in_file(path) == {PATH}
