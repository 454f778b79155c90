import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

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
    assert "words       median 1" in printed.out
    assert "problem: 1 rows of split have an id that another row has" in printed.out
    assert printed.err == ""


def test_json_and_page(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "new" / "sheet.html"
    assert run(["data", "inspect", str(folder), *COLUMNS, "--json", "--html", str(page)]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["columns"] == {"id": "name", "image": None, "text": "caption", "label": "class"}
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
