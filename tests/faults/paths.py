"""Drives the four paths that read rows, in this process and without Ray or TensorFlow, and notes what each saw."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pictures import SIDE
from test_audio import SPEC as AUDIO

from mmdist.data.audio import decode_audio, log_mel
from mmdist.data.collate import Collator
from mmdist.data.dataset import Dataset, open_dataset
from mmdist.data.decode import decode_image
from mmdist.data.labels import LabelEncoder
from mmdist.data.ledger import EpochLedger
from mmdist.data.order import plan_epoch
from mmdist.data.quarantine import BadRowBudget, QuarantineWriter
from mmdist.data.roles import check_columns
from mmdist.data.stream import BatchStream
from mmdist.data.tokenizer import learn_from_texts
from mmdist.evaluation.evaluate import evaluate_model
from mmdist.importing.folder import DatasetFolder
from mmdist.importing.plan import plan_import
from mmdist.importing.shards import GroupSize
from mmdist.importing.sources import open_source
from mmdist.importing.task import PartTask
from mmdist.models import ArtifactInfo
from mmdist.prediction.columns import columns_for_model
from mmdist.prediction.output import PredictionFolder
from mmdist.prediction.predictor import StopRequest, predict_range
from mmdist.prediction.ranges import plan_ranges
from mmdist.spec.data import ColumnsSpec, ImageSpec, LanesOrderSpec
from mmdist.spec.evaluation import EvaluationSpec
from mmdist.spec.importing import ImportSpec, ShareSplitsSpec, TableSourceSpec
from mmdist.spec.model import ModelSpec
from mmdist.spec.task import ClassificationSpec
from mmdist.spec.text import TextSpec
from mmdist.storage import open_store

LABELS = ("cat", "dog")
COLUMNS = ColumnsSpec(id="id", image="image", text="text", audio="audio", label="label")
MAX_PIXELS = 1_000_000
TOKENS = 8
TOKENIZER = learn_from_texts(["a red cat word"], TextSpec(tokens=TOKENS))
BATCH = 16


@dataclass
class Seen:
    """By number in the source: what was made of the rows that were used, ids, and reasons of the others."""

    pixels: dict[int, np.ndarray] = field(default_factory=dict)
    tokens: dict[int, np.ndarray] = field(default_factory=dict)
    sounds: dict[int, np.ndarray] = field(default_factory=dict)
    ids: dict[int, str | None] = field(default_factory=dict)
    bad: dict[int, tuple[str, str]] = field(default_factory=dict)
    shards: set[str] = field(default_factory=set)

    def note(self, row: int, inputs: Mapping[str, np.ndarray], place: int) -> None:
        """What a model is shown of a row."""
        for name, noted in (("image", self.pixels), ("text", self.tokens), ("audio", self.sounds)):
            if name in inputs:
                noted[row] = inputs[name][place]


def columns_of(dataset: Dataset) -> ColumnsSpec:
    """Those of a whole job, and without recordings where the dataset has none."""
    return COLUMNS if "audio" in dataset.schema.names else COLUMNS.model_copy(update={"audio": None})


def collator(columns: ColumnsSpec = COLUMNS, *, labels: bool = True) -> Collator:
    """As every job makes it; a predict job's knows no labels."""
    return Collator(
        columns if labels else columns.model_copy(update={"label": None}),
        image_size=(SIDE, SIDE),
        max_pixels=MAX_PIXELS,
        tokenizer=TOKENIZER,
        audio=AUDIO,
        target=LabelEncoder(LABELS) if labels else None,
        threads=2,
    )


def budget(run: Path, rows: int, *, max_bad_rows: int | float = 10_000, on_bad_row: Any = "quarantine") -> BadRowBudget:
    """A job's budget, with its quarantine in the run's folder."""
    return BadRowBudget(max_bad_rows, rows, on_bad_row, quarantine=QuarantineWriter(open_store(str(run)), 1, "test"))


