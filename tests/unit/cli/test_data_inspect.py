import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmdist.cli.data_facts import fact_lines
from mmdist.cli.main import run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "split"
    folder.mkdir()
    table = pa.table({"name": ["a", "b", "b"], "caption": ["one two", "three", ""], "class": ["x", "y", "x"]})
    pq.write_table(table, folder / "part-0.parquet")
    return folder


COLUMNS = ["--columns", "id=name,text=caption", "--columns", "label=class"]


def test_prints_facts_and_findings(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["data", "inspect", str(folder), *COLUMNS]) == 0
    printed = capsys.readouterr()
    assert "3 rows" in printed.out
    assert "labels      2: x 2, y 1" in printed.out
    assert "tokens      median 1" in printed.out
    assert "problem: split has 1 row with the id of an earlier one" in printed.out
    assert printed.err == ""


def test_json_and_page(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "new" / "sheet.html"
    assert run(["data", "inspect", str(folder), *COLUMNS, "--json", "--html", str(page)]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["columns"] == {
        "id": "name",
        "image": None,
        "text": "caption",
        "audio": None,
        "tabular": None,
        "label": "class",
    }
    assert f"wrote {page}" in printed.err
    assert page.read_text("utf-8").startswith("<!doctype html>")


@pytest.mark.parametrize("columns", ["picture=x", "image", "image="])
def test_columns_that_cannot_be_read(folder: Path, columns: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["data", "inspect", str(folder), "--columns", columns]) == 2
    assert "--columns cannot be read" in capsys.readouterr().err


def test_a_missing_folder_ends_with_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["data", "inspect", str(tmp_path / "none")]) == 3
    assert "no such folder" in capsys.readouterr().err


def test_a_missing_column_names_the_others(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["data", "inspect", str(folder), "--columns", "text=captoin"]) == 2
    assert "did you mean `caption`?" in capsys.readouterr().err


def test_lines_are_wrapped_below_their_titles() -> None:
    spread = {"least": 1, "median": 2, "p95": 3, "most": 4}
    split = {
        "rows": 5,
        "bytes": 5,
        "shards": 1,
        "row_groups": 1,
        **dict.fromkeys(("bytes_per_shard", "rows_per_group", "bytes_per_group", "tokens"), spread),
        "labels": {f"label-{number}": 1 for number in range(20)},
        "pictures_looked_at": 0,
        "heights": None,
        "recordings": {"looked_at": 0},
        "nulls": {},
        "bad_rows": 0,
    }
    facts = {
        "path": "data",
        "rows": 5,
        "splits": {"train": split},
        "findings": [{"level": "advice", "text": "x " * 60}],
    }
    lines = list(fact_lines(facts, 60))
    assert max(map(len, lines)) <= 60
    first = next(number for number, line in enumerate(lines) if line.startswith("  labels"))
    assert lines[first].index("20: label-0") == 14
    assert lines[first + 1].startswith(" " * 14)
    assert len(list(fact_lines(facts, None))) == 8
