from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pictures import encoded, exif, jpeg, pixels
from PIL import Image
from small_datasets import write_shard

from mmdist.data.advice import find_problems
from mmdist.data.contact_sheet import render_contact_sheet
from mmdist.data.decode import BadImage, decode_thumbnail
from mmdist.data.duplicates import NEAR_LEVELS
from mmdist.data.inspection import Inspection, inspect_dataset
from mmdist.data.sound_look import Sounds
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
    assert train["tokens"] == {"least": 1, "median": 3, "p95": 3, "most": 9}
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
    assert (
        "test shares 1 of its 2 pictures with train (v0 = t0): leakage, train gives the answers away; import again,"
        in ("".join(texts))
    )
    assert any("train has 1 row with the id of an earlier one" in text for text in texts)
    assert any("test has labels that are not in train, 1 of them (cow)" in text for text in texts)
    assert any("train has 3 rows (11.54%) that cannot be used" in text for text in texts)
    assert {
        "part": "text",
        "near": False,
        "split": "test",
        "with": "train",
        "rows": 1,
        "examples": [{"id": "v0", "with_id": "t0"}],
    } in inspection.facts["shared"]
    assert not any(entry["near"] for entry in inspection.facts["shared"]), "what is the same is not near as well"


def test_one_folder_of_shards_and_chosen_columns(folder: Path) -> None:
    seen: list[tuple[int, int]] = []
    columns = ColumnsSpec(text="text")
    found = inspect_dataset(str(folder / "train"), columns, lambda done, total: seen.append((done, total)))
    train = found.facts["splits"]["train"]
    assert seen[-1] == (26, 26)
    assert (train["pictures_looked_at"], train["labels"], train["bad_rows"]) == (0, {}, 1)


