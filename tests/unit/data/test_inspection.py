from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pictures import exif, jpeg, pixels
from small_datasets import write_shard

from mmdist.data.advice import find_problems
from mmdist.data.contact_sheet import render_contact_sheet
from mmdist.data.inspection import Inspection, inspect_dataset
from mmdist.errors import DataRefusedError, JobFileError
from mmdist.spec.data import ColumnsSpec

SCRIPT = "<script>alert(1)</script>"
SHARED = jpeg(np.full((32, 32, 3), 200, np.uint8))


def shade(number: int) -> bytes:
    return jpeg(np.full((40, 30, 3), number, np.uint8))


def write_split(folder: Path, rows: list[tuple[str | None, bytes | None, bytes | None, str | None]]) -> None:
    folder.mkdir(parents=True)
    ids, images, texts, labels = zip(*rows, strict=True)
    columns = {
        "id": pa.array(ids, pa.string()),
        "image": pa.array(images, pa.binary()),
        "text": pa.array(texts, pa.binary()).view(pa.string()),
        "label": pa.array(labels, pa.string()),
    }
    write_shard(folder / "part-00000.parquet", pa.table(columns), group_rows=4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dataset")
    good = [(f"t{n}", shade(n * 5), b"one two three", "cat") for n in range(21)]
    turned = jpeg(pixels(20, 60), exif=exif(6))
    odd: list[tuple[str | None, bytes | None, bytes | None, str | None]] = [
        ("t0", SHARED, SCRIPT.encode(), SCRIPT),
        (None, turned, None, "dog"),
        ("cut", shade(3)[:-50], b"text", "dog"),
        ("latin", shade(4), b"caf\xe9", "dog"),
        ("nameless", shade(6), b"\xd7\xa9\xd7\x9c\xd7\x95\xd7\x9d \x00 \xf0\x9f\x98\x80", None),
    ]
    write_split(folder / "train", good + odd)
    write_split(folder / "test", [("v0", SHARED, b"one two three", "cow"), ("v1", None, b"alone", "cat")])
    return folder


@pytest.fixture(scope="module")
def inspection(folder: Path) -> Inspection:
    return inspect_dataset(str(folder))


def test_counts_rows_labels_words_sizes_and_formats(inspection: Inspection) -> None:
    train = inspection.facts["splits"]["train"]
    assert inspection.facts["rows"] == 28
    assert (train["rows"], train["shards"], train["row_groups"]) == (26, 1, 7)
    assert train["labels"] == {SCRIPT: 1, "cat": 21, "dog": 3}
    assert train["formats"] == {"JPEG": 26}
    assert train["sizes"][0] == {"height": 40, "width": 30, "rows": 24}
    assert train["words"] == {"least": 1, "median": 3, "p95": 3, "most": 3}
    assert train["nulls"] == {"id": 1, "label": 1, "text": 2, "image": 0}
    assert inspection.facts["splits"]["test"]["nulls"]["image"] == 1


def test_bad_rows_have_their_reasons(inspection: Inspection) -> None:
    train = inspection.facts["splits"]["train"]
    assert train["bad_rows"] == 3
    found = [(row["id"], row["column"]) for row in train["bad_rows_shown"]]
    assert found == [("cut", "image"), ("latin", "text"), ("nameless", "label")]
    assert "JPEG that cannot be decoded" in train["bad_rows_shown"][0]["reason"]


def test_leakage_and_repeated_ids_are_findings(inspection: Inspection) -> None:
    texts = [finding["text"] for finding in inspection.facts["findings"] if finding["level"] == "problem"]
    assert any(text.startswith("1 rows of test have a picture that train has too: leakage") for text in texts)
    assert any("1 rows of train have an id that another row has" in text for text in texts)
    assert any("1 labels of test are not in train (cow)" in text for text in texts)
    assert any("3 rows of train (11.54%) are bad" in text for text in texts)
    assert {"part": "text", "split": "test", "with": "train", "rows": 1} in inspection.facts["shared"]


def test_one_folder_of_shards_and_chosen_columns(folder: Path) -> None:
    seen: list[tuple[int, int]] = []
    columns = ColumnsSpec(text="text")
    found = inspect_dataset(str(folder / "train"), columns, lambda done, total: seen.append((done, total)))
    train = found.facts["splits"]["train"]
    assert seen[-1] == (26, 26)
    assert (train["pictures_looked_at"], train["labels"], train["bad_rows"]) == (0, {}, 1)


def test_pictures_are_sampled_beyond_the_cap_and_it_says_so(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mmdist.data.inspection._PICTURE_BYTES", 6000)
    facts = inspect_dataset(str(folder / "train")).facts
    looked_at = facts["splits"]["train"]["pictures_looked_at"]
    assert 0 < looked_at < 26
    assert any(f"the pictures of {looked_at} of 26 rows were looked at" in found["text"] for found in facts["findings"])


def test_refuses_what_is_no_dataset(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(DataRefusedError, match="no such folder"):
        inspect_dataset(str(tmp_path / "missing"))
    with pytest.raises(JobFileError, match="no column `caption`"):
        inspect_dataset(str(folder), ColumnsSpec(text="caption"))


class _Page(HTMLParser):
    """Collects the tags and the pictures of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.pictures: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.pictures += [value or "" for name, value in attrs if name == "src"]


def test_the_page_stands_alone_and_escapes_the_data(inspection: Inspection) -> None:
    page = render_contact_sheet(inspection)
    parsed = _Page(page)
    assert "script" not in parsed.tags
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert parsed.pictures
    assert all(source.startswith("data:image/png;base64,") for source in parsed.pictures)
    assert "http" not in page.replace('http-equiv="Content-Security-Policy"', "")
    assert "\x00" not in page
    assert "שלום" in page
    assert "prefers-color-scheme: dark" in page
    assert page.count('class="cell"') == 28
    assert page.encode("utf-8")


def test_pictures_of_the_page_are_upright(inspection: Inspection) -> None:
    (sample,) = [sample for sample in inspection.samples if sample.id.startswith("part-00000.parquet#")]
    assert sample.picture is not None
    assert sample.picture.shape == (60, 20, 3)


def groups(rows: int, most_bytes: int, count: int) -> dict[str, object]:
    spread = {"least": rows, "median": rows, "p95": rows, "most": rows}
    return {
        "rows": rows * count,
        "bad_rows": 0,
        "repeated": {"id": 0, "image": 0, "text": 0},
        "pictures_looked_at": 0,
        "labels": {"a": 1000, "b": 10},
        "row_groups": count,
        "rows_per_group": spread,
        "bytes_per_group": {**spread, "most": most_bytes},
    }


@pytest.mark.parametrize(
    ("split", "advice"),
    [
        (groups(16, 1000, 500), "row groups of train are small"),
        (groups(5000, 200 * 1024**2, 40), "12.5 GiB"),
        (groups(5000, 1000, 4), "train has 4 row groups for 32 lanes"),
        (groups(500, 1000, 40), "labels of train are uneven: 1,000 rows of a, 10 of b"),
    ],
)
def test_advice_on_row_groups_and_balance(split: dict[str, object], advice: str) -> None:
    found = find_problems({"shared": [], "splits": {"train": split}})
    assert any(advice in finding["text"] for finding in found)
