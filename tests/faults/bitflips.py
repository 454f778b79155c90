"""Flips single bits of an imported dataset, one at a time, and counts what becomes of each.

    python tests/faults/bitflips.py --flips 10000 --seed 0

Every outcome but `USED SILENTLY` and `TRACEBACK` is as it should be: the job is refused, or reads what was imported.
"""

import argparse
import base64
import faulthandler
import io
import json
import random
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from mmdist.data.collate import Collator
from mmdist.data.dataset import Dataset, open_dataset
from mmdist.data.index import RowGroupIndex, write_index
from mmdist.data.labels import LabelEncoder
from mmdist.data.ledger import EpochLedger
from mmdist.data.stream import scan
from mmdist.data.tokenizer import learn_from_texts
from mmdist.errors import DataRefusedError
from mmdist.importing.folder import DatasetFolder
from mmdist.importing.plan import plan_import
from mmdist.importing.shards import GroupSize, schema_of
from mmdist.importing.sources import open_source
from mmdist.importing.splits import split_columns
from mmdist.importing.task import PartTask
from mmdist.spec.data import ColumnsSpec
from mmdist.spec.importing import ImportSpec, ShareSplitsSpec, TableSourceSpec
from mmdist.spec.text import TextSpec
from mmdist.storage import open_store

LABELS = ("cat", "dog")
SHARD_ROWS, GROUP_ROWS = 24, 12
ROWS = 2 * SHARD_ROWS
# The same dataset read by two jobs: by its own columns, and with a further column in the part of the text.
JOBS = {"text": ColumnsSpec(id="id", image="image", text="text", label="label")}
JOBS["author"] = JOBS["text"].model_copy(update={"text": "author"})
TOKENIZER = learn_from_texts(["a photo of one by the"], TextSpec(tokens=8))
INDEX_ARRAYS = ("shard", "row_group", "rows", "bytes", "footer_sums")
HANG_S = 60

REFUSED_AT_OPEN, REFUSED_AT_READ = "refused at open", "refused at read"
LEDGER, IDENTICAL = "ledger, at the epoch's end", "read back identical"
SILENT, TRACEBACK, UNNAMED = "USED SILENTLY", "TRACEBACK", "REFUSED WITHOUT A PLACE"
OUTCOMES = (REFUSED_AT_OPEN, REFUSED_AT_READ, LEDGER, IDENTICAL, SILENT, TRACEBACK, UNNAMED)
FAULTS = (SILENT, TRACEBACK, UNNAMED)


@dataclass(frozen=True)
class Region:
    """Bytes of a file that mean the same kind of thing, as ranges; `weight` is their share of the flips."""

    name: str
    path: Path
    ranges: tuple[tuple[int, int], ...]
    weight: int


def import_dataset(folder: Path) -> Path:
    """A dataset as the importer writes it, in this process: two shards of two row groups. Returns its split."""
    draw = np.random.default_rng(0)
    lines = []
    for number in range(ROWS):
        sink = io.BytesIO()
        Image.fromarray(draw.integers(0, 256, (6, 5, 3), np.uint8)).save(sink, "PNG")
        words = " ".join(f"word{value}" for value in draw.integers(0, 50, 12))
        row = {"name": f"row-{number}", "text": f"a photo of {words}" if number % 7 else None}
        row |= {"label": LABELS[number % 2], "author": f"by the author {number % 5} of {number}"}
        lines.append(json.dumps({**row, "picture": base64.b64encode(sink.getvalue()).decode()}))
    (folder / "rows.jsonl").write_text("\n".join(lines))
    columns = {"id": "name", "text": "text", "label": "label", "image_bytes": "picture", "columns": ("author",)}
    source = TableSourceSpec(path=str(folder / "rows.jsonl"), **columns)
    splits = ShareSplitsSpec(train=1.0, validation=0.0, test=0.0)
    spec = ImportSpec(source=source, output=str(folder / "data"), splits=splits, rows_per_shard=SHARD_ROWS)
    opened = open_source(source, split_columns=split_columns(splits))
    facts = opened.facts()
    target = DatasetFolder(open_store(spec.output))
    target.claim(name="flips", import_id="flips", splits=("train",))
    task = PartTask(spec, seed=0, size=GroupSize(GROUP_ROWS), facts=facts, grouped=False)
    plan = plan_import(opened.plan(SHARD_ROWS), spec, seed=0)
    shards = [shard for part in plan.parts for shard in task.run(part).shards]
    index = RowGroupIndex.of(group for shard in shards for group in shard.groups)
    schema = schema_of(facts.parts, grouped=False, values=facts.values)
    fingerprint = write_index(target.store.child("train"), index, schema)
    target.finish({"version": 1, "name": "flips", "splits": {"train": {"rows": ROWS, "fingerprint": fingerprint}}})
    return folder / "data" / "train"


