"""The table source: three kinds of files, pictures by path or held, and errors that name row and column."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from importing_helpers import picture, read_all, recording

from mmdist.errors import DataRefusedError, JobFileError
from mmdist.importing.sources import Ranges, open_source
from mmdist.spec.importing import TableSourceSpec

Write = Callable[[str, str | bytes], Path]
ROWS = [{"name": f"r{n}", "file": f"pics/{n}.png", "words": f"line {n},\nand é", "class": n % 2} for n in range(10)]


def table(write: Write, tmp_path: Path, kind: str, rows: list[dict[str, Any]]) -> Path:
    path = tmp_path / f"table{kind}"
    if kind == ".jsonl":
        return write(path.name, "\n".join(json.dumps(row) for row in rows) + "\n\n")
    columns = pa.Table.from_pylist(rows)
    if kind == ".parquet":
        pq.write_table(columns, path, row_group_size=3)
        return path
    lines = [",".join(columns.column_names)]
    lines += [",".join("" if value is None else json_free(value) for value in row.values()) for row in rows]
    return write(path.name, "\n".join(lines) + "\n")


def json_free(value: Any) -> str:
    return '"' + str(value).replace('"', '""') + '"'


@pytest.mark.parametrize("kind", [".csv", ".jsonl", ".parquet"])
def test_pictures_by_path(write: Write, tmp_path: Path, kind: str) -> None:
    for number in range(10):
        write(f"pics/{number}.png", picture(number))
    path = table(write, tmp_path, kind, ROWS)
    spec = TableSourceSpec(path=str(path), id="name", image="file", text="words", label="class", columns=("class",))
    rows = read_all(open_source(spec))
    assert [row.key.id for row in rows] == [f"r{n}" for n in range(10)]
    assert rows[3].image == picture(3)
    assert rows[3].text == "line 3,\nand é"
    assert rows[3].label == "1"
    assert rows[3].key.values == {"id": "r3", "label": "1", "class": "1"}


@pytest.mark.parametrize("kind", [".csv", ".jsonl", ".parquet"])
def test_pictures_in_the_table_are_read_in_ranges(write: Write, tmp_path: Path, kind: str) -> None:
    held = [picture(n) if kind == ".parquet" else base64.b64encode(picture(n)).decode() for n in range(10)]
    rows = [{"id": f"r{min(n, 8)}", "data": held[n], "class": "a"} for n in range(10)]
    spec = TableSourceSpec(
        path=str(table(write, tmp_path, kind, rows)), id="id", image_bytes="data", label="class", columns=()
    )
    plan = open_source(spec).plan(4)
    assert isinstance(plan, Ranges)
    assert [part.rows for part in plan.ranges] == [4, 4, 2]
    found = [row for part in plan.ranges for row in open_source(spec).read(part)]
    assert [row.image for row in found[:9]] == [picture(n) for n in range(9)]
    assert found[9].problem is not None
    assert found[9].problem.reason == "a row before has the same id"


@pytest.mark.parametrize("kind", [".csv", ".jsonl", ".parquet"])
def test_recordings_by_path_or_in_the_table_beside_pictures(write: Write, tmp_path: Path, kind: str) -> None:
    held = [recording(n) if kind == ".parquet" else base64.b64encode(recording(n)).decode() for n in range(6)]
    rows = [{"id": f"r{n}", "pic": f"{n}.png", "file": f"{n}.wav", "data": held[n]} for n in range(6)]
    for number in range(6):
        write(f"{number}.png", picture(number))
        write(f"{number}.wav", recording(number))
    path = table(write, tmp_path, kind, rows)
    for names in ({"audio": "file"}, {"audio_bytes": "data"}):
        source = open_source(TableSourceSpec(path=str(path), id="id", image="pic", **names))
        assert source.facts().parts == ("image", "audio")
        assert isinstance(source.plan(4), Ranges) == ("audio_bytes" in names)
        found = read_all(source)
        assert [row.audio for row in found] == [recording(n) for n in range(6)]
        assert [row.image for row in found] == [picture(n) for n in range(6)]
    before = source.fingerprint()
    write("3.png", picture(9))
    assert before != open_source(source.spec).fingerprint()


def test_a_recording_that_cannot_be_had_is_a_problem_of_its_row(write: Write) -> None:
    path = write("t.csv", "file,data\nmissing.wav,%%%\n")
    for names, reason in (
        ({"audio": "file"}, "there is no file missing.wav"),
        ({"audio_bytes": "data"}, "the recording is not Base64"),
    ):
        (row,) = read_all(open_source(TableSourceSpec(path=str(path), **names)))
        assert row.problem.column == "audio"
        assert reason in row.problem.reason
    with pytest.raises(JobFileError, match="`audio` and `audio_bytes` are both given"):
        open_source(TableSourceSpec(path=str(path), audio="file", audio_bytes="data")).plan(4)
    for leading_out in ("../a.wav", "http://127.0.0.1:1/a.wav"):
        path = write("u.csv", f"file\n{leading_out}\n")
        with pytest.raises(DataRefusedError, match=r"a path leaves|nothing is fetched"):
            open_source(TableSourceSpec(path=str(path), audio="file")).plan(4)


def test_bad_values_are_problems_of_their_rows(write: Write) -> None:
    good = base64.b64encode(picture(1)).decode()
    path = write("t.csv", f"id,data\na,{good}\n,{good}\nc,%%%\nd,\n")
    rows = read_all(open_source(TableSourceSpec(path=str(path), id="id", image_bytes="data")))
    assert [row.problem.reason if row.problem else None for row in rows][:2] == [None, "the row has no id"]
    assert "not Base64" in rows[2].problem.reason
    assert rows[3].image is None
    path = write("p.csv", "file,label\nmissing.png,x\n")
    rows = read_all(open_source(TableSourceSpec(path=str(path), image="file", label="label")))
    assert rows[0].problem.reason == "there is no file missing.png"
    assert rows[0].key.id == "1"


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("../secret.png", "leaves the folder"),
        ("pics/../../secret.png", "leaves the folder"),
        ("/etc/passwd", "leaves the folder"),
        ("..\\secret.png", "leaves the folder"),
        ("C:/secret.png", "leaves the folder"),
        ("https://example.org/a.png", "named by a URL, and nothing is fetched"),
        ("file:///etc/passwd", "named by a URL"),
        ("out/secret.png", "a link leads out"),
    ],
)
def test_a_path_that_leads_out_is_refused_with_row_and_column(write: Write, tmp_path: Path, written, message) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "secret.png").write_bytes(picture(1))
    write("t/ok.png", picture(1))
    path = write("t/table.csv", f"file,label\nok.png,a\n{written},b\n")
    (tmp_path / "t" / "out").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DataRefusedError, match=message) as caught:
        open_source(TableSourceSpec(path=str(path), image="file", label="label")).plan(4)
    assert "table.csv, key file, row 2" in str(caught.value)


def test_unknown_columns_are_named_with_the_nearest(write: Write) -> None:
    path = write("t.csv", "file,lable\na.png,x\n")
    with pytest.raises(JobFileError, match="no column `label`; did you mean `lable`"):
        open_source(TableSourceSpec(path=str(path), image="file", label="label")).plan(4)
    path = write("t.jsonl", '{"file": "a.png", "lable": "x"}\n')
    with pytest.raises(JobFileError, match="the column `label` is missing or empty in every row"):
        open_source(TableSourceSpec(path=str(path), image="file", label="label")).plan(4)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", "file,label\na.png,x\nb.png\n", r"Row #3: Expected 2 columns, got 1"),
        ("t.jsonl", '{"file": "a.png", "label": "x"}\n{"file": \n', r"t.jsonl, row 2: a line is not JSON"),
        ("t.jsonl", "[1, 2]\n", r"row 1: a line is no JSON object"),
        ("t.jsonl", '{"file": "a", "label": ["x"]}\n', r"key label, row 1: column `label` holds nested values"),
        ("t.csv", "file,label\n", "the table has no rows"),
        ("t.csv", "file,label,label\na,b,c\n", "two columns named `label`"),
        ("t.parquet", "no parquet at all", "no Parquet file"),
    ],
)
def test_broken_tables_are_refused(write: Write, name: str, content: str, message: str) -> None:
    path = write(name, content)
    with pytest.raises(DataRefusedError, match=message):
        open_source(TableSourceSpec(path=str(path), image="file", label="label")).plan(4)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"path": "t.xlsx", "image": "file"}, "a table of this kind is not read"),
        ({"path": "missing.csv", "image": "file"}, "does not exist"),
        ({"path": "t.csv"}, "neither pictures nor texts"),
        ({"path": "t.csv", "image": "file", "image_bytes": "data"}, "both given"),
        ({"path": "t.csv", "image": "file", "columns": ("text",)}, "cannot be named `text`"),
    ],
)
def test_specs_that_fit_no_table_are_refused(write: Write, tmp_path: Path, keys, message) -> None:
    write("t.csv", "file,text\na,b\n")
    write("t.xlsx", "x")
    with pytest.raises(JobFileError, match=message):
        open_source(TableSourceSpec(**{**keys, "path": str(tmp_path / keys["path"])})).plan(4)


def test_nested_parquet_columns_are_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": [["a"]], "label": ["x"]}), tmp_path / "t.parquet")
    with pytest.raises(DataRefusedError, match="column `text` holds nested values"):
        open_source(TableSourceSpec(path=str(tmp_path / "t.parquet"), text="text", label="label")).plan(4)


def test_fingerprint_follows_the_table_and_its_pictures(write: Write) -> None:
    picture_path = write("a.png", picture(1))
    path = write("t.csv", "file,label\na.png,x\n")
    spec = TableSourceSpec(path=str(path), image="file", label="label")
    prints = [open_source(spec).fingerprint(), open_source(spec).fingerprint()]
    picture_path.write_bytes(picture(2, size=(20, 20)))
    prints.append(open_source(spec).fingerprint())
    write("t.csv", "file,label\na.png,other\n")
    prints.append(open_source(spec).fingerprint())
    assert prints[0] == prints[1]
    assert len(set(prints)) == 3