def read_quarantine(run: Path, seen: Seen) -> None:
    """What the files on disk say, which is what the user sees."""
    for path in sorted((run / "quarantine").glob("*.parquet")):
        for row in pq.read_table(path).to_pylist():
            assert row["row"] not in seen.bad, "a row is listed once"
            seen.bad[row["row"]] = (row["column"], row["reason"])
            seen.ids[row["row"]] = row["id"]
            seen.shards.add(row["shard"])


def train(folder: Path, run: Path, **borne: Any) -> Seen:
    """One epoch of the training's stream, to the ledger's check."""
    dataset = open_dataset(str(folder))
    check_columns(dataset, columns_of(dataset))
    counted = budget(run, dataset.rows, **borne)
    plan = plan_epoch(
        dataset.index.rows,
        fingerprint=dataset.fingerprint,
        seed=0,
        epoch=0,
        global_batch_size=BATCH,
        order=LanesOrderSpec(lanes=4),
    )
    seen, ledger = Seen(), EpochLedger(0)
    with BatchStream(dataset, plan, collator(columns_of(dataset))) as stream:
        for batch in stream:
            counted.add(batch.bad)
            ledger.add(batch.ledger)
            for place in np.flatnonzero(batch.mask).tolist():
                row = int(batch.row[place])
                assert row not in seen.pixels, "a row is fed once"
                seen.note(row, batch.inputs(), place)
                seen.ids[row] = batch.ids[place]
            # Whatever a bad row held, the model is shown nothing of it.
            masked = batch.mask == 0
            assert not any(values[masked].any() for values in batch.inputs().values())
    counted.flush()
    ledger.check(dataset.index, where=dataset.store.url)
    read_quarantine(run, seen)
    return seen


def evaluate(folder: Path, run: Path, **borne: Any) -> Seen:
    """evaluate_model with a model that is arithmetic, to predictions.parquet."""
    dataset = open_dataset(str(folder))
    check_columns(dataset, columns_of(dataset))
    counted = budget(run, dataset.rows, **borne)
    calls: list[Mapping[str, np.ndarray]] = []
    done = evaluate_model(
        _recorder(calls),
        dataset,
        collator(columns_of(dataset)),
        task=ClassificationSpec(),
        labels=LABELS,
        spec=EvaluationSpec(batch_size=BATCH, bootstrap_samples=100),
        run=open_store(str(run)),
        split="test",
        seed=0,
        model={},
        on_bad_rows=counted.add,
    )
    counted.flush()
    seen = Seen()
    read_quarantine(run, seen)
    # Each batch is shown whole, and then without each of what it has.
    inputs = _by_row(calls[0 :: 1 + len(columns_of(dataset).modalities)])
    for record in pq.read_table(run / "report" / "predictions.parquet").to_pylist():
        row = record["row"]
        seen.note(row, inputs, row)
        seen.ids[row] = record["id"]
    assert done["rows"]["evaluated"] == len(seen.pixels)
    assert done["rows"]["quarantined"] == len(seen.bad)
    return seen


def predict(folder: Path, run: Path, **borne: Any) -> Seen:
    """Every range through the predictor's function, to the output shards."""
    dataset = open_dataset(str(folder))
    info = model_info(columns_of(dataset))
    columns = columns_for_model(info.columns, info, dataset)
    counted = budget(run, dataset.rows, **borne)
    seen = Seen()
    calls: list[Mapping[str, np.ndarray]] = []
    output = PredictionFolder(open_store(str(run / "predictions")))
    ledger = EpochLedger(0)
    for range_ in plan_ranges(dataset.index.rows.tolist(), labels=len(LABELS)):
        record = predict_range(
            range_,
            dataset=dataset,
            collator=Collator(columns, (SIDE, SIDE), MAX_PIXELS, TOKENIZER, audio=AUDIO, threads=2),
            info=info,
            forward=_recorder(calls),
            output=output,
            batch_size=BATCH,
            stop=StopRequest(open_store(str(run))),
        )
        counted.add(record.bad)
        ledger.add(EpochLedger.from_state(record.ledger).total)
    ledger.check(dataset.index, where=dataset.store.url)
    counted.flush()
    read_quarantine(run, seen)
    inputs = _by_row(calls)
    found = pq.read_table(run / "predictions", partitioning=None).to_pylist()
    assert len(found) == dataset.rows
    for row, record in enumerate(found):
        column, reason = seen.bad.get(row, ("", None))
        assert record["error"] == (f"{column}: {reason}" if column else reason)
        assert (record["predicted"] is None) == (record["error"] is not None)
        assert seen.ids.setdefault(row, record["id"]) == record["id"]
        if record["error"] is None:
            seen.note(row, inputs, row)
    return seen


