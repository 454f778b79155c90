"""Imports a dataset: plans the parts, has them written on Ray Data, and finishes the folder with index and card.

Ray is initialised by the caller. Nothing here depends on the number of workers: equal inputs give equal shards.
"""

import hashlib
import json
import pickle
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from mmdist import __version__
from mmdist.data.index import RowGroupIndex, write_index
from mmdist.data.quarantine import rows_borne
from mmdist.errors import DataRefusedError, MmdistError, Place, WorkerLostError
from mmdist.importing.folder import QUARANTINE, DatasetFolder
from mmdist.importing.plan import ImportPlan, plan_import
from mmdist.importing.shards import GroupSize, ShardResult, default_group_rows, schema_of
from mmdist.importing.sources import Source, open_source
from mmdist.importing.splits import SPLITS, check_columns, check_splits, possible_splits, split_columns
from mmdist.importing.task import MAX_EXAMPLES, Part, PartResult, PartTask, write_quarantine
from mmdist.spec.importing import ImportSpec, ShareSplitsSpec
from mmdist.storage import Attend, is_remote, open_store, unattended

__all__ = ["ImportProgress", "ImportResult", "is_imported", "run_import"]

FORMAT_VERSION = 1
# A block is one task; more of them than this only cost the scheduler time.
MAX_BLOCKS = 2000
# What changes neither the rows nor their order: where the data lies, and how many bad rows are borne.
NOT_IDENTITY: dict[str, Any] = {
    "output": True,
    "on_bad_row": True,
    "max_bad_rows": True,
    "source": {"path", "data_dir", "download"},
}
# What imports could not be told at first: left at its default, it makes no other dataset than before.
ADDED_LATER: dict[str, Any] = {"max_samples": True, "source": {"audio", "audio_bytes"}}


@dataclass(frozen=True)
class ImportProgress:
    """How far an import is."""

    rows: int
    total_rows: int
    bad_rows: int
    parts: int
    total_parts: int


@dataclass(frozen=True)
class ImportResult:
    """The dataset's card; `skipped` where the dataset was there already, made from the same inputs."""

    card: dict[str, Any]
    skipped: bool
    duration_s: float


def is_imported(spec: ImportSpec) -> dict[str, Any] | None:
    """The card of the dataset when it was imported from the same inputs already; None when there is work to do.

    It needs no Ray, and no look at the source where the output holds no finished dataset. The job's name does not
    count: the same rows under another name are the same dataset.

    Raises:
        DataRefusedError: when the output holds a finished dataset that was made from something else.
        MmdistError: when the source cannot be used.
    """
    folder = DatasetFolder(open_store(spec.output))
    card = folder.finished_card()
    if card is not None:
        source = _open(spec)
        folder.refuse_other(card, _import_id(spec, source.fingerprint()))
    return card