def regions(split: Path) -> list[Region]:
    """What is flipped, and how often."""
    shard = split / "part-00000.parquet"
    data = shard.read_bytes()
    footer = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    pages: dict[str, list[tuple[int, int]]] = {}
    for kind, start, stop in _pages(data, shard):
        pages.setdefault(kind, []).append((start, stop))
    weights = {"page headers": 20, "pages: dictionary": 7, "pages: text (zstd)": 10, "pages: pictures": 8}
    found = [Region(f"shard, {kind}", shard, tuple(pages[kind]), weight) for kind, weight in weights.items()]
    found.append(Region("shard, footer", shard, ((footer, len(data) - 8),), 35))
    found.append(Region("shard, lengths and magic", shard, ((0, 4), (len(data) - 8, len(data))), 4))
    for name, weight in (("_index.parquet", 10), ("_mmdist.json", 1), ("../dataset.json", 3), ("../COMMITTED", 2)):
        path = split / name
        found.append(Region(path.name, path, ((0, path.stat().st_size),), weight))
    return found


def campaign(folder: Path, *, flips: int, seed: int) -> tuple[dict[str, Counter[str]], list[str]]:
    """Flips so many bits, each in the whole dataset. Returns outcomes by region, and what went wrong in words."""
    split = import_dataset(folder)
    whole_dataset = open_dataset(str(split))
    expected = _read(whole_dataset)
    draw = random.Random(seed)
    targets = regions(split)
    counts: dict[str, Counter[str]] = {target.name: Counter() for target in targets}
    faults = []
    for number in range(flips):
        (target,) = draw.choices(targets, [target.weight for target in targets])
        start, stop = draw.choice(target.ranges)
        at, bit = draw.randrange(start, stop), draw.randrange(8)
        job = draw.choice(tuple(JOBS))
        whole = target.path.read_bytes()
        damaged = bytearray(whole)
        damaged[at] ^= 1 << bit
        target.path.write_bytes(damaged)
        faulthandler.dump_traceback_later(HANG_S, exit=True)
        try:
            outcome, said = judge(split, target, JOBS[job], expected, whole_dataset.index)
        finally:
            faulthandler.cancel_dump_traceback_later()
            target.path.write_bytes(whole)
        counts[target.name][outcome] += 1
        if outcome in FAULTS:
            faults.append(f"flip {number}: {target.name}, byte {at} bit {bit}, job {job}: {outcome}: {said}")
    return counts, faults


