"""`mmdist data inspect` of a dataset on S3 says what it says of the same dataset on a local disk."""

import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from faulty_proxy import FaultyProxy
from PIL import Image
from s3_server import BUCKET

from mmdist.cli.main import run
from mmdist.storage import open_store

URL = f"s3://{BUCKET}/inspected"
SPLITS = {"train": range(60), "test": range(50, 70)}


def picture(number: int) -> bytes:
    pixels = np.random.default_rng(number).integers(0, 256, (16, 16, 3)).astype(np.uint8)
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "PNG")
    return data.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inspected")
    for split, numbers in SPLITS.items():
        (folder / split).mkdir()
        columns = {
            "id": [f"{split}-{number}" for number in numbers],
            "image": [b"" if number == 7 else picture(number) for number in numbers],
            "text": [f"word{number} more" for number in numbers],
            "label": ["ab"[number % 2] for number in numbers],
        }
        path = folder / split / "part-00000.parquet"
        pq.write_table(pa.table(columns), path, row_group_size=25, write_page_checksum=True)
    return folder


def inspect(path: str, capsys: pytest.CaptureFixture[str], *more: str) -> str:
    assert run(["data", "inspect", path, *more]) == 0
    return capsys.readouterr().out


def test_a_remote_dataset_is_inspected_like_a_local_one(
    folder: Path, proxy: FaultyProxy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = open_store(URL)
    for path in folder.rglob("*.parquet"):
        store.write_bytes(str(path.relative_to(folder)), path.read_bytes())
    # Storage that fails in passing changes nothing.
    answers = iter(range(1_000_000))
    proxy.set(lambda request: "503" if request.method == "GET" and next(answers) % 5 == 4 else None)
    local = json.loads(inspect(str(folder), capsys, "--json"))
    remote = json.loads(inspect(URL, capsys, "--json"))
    assert proxy.broken > 0
    places = {name for name in local if local[name] != remote[name]}
    assert places == {"path"}, "only the place differs"
    assert remote["path"] == URL
    assert {split: facts["rows"] for split, facts in remote["splits"].items()} == {"train": 60, "test": 20}
    assert remote["splits"]["train"]["bad_rows"] == 1
    assert any(entry["part"] == "image" and entry["rows"] == 10 for entry in remote["shared"]), "leakage is found"
    page = tmp_path / "sheet.html"
    text = inspect(URL, capsys, "--html", str(page))
    assert "problem: train has 1 row" in text
    assert page.read_text().count("<img") >= 10


def test_a_missing_remote_dataset_ends_with_3(proxy: FaultyProxy, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["data", "inspect", f"s3://{BUCKET}/nothing-here"]) == 3
    assert "no such folder" in capsys.readouterr().err
