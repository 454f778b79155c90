"""The facts of a dataset for `mmdist data inspect`: counts in full, pictures decoded within bounds."""

import heapq
import os
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from mmdist.data.advice import find_problems
from mmdist.data.dataset import Dataset, open_dataset
from mmdist.data.decode import decode_thumbnail
from mmdist.data.duplicates import Hashes, Looks, joined
from mmdist.data.group_look import MAX_PIXELS, Example, GroupLook, LookPlan, look_at_group, read_headers
from mmdist.data.image_header import BadImage
from mmdist.data.index import is_shard_name
from mmdist.data.leakage import Match, find_shared
from mmdist.data.roles import check_columns
from mmdist.errors import DataRefusedError, Place
from mmdist.spec.data import ColumnsSpec
from mmdist.storage import Store, open_store

__all__ = ["Inspection", "Sample", "guess_columns", "inspect_dataset"]

_SPLITS = ("train", "validation", "test")
_NO_SPLITS = ("quarantine",)
_PICTURE_BYTES = 4 * 1024**3
_DECODED_PIXELS = 10**9
_LEAST_DECODED = 1000
_MOST_DECODED = 250_000
_EXAMPLES = 6
_SHOWN_LABELS = 40
_WITHOUT_LABELS = 48
_KEPT_LABELS = 1000
_SHOWN_BAD_ROWS = 20
_SAMPLED_SIDE = 128
_THREADS = 8


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
    """By split, then by label, the most frequent first."""
    matches: list[tuple[Match, Sample, Sample]]
    """Rows that two splits share, with both sides."""


@dataclass
class _Split:
    name: str
    dataset: Dataset
    hashes: dict[str, Hashes] = field(default_factory=dict)
    looks: Looks = field(default_factory=Looks)
    labels: Counter[str] = field(default_factory=Counter)
    nulls: Counter[str] = field(default_factory=Counter)
    formats: Counter[str] = field(default_factory=Counter)
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    tokens: list[npt.NDArray[np.int64]] = field(default_factory=list)
    bad: list[dict[str, Any]] = field(default_factory=list)
    bad_rows: int = 0
    pictures: int = 0
    decoded: int = 0
    examples: dict[str | None, list[tuple[int, Example]]] = field(default_factory=dict)
    """By label, a heap of those first in the drawn order, the last of them on top."""
    places: dict[str | None, int] = field(default_factory=dict)

    def add(self, look: GroupLook, limit: int) -> None:
        for part, (values, rows) in look.hashes.items():
            self.hashes.setdefault(part, Hashes()).add(values, rows)
        if look.looks is not None:
            self.looks.add(*look.looks)
        self.tokens.append(look.tokens)
        for name in ("labels", "nulls", "formats", "sizes"):
            getattr(self, name).update(getattr(look, name))
        for name in ("pictures", "decoded", "bad_rows"):
            setattr(self, name, getattr(self, name) + getattr(look, name))
        self.bad.extend(look.bad[: _SHOWN_BAD_ROWS - len(self.bad)])
        for example in look.examples:
            if example.label not in self.examples and len(self.examples) == _KEPT_LABELS:
                continue
            kept = self.examples.setdefault(example.label, [])
            push = heapq.heappush if len(kept) < limit else heapq.heappushpop
            push(kept, (-example.place, example))
            if len(kept) == limit:
                self.places[example.label] = -kept[0][0]


def guess_columns(dataset: Dataset) -> ColumnsSpec:
    """The parts whose canonical names the dataset has as columns."""
    return ColumnsSpec(**{part: part for part in ("id", "image", "text", "label") if part in dataset.schema.names})