def test_pictures_are_sampled_beyond_the_cap_and_it_says_so(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mmdist.data.inspection._FILE_BYTES", 6000)
    facts = inspect_dataset(str(folder / "train")).facts
    looked_at = facts["splits"]["train"]["pictures_looked_at"]
    assert 0 < looked_at < 26
    assert any(f"the pictures of {looked_at} of 26 rows were looked at" in found["text"] for found in facts["findings"])


def test_refuses_what_is_no_dataset(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(DataRefusedError, match="no such folder"):
        inspect_dataset(str(tmp_path / "missing"))
    with pytest.raises(DataRefusedError, match="the path leads to a file"):
        inspect_dataset(str(folder / "train" / "part-00000.parquet"))
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
    assert all(source.startswith("data:image/webp;base64,") for source in parsed.pictures)
    assert "http" not in page.replace('http-equiv="Content-Security-Policy"', "")
    assert "\x00" not in page
    assert "שלום" in page
    assert "prefers-color-scheme: dark" in page
    examples, pairs = 6 + 1 + 3 + 1 + 2, 2
    assert page.count('class="cell"') == examples + 2 * pairs
    assert page.count("<h3>") == 5
    assert page.encode("utf-8")


def test_pictures_of_the_page_are_upright(inspection: Inspection) -> None:
    (sample,) = [sample for sample in inspection.samples if sample.id.startswith("part-00000.parquet#")]
    assert sample.picture is not None
    assert sample.picture.shape == (60, 20, 3)


def drawing(seed: int, side: int = 96) -> Image.Image:
    """Smooth colors, each seed's own."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3)).astype(np.uint8)
    return Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)


def test_near_pictures_and_texts_of_two_splits_are_found_and_shown(tmp_path: Path) -> None:
    train = [(f"t{n}", encoded(drawing(n), "PNG"), f"A red car, no. {n}.".encode(), "a") for n in range(40)]
    again = [
        ("jpeg", encoded(drawing(3), "JPEG", quality=75), b"A RED CAR no 3", "a"),
        ("webp", encoded(drawing(4).resize((64, 64)), "WEBP"), b"a red car, no. 400.", "a"),
        ("other", encoded(drawing(99), "PNG"), b"a blue car", "a"),
    ]
    write_split(tmp_path / "train", train)
    write_split(tmp_path / "test", again)
    found = inspect_dataset(str(tmp_path))
    pictures, texts = found.facts["shared"]
    assert (pictures["part"], pictures["near"], pictures["rows"]) == ("image", True, 2)
    assert {(pair["id"], pair["with_id"]) for pair in pictures["examples"]} == {("jpeg", "t3"), ("webp", "t4")}
    assert all(0 < pair["levels"] <= NEAR_LEVELS for pair in pictures["examples"])
    assert (texts["part"], texts["near"], texts["rows"]) == ("text", True, 1)
    assert texts["examples"] == [{"id": "jpeg", "with_id": "t3"}]
    problem, advice = (
        finding
        for finding in found.facts["findings"]
        if "with train" in finding["text"] or "of train" in finding["text"]
    )
    assert problem["level"] == "problem"
    assert problem["text"].startswith("of test, 2 of its 3 pictures nearly look like one of train (")
    assert "punctuation and spacing (jpeg ~ t3): fine for short" in advice["text"]
    assert "test and train: nearly the same picture" in render_contact_sheet(found)


def test_decodes_evenly_spaced_pictures_unless_asked_for_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [(f"t{n}", shade(n), b"text", "a") for n in range(30)]
    rows[7] = ("cut", shade(7)[:-40], b"text", "a")
    write_split(tmp_path / "train", rows)
    monkeypatch.setattr("mmdist.data.inspection._DECODED_UNITS", 0)
    monkeypatch.setattr("mmdist.data.inspection._LEAST_DECODED", 10)
    facts = inspect_dataset(str(tmp_path)).facts
    assert (facts["splits"]["train"]["pictures_decoded"], facts["splits"]["train"]["bad_rows"]) == (10, 0)
    assert any("10 of 30 pictures were decoded" in finding["text"] for finding in facts["findings"])
    facts = inspect_dataset(str(tmp_path), everything=True).facts
    assert (facts["splits"]["train"]["pictures_decoded"], facts["splits"]["train"]["bad_rows"]) == (30, 1)


def test_every_label_has_examples_from_all_over(tmp_path: Path) -> None:
    labels = ["a"] * 200 + ["b"] * 100 + ["c"] * 3
    write_split(tmp_path / "train", [(str(n), None, b"text", label) for n, label in enumerate(labels)])
    samples = inspect_dataset(str(tmp_path)).samples
    assert [sample.label for sample in samples] == ["a"] * 6 + ["b"] * 6 + ["c"] * 3
    numbers = [int(sample.id) for sample in samples if sample.label == "a"]
    assert max(numbers) > 100
    assert min(numbers) < 100


def test_folders_of_other_names_are_splits_too(tmp_path: Path) -> None:
    for name in ("fit", "held-out", "quarantine", "_hidden"):
        write_split(tmp_path / name, [("a", None, b"text", "x")])
    (tmp_path / "notes").mkdir()
    assert list(inspect_dataset(str(tmp_path)).facts["splits"]) == ["fit", "held-out"]
    (tmp_path / "train").mkdir()
    with pytest.raises(DataRefusedError, match="no Parquet shards"):
        inspect_dataset(str(tmp_path))


def test_pictures_are_counted_by_their_longer_side(tmp_path: Path) -> None:
    sizes = [(64, 10), (65, 1), (1, 128)]
    rows = [(str(size), jpeg(np.zeros((*size, 3), np.uint8)), b"text", "a") for size in sizes]
    write_split(tmp_path / "train", rows)
    facts = inspect_dataset(str(tmp_path)).facts["splits"]["train"]
    assert facts["sides"] == [
        {"most_px": 64, "rows": 1},
        {"most_px": 128, "rows": 2},
    ]
    assert facts["heights"] == {"least": 1, "median": 64, "p95": 65, "most": 65}


def test_a_blank_label_is_none_as_in_training(tmp_path: Path) -> None:
    write_split(tmp_path / "train", [("a", None, b"text", "x"), ("b", None, b"text", "  ")])
    train = inspect_dataset(str(tmp_path)).facts["splits"]["train"]
    assert (train["labels"], train["nulls"]["label"]) == ({"x": 1}, 1)
    assert train["bad_rows_shown"][0]["reason"] == "no label (blank)"


def test_columns_without_the_names_of_parts_are_refused(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    write_shard(tmp_path / "data" / "a.parquet", pa.table({"jpg": ["x"], "cls": ["y"]}))
    with pytest.raises(DataRefusedError, match="no column has the name of a part"):
        inspect_dataset(str(tmp_path / "data"))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_thumbnails_keep_the_ratio_of_turned_pictures(kind: str) -> None:
    turned = encoded(pixels(20, 300), kind, exif=exif(6))
    thumbnail = decode_thumbnail(turned, 60, max_pixels=10_000)
    assert thumbnail.shape == (60, 4, 3)
    assert decode_thumbnail(encoded(pixels(20, 30), kind), 60, max_pixels=10_000).shape == (20, 30, 3)
    with pytest.raises(BadImage, match="300 x 20 pixels by its header, over the cap of 100"):
        decode_thumbnail(turned, 60, max_pixels=100)


def groups(rows: int, most_bytes: int, count: int) -> dict[str, object]:
    spread = {"least": rows, "median": rows, "p95": rows, "most": rows}
    return {
        "rows": rows * count,
        "bad_rows": 0,
        "repeated": {"id": 0, "image": 0, "text": 0, "audio": 0},
        "pictures_looked_at": 0,
        "pictures_decoded": 0,
        "formats": {},
        "recordings": Sounds().facts(),
        "tokens": None,
        "shards": 1,
        "bytes_per_shard": spread,
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
        (groups(5000, 1000, 40) | {"shards": 200}, "train has 200 shards of less than 1 MiB"),
        (groups(5000, 1000, 40) | {"tokens": {"p95": 250}}, "5% have more than 250 tokens"),
        (groups(500, 1000, 40), "labels of train are uneven: 1,000 rows of a, 10 of b"),
    ],
)
def test_advice_on_row_groups_and_balance(split: dict[str, object], advice: str) -> None:
    found = find_problems({"shared": [], "splits": {"train": split}})
    assert any(advice in finding["text"] for finding in found)
