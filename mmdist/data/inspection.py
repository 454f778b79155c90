"""The facts of a dataset for `mmdist data inspect`: counts in full, pictures decoded within bounds."""

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mmdist.data.advice import find_problems
from mmdist.data.dataset import Dataset, open_dataset
from mmdist.data.decode import decode_thumbnail
from mmdist.data.group_look import MAX_PIXELS, Example, GroupLook, LookPlan, look_at_group, read_headers
from mmdist.data.image_header import BadImage
from mmdist.data.index import is_shard_name
from mmdist.data.inspected_split import InspectedSplit, facts_of
from mmdist.data.leakage import Match, find_shared
from mmdist.data.roles import check_columns
from mmdist.data.sound_look import mean_samples
from mmdist.errors import DataRefusedError, Place
from mmdist.spec.data import ColumnsSpec
from mmdist.storage import Store, open_store

__all__ = ["Inspection", "Sample", "guess_columns", "inspect_dataset"]

_PARTS = ("id", "image", "text", "audio", "label")
_SPLITS = ("train", "validation", "test")
_NO_SPLITS = ("quarantine",)
_FILE_BYTES = 4 * 1024**3
_DECODED_UNITS = 10**9
"""Pixels, or samples, that are decoded of a split."""
_LEAST_DECODED = 1000
_MOST_DECODED = 250_000
_EXAMPLES = 6
_SHOWN_LABELS = 40
_WITHOUT_LABELS = 48
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
    sound: npt.NDArray[np.uint8] | None = None
    """The recording's spectrogram, uint8 (48, 96)."""


@dataclass(frozen=True)
class Inspection:
    """What was found: facts that JSON can hold, and rows to show."""

    facts: dict[str, Any]
    samples: list[Sample]
    """By split, then by label, the most frequent first."""
    matches: list[tuple[Match, Sample, Sample]]
    """Rows that two splits share, with both sides."""


def guess_columns(dataset: Dataset) -> ColumnsSpec:
    """The parts whose canonical names the dataset has as columns."""
    return ColumnsSpec(**{part: part for part in _PARTS if part in dataset.schema.names})


def inspect_dataset(
    path: str,
    columns: ColumnsSpec | None = None,
    progress: Callable[[int, int], None] | None = None,
    *,
    everything: bool = False,
) -> Inspection:
    """Looks through a dataset's splits, or through one folder of shards.

    Ids, labels and texts are read in full. Pictures and recordings are hashed and judged by their headers, in full up
    to 4 GiB per split and by evenly spaced row groups beyond. Evenly spaced ones are decoded, to find those that cannot
    be and pictures that nearly look alike: as many as make 10^9 pixels, or samples, per split, but 1,000 to 250,000.

    Args:
        path: The dataset, or one folder of shards, local or remote.
        columns: Which column plays which part; by default, by the columns' names.
        progress: Called with the rows looked at and the rows in all.
        everything: Whether all pictures and recordings are read and decoded, however many there are.

    Raises:
        DataRefusedError: where a folder holds no shards that can be read.
        JobFileError: where there is no such column.
    """
    splits = [InspectedSplit(name, open_dataset(url)) for name, url in _split_folders(path)]
    chosen = columns or guess_columns(splits[0].dataset)
    if not any(chosen.model_dump().values()):
        raise DataRefusedError(
            "no column has the name of a part",
            expected=f"columns named {', '.join(_PARTS[:-1])} or {_PARTS[-1]}",
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
        "splits": {split.name: facts_of(split) for split in splits},
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


def _look_through(split: InspectedSplit, columns: ColumnsSpec, *, everything: bool) -> Iterator[int]:
    dataset = split.dataset
    plan = LookPlan(
        columns=columns,
        first_rows=dataset.index.first_rows,
        with_files=_file_groups(dataset.index.bytes, everything=everything),
        decode_every={"image": 1, "audio": 1} if everything else _decode_every(dataset, columns),
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


def _add_next(split: InspectedSplit, under_way: "deque[Future[GroupLook]]", plan: LookPlan) -> int:
    look = under_way.popleft().result()
    split.add(look, plan.examples)
    return look.rows


def _file_groups(sizes: npt.NDArray[np.int64], *, everything: bool) -> npt.NDArray[np.bool_]:
    total = int(sizes.sum())
    if total <= _FILE_BYTES or everything:
        return np.ones(len(sizes), np.bool_)
    chosen = np.zeros(len(sizes), np.bool_)
    count = max(1, len(sizes) * _FILE_BYTES // total)
    chosen[np.linspace(0, len(sizes) - 1, count).astype(np.int64)] = True
    return chosen


def _decode_every(dataset: Dataset, columns: ColumnsSpec) -> dict[str, int]:
    """Spaces the files that are decoded so that they come to so many units, judged by the first row group."""
    headers = read_headers(dataset, 0, columns.image) if columns.image is not None else []
    units = {
        "image": float(np.mean([header.pixels for header in headers])) if headers else 1.0,
        "audio": mean_samples(dataset, columns.audio) if columns.audio is not None else 1.0,
    }
    spacing = {}
    for part, size in units.items():
        decoded = min(max(_LEAST_DECODED, int(_DECODED_UNITS / max(size, 1.0))), _MOST_DECODED)
        spacing[part] = max(1, -(-dataset.rows // decoded))
    return spacing


def _samples(split: InspectedSplit) -> Iterator[Sample]:
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
    return Sample(split, example.id, picture, example.text, example.label, example.sound)