def import_table(table: Path, output: Path, **keys: Any) -> Seen:
    """Every part of an import of a table that holds its pictures."""
    columns = {"id": "id", "image_bytes": "image", "text": "text", "audio_bytes": "audio", "label": "label"}
    source = TableSourceSpec(path=str(table), **{**columns, **keys.pop("columns", {})})
    spec = ImportSpec(
        source=source,
        output=str(output),
        splits=ShareSplitsSpec(train=1.0, validation=0.0, test=0.0),
        max_pixels=MAX_PIXELS,
        max_samples=AUDIO.max_samples,
        **keys,
    )
    opened = open_source(source)
    task = PartTask(spec, seed=0, size=GroupSize(GROUP_ROWS), facts=opened.facts(), grouped=False)
    DatasetFolder(open_store(spec.output)).claim(name="rows", import_id="rows", splits=("train",))
    plan = plan_import(opened.plan(spec.rows_per_shard), spec, seed=0)
    results = [task.run(part) for part in plan.parts]
    seen = Seen()
    read_quarantine(output, seen)
    assert sum(result.bad_rows for result in results) == len(seen.bad)
    numbers = {record["id"]: row for row, record in enumerate(_stored(table)) if row not in seen.bad}
    for path in sorted((output / "train").glob("part-*.parquet")):
        for record in pq.read_table(path).to_pylist():
            row = numbers.pop(record["id"])
            seen.ids[row] = record["id"]
            seen.tokens[row] = TOKENIZER.encode([record["text"] or ""])[0]
            seen.pixels[row] = np.zeros((SIDE, SIDE, 3), np.uint8)
            if record["image"] is not None:
                decode_image(record["image"], seen.pixels[row], max_pixels=MAX_PIXELS)
            seen.sounds[row] = np.zeros(AUDIO.shape, np.float32)
            if record["audio"] is not None:
                seen.sounds[row] = log_mel(decode_audio(record["audio"], AUDIO), AUDIO)
    assert not numbers, "a row is in the shards or in the quarantine"
    return seen


GROUP_ROWS = 7


def _stored(table: Path) -> list[dict[str, Any]]:
    column = pq.read_table(table, columns=["id"])["id"]
    ids = (column.cast(pa.binary()) if column.type == pa.string() else column.cast(pa.string())).to_pylist()
    return [{"id": value.decode(errors="replace") if isinstance(value, bytes) else value} for value in ids]


def _recorder(calls: list[Mapping[str, np.ndarray]]) -> Any:
    def forward(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        calls.append({name: values.copy() for name, values in inputs.items()})
        bright = inputs["image"].mean(axis=(1, 2, 3)) / 512 + inputs["text"][:, 0] / 100
        return {"probabilities": np.stack([bright, 1 - bright], axis=1).astype(np.float32)}

    return forward


def _by_row(calls: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {name: np.concatenate([call[name] for call in calls]) for name in calls[0]}


def model_info(columns: ColumnsSpec = COLUMNS) -> ArtifactInfo:
    """Facts of a model that reads pictures, texts and recordings."""
    return ArtifactInfo(
        run_id="none",
        step=1,
        epoch=1,
        columns=columns,
        image=ImageSpec(size=(SIDE, SIDE), max_pixels=MAX_PIXELS),
        text=TextSpec(tokens=TOKENS),
        audio=AUDIO,
        vocabulary=TOKENIZER.size,
        tokenizer_sha256=TOKENIZER.sha256,
        labels=LABELS,
        task=ClassificationSpec(),
        model=ModelSpec(),
        seed=0,
    )