def judge(
    split: Path, target: Region, columns: ColumnsSpec, expected: pa.Table, index: RowGroupIndex
) -> tuple[str, str]:
    """What becomes of the dataset as it lies there, read by a job to the end of an epoch."""
    try:
        dataset = open_dataset(str(split))
    except DataRefusedError as error:
        named = target.path.name in str(error) or (target.path.name == "COMMITTED" and "dataset.json" in str(error))
        return (REFUSED_AT_OPEN if named else UNNAMED), str(error)
    except Exception as error:
        return TRACEBACK, repr(error)
    try:
        ledger = EpochLedger(0)
        collator = Collator(columns, image_size=(6, 5), tokenizer=TOKENIZER, target=LabelEncoder(LABELS))
        with scan(dataset, collator, 16) as batches:
            for batch in batches:
                ledger.add(batch.ledger)
    except DataRefusedError as error:
        named = re.search(rf"{target.path.name}(.|\n)*row group \d|{target.path.name}: the shard", str(error))
        return (REFUSED_AT_READ if named else UNNAMED), str(error)
    except Exception as error:
        return TRACEBACK, repr(error)
    try:
        ledger.check(dataset.index, where=dataset.store.url)
    except DataRefusedError as error:
        return LEDGER, str(error)
    read = [name for name in ("id", columns.image, columns.text, columns.label) if name is not None]
    try:
        same = _read(dataset, read).equals(expected.select(read))
    except DataRefusedError as error:
        return UNNAMED, f"read once, and not again: {error}"
    same_index = all(np.array_equal(getattr(dataset.index, name), getattr(index, name)) for name in INDEX_ARRAYS)
    return (IDENTICAL if same and same_index else SILENT), "" if same else "other rows"


def _read(dataset: Dataset, columns: list[str] | None = None) -> pa.Table:
    names = columns or dataset.schema.names
    return pa.concat_tables([dataset.read_row_group(group, names) for group in range(len(dataset.index))])


def _pages(data: bytes, shard: Path) -> Iterator[tuple[str, int, int]]:
    """Each page's header and its content, with the kind of the content."""
    metadata = pq.ParquetFile(shard).metadata
    for group in range(metadata.num_row_groups):
        for number in range(metadata.num_columns):
            column = metadata.row_group(group).column(number)
            at = column.dictionary_page_offset or column.data_page_offset
            end = at + column.total_compressed_size
            while at < end:
                body, fields = _header(data, at)
                yield "page headers", at, body
                is_image = column.path_in_schema == "image"
                kind = "dictionary" if fields[1] == 2 else "pictures" if is_image else "text (zstd)"
                at = body + fields[3]
                yield f"pages: {kind}", body, at


def _header(data: bytes, at: int) -> tuple[int, dict[int, int]]:
    """Where a struct in Thrift's compact protocol ends, and its integer fields."""
    fields: dict[int, int] = {}
    field = 0
    while data[at]:
        kind, step = data[at] & 15, data[at] >> 4
        at += 1
        if not step:
            field, at = _varint(data, at)
        field += step
        if kind in (3, 4, 5, 6):
            fields[field], at = _varint(data, at)
        elif kind == 8:
            length, at = _varint(data, at, signed=False)
            at += length
        elif kind == 12:
            at, _ = _header(data, at)
    return at + 1, fields


def _varint(data: bytes, at: int, *, signed: bool = True) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (data[at] & 127) << shift
        shift += 7
        at += 1
        if data[at - 1] < 128:
            return (value >> 1 ^ -(value & 1) if signed else value), at


def table(counts: dict[str, Counter[str]]) -> str:
    """The counts as a Markdown table."""
    rows = [["", *OUTCOMES, "flips"]]
    rows += [[name, *(str(count[key]) for key in OUTCOMES), str(count.total())] for name, count in counts.items()]
    total: Counter[str] = sum(counts.values(), Counter())
    rows.append(["all", *(str(total[key]) for key in OUTCOMES), str(total.total())])
    rows.insert(1, ["---", *("---:" for _ in rows[0][1:])])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--flips", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        counts, faults = campaign(Path(folder), flips=options.flips, seed=options.seed)
    sys.stdout.write(table(counts) + "\n")
    sys.stderr.write("".join(f"{fault}\n" for fault in faults))
    sys.stdout.write(f"{options.flips} flips, seed {options.seed}; {len(faults)} used silently or badly refused\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
