"""The facts of a dataset for `mmdist data inspect`: counts in full, pictures by their headers, decoding by sample."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

from mmdist.data.advice import find_problems
from mmdist.data.dataset import Dataset, open_dataset
from mmdist.data.decode import decode_image
from mmdist.data.image_header import BadImage, ImageHeader, read_header
from mmdist.data.prepare import image_views
from mmdist.data.roles import check_columns
from mmdist.data.values import name_values, text_values
from mmdist.spec.data import ColumnsSpec
from mmdist.storage import open_store

__all__ = ["Inspection", "Sample", "guess_columns", "inspect_dataset"]

SPLITS = ("train", "validation", "test")
_PICTURE_BYTES = 4 * 1024**3
_DECODED_ROWS = 1000
_SHOWN_ROWS = 48
_SHOWN_BAD_ROWS = 20
_SAMPLED_SIDE = 128
_MAX_PIXELS = 50_000_000


@dataclass(frozen=True)
class Sample:
    """A row for the contact sheet. The picture is uint8 (H, W, 3), its longer side at most 128 pixels."""

    split: str
    id: str
    picture: npt.NDArray[np.uint8] | None
    text: str | None
    label: str | None


@dataclass(frozen=True)
class Inspection:
    """What was found: facts that JSON can hold, and rows to show."""

    facts: dict[str, Any]
    samples: list[Sample]


@dataclass
class _Split:
    name: str
    dataset: Dataset
    hashes: dict[str, list[npt.NDArray[np.uint64]]] = field(default_factory=lambda: {"image": [], "text": [], "id": []})
    labels: Counter[str] = field(default_factory=Counter)
    nulls: Counter[str] = field(default_factory=Counter)
    formats: Counter[str] = field(default_factory=Counter)
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    words: list[int] = field(default_factory=list)
    bad: list[dict[str, Any]] = field(default_factory=list)
    bad_rows: int = 0
    pictures: int = 0
    decoded: int = 0
    samples: list[Sample] = field(default_factory=list)


def guess_columns(dataset: Dataset) -> ColumnsSpec:
    """The parts whose canonical names the dataset has as columns."""
    return ColumnsSpec(**{part: part for part in ("id", "image", "text", "label") if part in dataset.schema.names})


def inspect_dataset(
    path: str, columns: ColumnsSpec | None = None, progress: Callable[[int, int], None] | None = None
) -> Inspection:
    """Looks through a dataset's splits, or through one folder of shards.

    Ids, labels and texts are read in full. Pictures are hashed and judged by their headers, in full up to 4 GiB per
    split and by evenly spaced row groups beyond; up to 1,000 per split are decoded.

    Args:
        path: The dataset, or one folder of shards.
        columns: Which column plays which part; by default, by the columns' names.
        progress: Called with the rows looked at and the rows in all.

    Raises:
        DataRefusedError: where a folder holds no shards that can be read.
        JobFileError: where there is no such column.
    """
    splits = [_Split(name, open_dataset(url)) for name, url in _split_folders(path)]
    chosen = columns or guess_columns(splits[0].dataset)
    total = sum(split.dataset.rows for split in splits)
    done = 0
    for split in splits:
        check_columns(split.dataset, chosen)
        for rows in _look_through(split, chosen):
            done += rows
            if progress is not None:
                progress(done, total)
    facts: dict[str, Any] = {
        "path": path,
        "columns": chosen.model_dump(),
        "rows": total,
        "splits": {split.name: _facts(split) for split in splits},
        "shared": _shared(splits),
    }
    facts["findings"] = find_problems(facts)
    return Inspection(facts, [sample for split in splits for sample in split.samples])


def _split_folders(path: str) -> list[tuple[str, str]]:
    names = {entry.path for entry in open_store(path).list() if entry.is_folder}
    url = path.rstrip("/")
    found = [(name, f"{url}/{name}") for name in SPLITS if name in names]
    return found or [(url.rpartition("/")[2] or url, url)]


def _look_through(split: _Split, columns: ColumnsSpec) -> Iterator[int]:
    index = split.dataset.index
    with_pictures = _picture_groups(index.bytes)
    # Evenly spaced over the rows, so that data sorted by label shows all of it.
    shown = np.unique(np.linspace(0, index.total_rows - 1, _SHOWN_ROWS).astype(np.int64))
    decoded = np.unique(np.linspace(0, index.total_rows - 1, _DECODED_ROWS).astype(np.int64))
    for group in range(len(index)):
        wanted = [name for name in (columns.id, columns.text, columns.label) if name is not None]
        if columns.image is not None and with_pictures[group]:
            wanted.append(columns.image)
        first, rows = int(index.first_rows[group]), int(index.rows[group])
        if wanted:
            table = split.dataset.read_row_group(group, list(dict.fromkeys(wanted)))
            here = slice(first, first + rows)
            _look_at(split, group, table, columns, _within(shown, here), _within(decoded, here))
        yield rows


def _within(numbers: npt.NDArray[np.int64], rows: slice) -> set[int]:
    inside = numbers[(numbers >= rows.start) & (numbers < rows.stop)]
    return set((inside - rows.start).tolist())


def _picture_groups(sizes: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    total = int(sizes.sum())
    if total <= _PICTURE_BYTES:
        return np.ones(len(sizes), np.bool_)
    chosen = np.zeros(len(sizes), np.bool_)
    count = max(1, len(sizes) * _PICTURE_BYTES // total)
    chosen[np.linspace(0, len(sizes) - 1, count).astype(np.int64)] = True
    return chosen


def _look_at(
    split: _Split, group: int, table: pa.Table, columns: ColumnsSpec, shown: set[int], decoded: set[int]
) -> None:
    index = split.dataset.index
    shard = index.shard_name(group)
    first_of_shard = index.first_rows[np.searchsorted(index.shard, index.shard[group])]
    first = int(index.first_rows[group] - first_of_shard)
    ids: list[str | None] = [None] * len(table)
    reasons: dict[int, tuple[str, str]] = {}
    if columns.id is not None:
        ids, invalid = name_values(table.column(columns.id))
        _note(reasons, columns.id, invalid)
        split.nulls["id"] += ids.count(None)
        split.hashes["id"].append(_hashes([value.encode() for value in ids if value is not None]))
    labels: list[str | None] = [None] * len(table)
    if columns.label is not None:
        labels, invalid = name_values(table.column(columns.label))
        _note(reasons, columns.label, invalid)
        split.labels.update(label for label in labels if label is not None)
        missing = {row: "no label (null)" for row, label in enumerate(labels) if label is None and row not in invalid}
        split.nulls["label"] += len(missing)
        _note(reasons, columns.label, missing)
    texts: list[str | None] = [None] * len(table)
    if columns.text is not None:
        texts, invalid = text_values(table.column(columns.text))
        _note(reasons, columns.text, invalid)
        split.nulls["text"] += sum(not text for text in texts)
        split.words.extend(len(text.split()) for text in texts if text)
        split.hashes["text"].append(_hashes([text.encode() for text in texts if text]))
    pictures: dict[int, npt.NDArray[np.uint8]] = {}
    if columns.image is not None and columns.image in table.column_names:
        views = image_views(table.column(columns.image)).tolist()
        _note(reasons, columns.image, _look_at_pictures(split, views, shown, decoded, pictures))
    for row in sorted(reasons):
        split.bad_rows += 1
        if len(split.bad) < _SHOWN_BAD_ROWS:
            column, reason = reasons[row]
            name = ids[row] or f"{shard}#{first + row}"
            split.bad.append({"shard": shard, "row": first + row, "id": name, "column": column, "reason": reason})
    for row in sorted(shown):
        name = ids[row] or f"{shard}#{first + row}"
        split.samples.append(Sample(split.name, name, pictures.get(row), texts[row], labels[row]))


def _look_at_pictures(
    split: _Split,
    views: list[memoryview | None],
    shown: set[int],
    decoded: set[int],
    pictures: dict[int, npt.NDArray[np.uint8]],
) -> dict[int, str]:
    bad: dict[int, str] = {}
    split.pictures += len(views)
    split.nulls["image"] += views.count(None)
    split.hashes["image"].append(_hashes([view for view in views if view is not None]))
    for row, view in enumerate(views):
        if view is None:
            continue
        try:
            header = read_header(view)
            split.formats[header.format] += 1
            split.sizes[(header.height, header.width)] += 1
            if header.pixels > _MAX_PIXELS:
                raise BadImage(f"{header.width} x {header.height} pixels, over the default cap of {_MAX_PIXELS}")
            if row in shown or row in decoded:
                split.decoded += 1
                picture = _thumbnail(view, header)
                if row in shown:
                    pictures[row] = picture
        except BadImage as error:
            bad[row] = str(error)
    return bad


def _thumbnail(view: memoryview, header: ImageHeader) -> npt.NDArray[np.uint8]:
    height, width = (header.width, header.height) if header.orientation >= 5 else (header.height, header.width)
    scale = min(1.0, _SAMPLED_SIDE / max(height, width))
    out = np.zeros((max(1, round(height * scale)), max(1, round(width * scale)), 3), np.uint8)
    decode_image(view, out, max_pixels=_MAX_PIXELS)
    return out


def _hashes(values: Sequence[bytes | memoryview]) -> npt.NDArray[np.uint64]:
    return np.fromiter(map(xxhash.xxh3_64_intdigest, values), np.uint64, len(values))


def _note(reasons: dict[int, tuple[str, str]], column: str, found: Mapping[int, str]) -> None:
    for row, reason in found.items():
        reasons.setdefault(row, (column, reason))


def _facts(split: _Split) -> dict[str, Any]:
    index = split.dataset.index
    repeated = {part: _repeated(split.hashes[part]) for part in ("id", "image", "text")}
    return {
        "rows": split.dataset.rows,
        "bytes": int(index.bytes.sum()),
        "shards": len(index.shards),
        "row_groups": len(index),
        "rows_per_group": _spread(index.rows),
        "bytes_per_group": _spread(index.bytes),
        "labels": dict(sorted(split.labels.items())),
        "nulls": dict(split.nulls),
        "words": _spread(np.array(split.words, np.int64)),
        "formats": dict(split.formats.most_common()),
        "sizes": [{"height": h, "width": w, "rows": n} for (h, w), n in split.sizes.most_common(10)],
        "heights": _spread(np.array([h for h, _ in split.sizes.elements()], np.int64)),
        "widths": _spread(np.array([w for _, w in split.sizes.elements()], np.int64)),
        "pictures_looked_at": split.pictures,
        "pictures_decoded": split.decoded,
        "repeated": repeated,
        "bad_rows": split.bad_rows,
        "bad_rows_shown": split.bad,
    }


def _spread(values: npt.NDArray[np.int64]) -> dict[str, int] | None:
    if not len(values):
        return None
    low, median, high, most = np.percentile(values, (0, 50, 95, 100), method="nearest").tolist()
    return {"least": int(low), "median": int(median), "p95": int(high), "most": int(most)}


def _repeated(parts: list[npt.NDArray[np.uint64]]) -> int:
    values = np.concatenate(parts) if parts else np.empty(0, np.uint64)
    return len(values) - len(np.unique(values))


def _shared(splits: list[_Split]) -> list[dict[str, Any]]:
    """Rows of a later split whose id, picture or text an earlier one has too."""
    found = []
    for number, later in enumerate(splits):
        for earlier in splits[:number]:
            for part in ("id", "image", "text"):
                if later.hashes[part] and earlier.hashes[part]:
                    mine = np.concatenate(later.hashes[part])
                    rows = int(np.isin(mine, np.concatenate(earlier.hashes[part])).sum())
                    found.append({"part": part, "split": later.name, "with": earlier.name, "rows": rows})
    return [entry for entry in found if entry["rows"]]