def run_import(
    spec: ImportSpec,
    *,
    name: str,
    on_progress: Callable[[ImportProgress], None] | None = None,
    attend: Attend = unattended,
) -> ImportResult:
    """Imports a dataset, or finds that it is there already.

    Args:
        spec: The `import` section.
        name: The job's name, kept in the card.
        on_progress: Called after each part; what it raises ends the import.
        attend: Entered by a task around its part, and told of each row.

    Raises:
        JobFileError: when the spec asks for what the source does not have.
        DataRefusedError: when the source cannot be used, more rows are bad than are borne, or the output is taken.
        StorageError: when storage fails, a full disk among others. What is there then is never taken for finished.
        WorkerLostError: when a task was lost and its retries are spent.
    """
    start = time.monotonic()
    spec = _absolute(spec)
    finished = is_imported(spec)
    if finished is not None:
        return ImportResult(finished, skipped=True, duration_s=time.monotonic() - start)
    source = _open(spec)
    facts = source.facts()
    check_columns(facts)
    check_splits(spec.splits, facts)
    plan = plan_import(source.plan(spec.rows_per_shard), spec, seed=spec.seed)
    source_fingerprint = source.fingerprint()
    import_id = _import_id(spec, source_fingerprint)
    folder = DatasetFolder(open_store(spec.output))
    folder.claim(name=name, import_id=import_id, splits=possible_splits(spec.splits))
    done = _Tally(spec, plan, folder, on_progress)
    write_quarantine(folder.store, len(plan.parts), plan.bad)
    done.add_bad([f"{row.id}: {row.column}: {row.reason}" for row in plan.bad[:MAX_EXAMPLES]], len(plan.bad))
    grouped = facts.grouped or (isinstance(spec.splits, ShareSplitsSpec) and spec.splits.group is not None)
    size = GroupSize(spec.rows_per_group, None) if spec.rows_per_group else GroupSize(default_group_rows(plan.rows))
    task = PartTask(spec, seed=spec.seed, size=size, facts=facts, grouped=grouped, attend=attend)
    for result in _run_parts(plan.parts, task):
        done.add(result)
    done.check_complete()
    schema = schema_of(facts.parts, grouped=grouped, values=facts.values)
    splits = _finish_splits(folder, done, schema, import_id, possible_splits(spec.splits))
    card = {
        "version": FORMAT_VERSION,
        "name": name,
        "title": facts.title,
        "description": facts.description,
        "licence": facts.licence,
        "attribution": facts.attribution,
        "source": spec.source.model_dump(mode="json"),
        "source_fingerprint": source_fingerprint,
        "split_by": spec.splits.model_dump(mode="json"),
        "seed": spec.seed,
        "import_id": import_id,
        "columns": {field.name: str(field.type) for field in schema},
        "labels": sorted({label for split in splits.values() for label in split["labels"]}),
        "splits": splits,
        "quarantined": done.bad_rows,
        "left_out": dict(facts.left_out),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "mmdist": __version__,
        "versions": {"pyarrow": pa.__version__, **facts.versions},
    }
    folder.finish(card)
    return ImportResult(card, skipped=False, duration_s=time.monotonic() - start)


class _Tally:
    """What the parts have done so far, held against the rows that are borne."""

    def __init__(
        self,
        spec: ImportSpec,
        plan: ImportPlan,
        folder: DatasetFolder,
        on_progress: Callable[[ImportProgress], None] | None,
    ) -> None:
        self.bad_rows = 0
        self.shards: list[ShardResult] = []
        self._spec, self._plan, self._folder, self._on_progress = spec, plan, folder, on_progress
        self._limit = rows_borne(spec.max_bad_rows, plan.rows, spec.on_bad_row)
        self._rows = len(plan.bad)
        self._parts: set[int] = set()
        self._examples: list[str] = []

    def add(self, result: PartResult) -> None:
        """Counts a part's result. Raises its error, or DataRefusedError once too many rows are bad."""
        if result.error is not None:
            raise result.error
        self._parts.add(result.number)
        self._rows += result.rows
        self.shards += result.shards
        self.add_bad(result.examples, result.bad_rows)
        if self._on_progress is not None:
            self._on_progress(
                ImportProgress(self._rows, self._plan.rows, self.bad_rows, len(self._parts), len(self._plan.parts))
            )

    def add_bad(self, examples: list[str], count: int) -> None:
        """Counts bad rows. Raises DataRefusedError once there are too many."""
        self.bad_rows += count
        self._examples = (self._examples + examples)[:MAX_EXAMPLES]
        if self.bad_rows <= self._limit:
            return
        fail = self._spec.on_bad_row == "fail"
        raise DataRefusedError(
            "a row cannot be used, and on_bad_row is `fail`" if fail else "too many rows cannot be used",
            expected=f"at most {self._limit} of {self._plan.rows} rows"
            + ("" if fail else f" (max_bad_rows: {self._spec.max_bad_rows:g})"),
            received=f"{self.bad_rows} bad rows in {self._rows} rows so far: {'; '.join(self._examples)}",
            place=Place(file=f"{self._folder.store.url}/{QUARANTINE}", key="import.max_bad_rows"),
            remedy="mend the rows (the quarantine folder names them), or raise import.max_bad_rows",
        )

    def check_complete(self) -> None:
        """Every part has come back, and gave at least one row in all."""
        missing = len(self._plan.parts) - len(self._parts)
        if missing:
            raise MmdistError(f"{missing} of {len(self._plan.parts)} parts of the import gave no result")
        if not self.shards:
            raise DataRefusedError(
                "not one row could be imported",
                received=f"{self.bad_rows} bad rows of {self._rows}; the first: {'; '.join(self._examples)}",
                place=Place(file=f"{self._folder.store.url}/{QUARANTINE}"),
                remedy="mend the rows: the quarantine folder names them",
            )


