"""One bad value in a table of any kind is its row's fault: the import sets that row aside and keeps the others."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmdist.errors import DataRefusedError
from mmdist.importing.plan import plan_import
from mmdist.importing.shards import GroupSize
from mmdist.importing.sources import open_source
from mmdist.importing.task import PartTask
from mmdist.spec.importing import ImportSpec, ShareSplitsSpec, TableSourceSpec

Rows = list[tuple[bytes, bytes]]
ONE_SPLIT = ShareSplitsSpec(train=1.0, validation=0.0, test=0.0)


def csv(path: Path, rows: Rows) -> Path:
    path = path / "t.csv"
    path.write_bytes(b"text,label\n" + b"".join(b'"%b",%b\n' % row for row in rows))
    return path


def jsonl(path: Path, rows: Rows) -> Path:
    path = path / "t.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + b"".join(b'{"text": "%b", "label": "%b"}\n' % row for row in rows))
    return path


def parquet(path: Path, rows: Rows) -> Path:
    path = path / "t.parquet"
    columns = [pa.array(list(values), pa.binary()).view(pa.string()) for values in zip(*rows, strict=True)]
    pq.write_table(pa.table(dict(zip(("text", "label"), columns, strict=True))), path)
    return path


def import_texts(path: Path) -> tuple[list[str], dict[int, tuple[str, str]]]:
    """The texts that were imported, and the rows that were set aside."""
    source = TableSourceSpec(path=str(path), text="text", label="label")
    spec = ImportSpec(source=source, output=str(path.parent / "out"), splits=ONE_SPLIT)
    opened = open_source(source)
    task = PartTask(spec, seed=0, size=GroupSize(4), facts=opened.facts(), grouped=False)
    for part in plan_import(opened.plan(100), spec, seed=0).parts:
        task.run(part)
    texts = [row for shard in (path.parent / "out").glob("train/*") for row in pq.read_table(shard)["text"].to_pylist()]
    bad = {
        int(row["id"]): (row["column"], row["reason"])
        for file in (path.parent / "out").glob("quarantine/*")
        for row in pq.read_table(file).to_pylist()
    }
    return sorted(texts), bad


@pytest.mark.parametrize("write", [csv, jsonl, parquet])
@pytest.mark.parametrize(
    ("row", "column"),
    [
        ((b"caf\xe9", b"x"), "text"),
        ((b"\xed\xa0\x80", b"x"), "text"),
        ((b"fine", b"\xff"), "label"),
    ],
)
def test_invalid_utf8_costs_one_row(
    tmp_path: Path, write: Callable[[Path, Rows], Path], row: tuple[bytes, bytes], column: str
) -> None:
    texts, bad = import_texts(write(tmp_path, [(b"one", b"x"), row, ("zwei \u00fc".encode(), b"y")]))
    assert texts == ["one", "zwei \u00fc"]
    ((number, (named, reason)),) = bad.items()
    assert (number, named) == (2, column)
    assert re.search("UTF-8", reason)


def test_a_header_that_is_no_utf8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"text,label,caf\xe9\na,b,c\n")
    with pytest.raises(DataRefusedError, match="the table cannot be read"):
        import_texts(tmp_path / "t.csv")


def test_a_label_that_is_no_integer_costs_its_row(tmp_path: Path) -> None:
    rows = [{"text": "a", "label": 1}, {"text": "b", "label": float("nan")}, {"text": "c", "label": 2.5}]
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, rows)))
    texts, bad = import_texts(tmp_path / "t.jsonl")
    assert texts == ["a"]
    assert bad == {2: ("label", "a number that is no integer: nan"), 3: ("label", "a number that is no integer: 2.5")}


def test_a_value_that_python_cannot_hold_is_a_refusal(tmp_path: Path) -> None:
    stamps = pa.array([10**12], pa.timestamp("s"))  # the year 33658
    pq.write_table(pa.table({"text": ["a"], "label": ["x"], "when": stamps}), tmp_path / "t.parquet")
    source = TableSourceSpec(path=str(tmp_path / "t.parquet"), text="text", label="label", columns=("when",))
    with pytest.raises(DataRefusedError, match="the table cannot be read"):
        open_source(source).plan(4)
