"""What one row group of a dataset shows to `mmdist data inspect`. Safe to look at several groups at once."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mmdist.data.dataset import Dataset
from mmdist.data.decode import decode_image
from mmdist.data.duplicates import THUMB_SIDE, hash_values, looks_of, normalised
from mmdist.data.image_header import BadImage, ImageHeader, read_header
from mmdist.data.labels import is_blank
from mmdist.data.prepare import image_views
from mmdist.data.sound_look import Sounds, look_at_recordings, spectrogram
from mmdist.data.tokenizer import Tokenizer, learn_from_texts
from mmdist.data.values import name_values, text_values
from mmdist.spec.data import ColumnsSpec
from mmdist.spec.text import TextSpec

__all__ = ["MAX_PIXELS", "Example", "GroupLook", "LookPlan", "look_at_group", "read_headers"]

MAX_PIXELS = 50_000_000
_SHOWN_BAD_ROWS = 20
_SHOWN_CHARACTERS = 300
_MANY_TOKENS = 1 << 20
_MIX = np.uint64(0x9E3779B97F4A7C15)
_IMAGE, _TEXT, _AUDIO, _ID = "image", "text", "audio", "id"


@dataclass(frozen=True)
class LookPlan:
    """What is looked at in every row group of a split."""

    columns: ColumnsSpec
    first_rows: npt.NDArray[np.int64]
    """By row group, the number of its first row in the split."""
    with_files: npt.NDArray[np.bool_]
    """By row group, whether its pictures and recordings are read."""
    decode_every: Mapping[str, int]
    """By part, every so many-th row's picture or recording is decoded."""
    examples: int
    """Rows per label that are kept to be shown."""
    places: Mapping[str | None, int] = field(default_factory=dict)
    """By label, the place in the drawn order that a row must be before to be kept; it falls as rows are found."""


@dataclass(frozen=True)
class Example:
    """A row that may be shown. Its place in a drawn order decides, so that no part of the data is favoured."""

    place: int
    row: int
    """Number within the split."""
    id: str
    picture: bytes | None
    text: str | None
    label: str | None
    sound: npt.NDArray[np.uint8] | None = field(default=None, compare=False)
    """The recording's spectrogram."""


@dataclass
class GroupLook:
    """Facts of one row group. Rows are numbered within the split."""

    rows: int
    labels: Counter[str] = field(default_factory=Counter)
    nulls: Counter[str] = field(default_factory=Counter)
    formats: Counter[str] = field(default_factory=Counter)
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    tokens: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    hashes: dict[str, tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]] = field(default_factory=dict)
    """By `id`, `image`, `text`, `audio` and `words` (normalised texts): values, and their rows."""
    looks: tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]] | None = None
    pictures: int = 0
    decoded: int = 0
    sounds: Sounds = field(default_factory=Sounds)
    bad_rows: int = 0
    bad: list[dict[str, Any]] = field(default_factory=list)
    """The first ones."""
    examples: list[Example] = field(default_factory=list)


def look_at_group(dataset: Dataset, group: int, plan: LookPlan) -> GroupLook:
    """Reads a row group and looks at all its ids, labels and texts, at its files' headers, and decodes some.

    Raises:
        DataRefusedError: where the row group cannot be read.
    """
    columns, index = plan.columns, dataset.index
    look = GroupLook(int(index.rows[group]))
    wanted = [name for name in (columns.id, columns.text, columns.label) if name is not None]
    if plan.with_files[group]:
        wanted += [name for name in (columns.image, columns.audio) if name is not None]
    if not wanted:
        return look
    table = dataset.read_row_group(group, list(dict.fromkeys(wanted)))
    rows = np.arange(look.rows, dtype=np.int64) + plan.first_rows[group]
    reasons: dict[int, tuple[str, str]] = {}
    ids = _look_at_ids(look, table, columns.id, rows, reasons)
    labels = _look_at_labels(look, table, columns.label, reasons)
    texts = _look_at_texts(look, table, columns.text, rows, reasons)
    views: list[memoryview | None] = [None] * look.rows
    if columns.image is not None and columns.image in table.column_names:
        views = image_views(table.column(columns.image)).tolist()
        _look_at_pictures(look, views, columns.image, rows, plan.decode_every[_IMAGE], reasons)
    sounds: list[memoryview | None] = [None] * look.rows
    if columns.audio is not None and columns.audio in table.column_names:
        sounds = image_views(table.column(columns.audio)).tolist()
        look.nulls[_AUDIO] += sounds.count(None)
        _hash(look, _AUDIO, sounds, rows)
        look.sounds, unusable = look_at_recordings(sounds, rows, decode_every=plan.decode_every[_AUDIO])
        _note(reasons, columns.audio, unusable)
    shard = index.shard_name(group)
    first_of_shard = int(plan.first_rows[np.searchsorted(index.shard, index.shard[group])])
    names = [name or f"{shard}#{row - first_of_shard}" for name, row in zip(ids, rows.tolist(), strict=True)]
    look.bad_rows = len(reasons)
    for number in sorted(reasons)[:_SHOWN_BAD_ROWS]:
        column, reason = reasons[number]
        row = int(rows[number]) - first_of_shard
        look.bad.append({"shard": shard, "row": row, "id": names[number], "column": column, "reason": reason})
    _keep_examples(look, plan, rows, names, views, texts, labels, sounds)
    return look