def _open(spec: ImportSpec) -> Source:
    return open_source(spec.source, split_columns=split_columns(spec.splits))


def _absolute(spec: ImportSpec) -> ImportSpec:
    """The spec with local folders in full: workers run in folders of their own."""
    places = {name: getattr(spec.source, name, None) for name in ("path", "data_dir")}
    full = {name: open_store(place).url for name, place in places.items() if place and not is_remote(place)}
    source = spec.source.model_copy(update=full)
    return spec.model_copy(update={"source": source, "output": open_store(spec.output).url})


def _import_id(spec: ImportSpec, source_fingerprint: str) -> str:
    apart = {**NOT_IDENTITY, **ADDED_LATER, "source": NOT_IDENTITY["source"] | ADDED_LATER["source"]}
    facts: dict[str, Any] = {
        "format": FORMAT_VERSION,
        "spec": spec.model_dump(mode="json", exclude=apart),
        "source": source_fingerprint,
    }
    added = spec.model_dump(mode="json", include=ADDED_LATER, exclude_defaults=True)
    if added != {"source": {}}:
        facts["added"] = added
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _run_parts(parts: list[Part], task: PartTask) -> Iterator[PartResult]:
    if not parts:
        return
    import ray
    import ray.data

    if not ray.is_initialized():
        raise MmdistError("run_import needs Ray to be initialised by its caller")
    items = [{"part": pickle.dumps(part)} for part in parts]
    blocks = ray.data.from_items(items, override_num_blocks=min(len(items), MAX_BLOCKS))
    blocks.context.enable_progress_bars = False
    try:
        for row in blocks.map(task, num_cpus=1).iter_rows():
            yield pickle.loads(row["result"])
    except ray.exceptions.RayTaskError:
        raise
    except ray.exceptions.RayError as error:
        raise WorkerLostError(
            "a task of the import was lost, and its retries are spent",
            received=f"{type(error).__name__}: {str(error).splitlines()[0]}",
            remedy="look at the memory and the disks of the nodes, then submit again",
        ) from error


def _finish_splits(
    folder: DatasetFolder, done: _Tally, schema: pa.Schema, import_id: str, splits: tuple[str, ...]
) -> dict[str, Any]:
    """Writes the indexes, after every shard of every split is there. Returns what the card says of the splits."""
    for name in (*splits, QUARANTINE):
        folder.check_owner(name, import_id)
    facts = {}
    for name in SPLITS:
        shards = [shard for shard in done.shards if shard.split == name]
        if not shards:
            if name in splits:
                folder.drop_if_empty(name)
            continue
        index = RowGroupIndex.of(group for shard in shards for group in shard.groups)
        labels: Counter[str] = sum((shard.labels for shard in shards), Counter())
        facts[name] = {
            "rows": index.total_rows,
            "bytes": sum(shard.bytes for shard in shards),
            "shards": len(shards),
            "row_groups": len(index),
            "fingerprint": write_index(folder.store.child(name), index, schema),
            "labels": dict(sorted(labels.items())),
        }
    folder.drop_if_empty(QUARANTINE)
    return facts