def inspect_dataset(
    path: str,
    columns: ColumnsSpec | None = None,
    progress: Callable[[int, int], None] | None = None,
    *,
    everything: bool = False,
) -> Inspection:
    """Looks through a dataset's splits, or through one folder of shards.

    Ids, labels and texts are read in full. Pictures are hashed and judged by their headers, in full up to 4 GiB per
    split and by evenly spaced row groups beyond. Evenly spaced ones are decoded, to find those that cannot be and
    those that nearly look alike: as many as make 10^9 pixels per split, but 1,000 to 250,000.

    Args:
        path: The dataset, or one folder of shards, local or remote.
        columns: Which column plays which part; by default, by the columns' names.
        progress: Called with the rows looked at and the rows in all.
        everything: Whether all pictures are read and decoded, however many there are.

    Raises:
        DataRefusedError: where a folder holds no shards that can be read.
        JobFileError: where there is no such column.
    """
    splits = [_Split(name, open_dataset(url)) for name, url in _split_folders(path)]
    chosen = columns or guess_columns(splits[0].dataset)
    if not any(chosen.model_dump().values()):
        raise DataRefusedError(
            "no column has the name of a part",
            expected="columns named id, image, text or label",
            received=", ".join(splits[0].dataset.schema.names),
            place=Place(file=splits[0].dataset.store.url),
            remedy="name them: --columns image=COLUMN --columns label=COLUMN",
        )
    for split in splits:
        check_columns(split.dataset, chosen)
    total = sum(split.dataset.rows for split in splits)
    done = 0
    for split in splits:
        for rows in _look_through(split, chosen, everything=everything):
            done += rows
            if progress is not None:
                progress(done, total)
    matches = find_shared([(split.name, split.dataset, split.hashes, split.looks) for split in splits], chosen)
    facts: dict[str, Any] = {
        "path": path,
        "columns": chosen.model_dump(),
        "rows": total,
        "splits": {split.name: _facts(split) for split in splits},
        "shared": [match.to_json() for match in matches],
    }
    facts["findings"] = find_problems(facts)
    pairs = [
        (match, _sample(match.split, pair.mine), _sample(match.other, pair.theirs))
        for match in matches
        for pair in match.pairs
    ]
    return Inspection(facts, [sample for split in splits for sample in _samples(split)], pairs)


def _split_folders(path: str) -> list[tuple[str, str]]:
    store, url = open_store(path), path.rstrip("/")
    own_name = url.rpartition("/")[2] or url
    entries = [] if store.file_info("").is_file else store.list()
    folders = [entry.path for entry in entries if entry.is_folder]
    if any(not entry.is_folder and is_shard_name(entry.path) for entry in entries):
        return [(own_name, url)]
    named = [name for name in _SPLITS if name in folders] or [
        name for name in folders if name not in _NO_SPLITS and name[0] not in "._" and _has_shards(store, name)
    ]
    return [(name, f"{url}/{name}") for name in named] or [(own_name, url)]


def _has_shards(store: Store, folder: str) -> bool:
    entries = store.list(folder)
    return any(not entry.is_folder and is_shard_name(entry.path.rpartition("/")[2]) for entry in entries)


def _look_through(split: _Split, columns: ColumnsSpec, *, everything: bool) -> Iterator[int]:
    dataset = split.dataset
    plan = LookPlan(
        columns=columns,
        first_rows=dataset.index.first_rows,
        with_pictures=_picture_groups(dataset.index.bytes, everything=everything),
        decode_every=1 if everything else _decode_every(dataset, columns.image),
        examples=_EXAMPLES if columns.label is not None else _WITHOUT_LABELS,
        places=split.places,
    )
    threads = min(_THREADS, os.cpu_count() or 1)
    under_way: deque[Future[GroupLook]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="mmdist-inspect") as pool:
        try:
            for group in range(len(dataset.index)):
                under_way.append(pool.submit(look_at_group, dataset, group, plan))
                if len(under_way) > 2 * threads:
                    yield _add_next(split, under_way, plan)
            while under_way:
                yield _add_next(split, under_way, plan)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _add_next(split: _Split, under_way: "deque[Future[GroupLook]]", plan: LookPlan) -> int:
    look = under_way.popleft().result()
    split.add(look, plan.examples)
    return look.rows