def read_headers(dataset: Dataset, group: int, column: str) -> list[ImageHeader]:
    """The headers of a row group's pictures, without those that cannot be read."""
    found = []
    for view in image_views(dataset.read_row_group(group, [column]).column(column)).tolist():
        try:
            if view is not None:
                found.append(read_header(view))
        except BadImage:
            continue
    return found


def _look_at_ids(
    look: GroupLook,
    table: pa.Table,
    column: str | None,
    rows: npt.NDArray[np.int64],
    reasons: dict[int, tuple[str, str]],
) -> list[str | None]:
    if column is None:
        return [None] * look.rows
    ids, invalid = name_values(table.column(column))
    _note(reasons, column, invalid)
    look.nulls[_ID] += ids.count(None)
    _hash(look, _ID, ids, rows)
    return ids


def _look_at_labels(
    look: GroupLook, table: pa.Table, column: str | None, reasons: dict[int, tuple[str, str]]
) -> list[str | None]:
    if column is None:
        return [None] * look.rows
    labels, invalid = name_values(table.column(column))
    _note(reasons, column, invalid)
    missing = {
        row: "no label (null)" if label is None else "no label (blank)"
        for row, label in enumerate(labels)
        if is_blank(label) and row not in invalid
    }
    look.nulls["label"] += len(missing)
    _note(reasons, column, missing)
    labels = [None if is_blank(label) else label for label in labels]
    look.labels.update(label for label in labels if label is not None)
    return labels


def _look_at_texts(
    look: GroupLook,
    table: pa.Table,
    column: str | None,
    rows: npt.NDArray[np.int64],
    reasons: dict[int, tuple[str, str]],
) -> list[str | None]:
    if column is None:
        return [None] * look.rows
    texts, invalid = text_values(table.column(column))
    _note(reasons, column, invalid)
    present = [text for text in texts if text]
    look.nulls[_TEXT] += len(texts) - len(present)
    look.tokens = _word_counter().count(present)
    _hash(look, _TEXT, texts, rows)
    _hash(look, "words", normalised(present), look.hashes[_TEXT][1])
    return texts


def _look_at_pictures(
    look: GroupLook,
    views: list[memoryview | None],
    column: str,
    rows: npt.NDArray[np.int64],
    decode_every: int,
    reasons: dict[int, tuple[str, str]],
) -> None:
    look.pictures = len(views)
    look.nulls[_IMAGE] += views.count(None)
    _hash(look, _IMAGE, views, rows)
    thumbnails = np.empty((1 + (len(views) - 1) // decode_every, THUMB_SIDE, THUMB_SIDE, 3), np.uint8)
    decoded: list[int] = []
    bad: dict[int, str] = {}
    for number, (view, row) in enumerate(zip(views, rows.tolist(), strict=True)):
        if view is None:
            continue
        try:
            header = read_header(view)
            look.formats[header.format] += 1
            look.sizes[(header.height, header.width)] += 1
            if header.pixels > MAX_PIXELS:
                raise BadImage(f"{header.width} x {header.height} pixels, over the default cap of {MAX_PIXELS}")
            if row % decode_every == 0:
                look.decoded += 1
                decode_image(view, thumbnails[len(decoded)], max_pixels=MAX_PIXELS)
                decoded.append(row)
        except BadImage as error:
            bad[number] = str(error)
    _note(reasons, column, bad)
    if decoded:
        look.looks = looks_of(thumbnails[: len(decoded)]), np.array(decoded, np.int64)


def _keep_examples(
    look: GroupLook,
    plan: LookPlan,
    rows: npt.NDArray[np.int64],
    names: list[str],
    views: list[memoryview | None],
    texts: list[str | None],
    labels: list[str | None],
    sounds: list[memoryview | None],
) -> None:
    places = ((rows.astype(np.uint64) + np.uint64(1)) * _MIX >> np.uint64(11)).tolist()
    kept: Counter[str | None] = Counter()
    for number in sorted(range(look.rows), key=places.__getitem__):
        label = labels[number]
        if kept[label] == plan.examples or places[number] >= plan.places.get(label, 1 << 64):
            continue
        kept[label] += 1
        view, text, sound = views[number], texts[number], sounds[number]
        picture = None if view is None else bytes(view)
        text = None if text is None else text[:_SHOWN_CHARACTERS]
        # A spectrogram is kept, not its recording, which may be large.
        shown = None if sound is None else spectrogram(sound)
        look.examples.append(Example(places[number], int(rows[number]), names[number], picture, text, label, shown))


def _hash(look: GroupLook, part: str, values: list[Any], rows: npt.NDArray[np.int64]) -> None:
    """Hashes the values that are there: neither null nor empty."""
    there = [number for number, value in enumerate(values) if value is not None and len(value)]
    look.hashes[part] = hash_values([values[number] for number in there]), rows[np.array(there, np.int64)]


@cache
def _word_counter() -> Tokenizer:
    """Cuts texts as training does; counting needs no vocabulary."""
    return learn_from_texts([], TextSpec(tokens=_MANY_TOKENS))


def _note(reasons: dict[int, tuple[str, str]], column: str, found: Mapping[int, str]) -> None:
    for row, reason in found.items():
        reasons.setdefault(row, (column, reason))