def _picture_groups(sizes: npt.NDArray[np.int64], *, everything: bool) -> npt.NDArray[np.bool_]:
    total = int(sizes.sum())
    if total <= _PICTURE_BYTES or everything:
        return np.ones(len(sizes), np.bool_)
    chosen = np.zeros(len(sizes), np.bool_)
    count = max(1, len(sizes) * _PICTURE_BYTES // total)
    chosen[np.linspace(0, len(sizes) - 1, count).astype(np.int64)] = True
    return chosen


def _decode_every(dataset: Dataset, image: str | None) -> int:
    """Spaces the pictures that are decoded so that they come to so many pixels, judged by the first row group."""
    headers = read_headers(dataset, 0, image) if image is not None else []
    pixels = float(np.mean([header.pixels for header in headers])) if headers else 1.0
    decoded = min(max(_LEAST_DECODED, int(_DECODED_PIXELS / max(pixels, 1.0))), _MOST_DECODED)
    return max(1, -(-dataset.rows // decoded))


def _samples(split: _Split) -> Iterator[Sample]:
    shown = sorted(split.examples, key=lambda label: (-split.labels.get(label or "", 0), label or ""))
    for label in shown[:_SHOWN_LABELS]:
        for _, example in sorted(split.examples[label], key=lambda entry: -entry[0]):
            yield _sample(split.name, example)


def _sample(split: str, example: Example) -> Sample:
    picture = None
    if example.picture is not None:
        try:
            picture = decode_thumbnail(example.picture, _SAMPLED_SIDE, max_pixels=MAX_PIXELS)
        except BadImage:
            picture = None  # it is among the bad rows where it was decoded to be judged
    return Sample(split, example.id, picture, example.text, example.label)


def _facts(split: _Split) -> dict[str, Any]:
    index = split.dataset.index
    shard_bytes = np.bincount(index.shard, weights=index.bytes).astype(np.int64)
    return {
        "rows": split.dataset.rows,
        "bytes": int(index.bytes.sum()),
        "shards": len(index.shards),
        "row_groups": len(index),
        "rows_per_group": _spread(index.rows),
        "bytes_per_group": _spread(index.bytes),
        "bytes_per_shard": _spread(shard_bytes),
        "labels": dict(sorted(split.labels.items())),
        "nulls": dict(split.nulls),
        "tokens": _spread(joined(split.tokens, np.int64)),
        "formats": dict(split.formats.most_common()),
        "sizes": [{"height": h, "width": w, "rows": n} for (h, w), n in split.sizes.most_common(10)],
        "sides": _side_histogram(split.sizes),
        "heights": _spread(np.array([height for height, _ in split.sizes.elements()], np.int64)),
        "widths": _spread(np.array([width for _, width in split.sizes.elements()], np.int64)),
        "pictures_looked_at": split.pictures,
        "pictures_decoded": split.decoded,
        "repeated": {part: split.hashes.get(part, Hashes()).repeated for part in ("id", "image", "text")},
        "bad_rows": split.bad_rows,
        "bad_rows_shown": split.bad,
    }


def _side_histogram(sizes: Counter[tuple[int, int]]) -> list[dict[str, int]]:
    """Pictures by their longer side, in bins up to powers of two."""
    bins: Counter[int] = Counter()
    for (height, width), rows in sizes.items():
        bins[1 << max(0, max(height, width) - 1).bit_length()] += rows
    return [{"most_px": most, "rows": rows} for most, rows in sorted(bins.items())]


def _spread(values: npt.NDArray[np.int64]) -> dict[str, int] | None:
    if not len(values):
        return None
    low, median, high, most = np.percentile(values, (0, 50, 95, 100), method="nearest").tolist()
    return {"least": int(low), "median": int(median), "p95": int(high), "most": int(most)}
