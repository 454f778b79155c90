"""A tiny dataset with a train job over it, and runs of it in processes of their own, with faults."""

import hashlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import soundfile
from PIL import Image

from mmdist.data.content import content_sums
from mmdist.data.index import RowGroupFacts, RowGroupIndex, write_index
from mmdist.spec.dump import dump_job
from mmdist.spec.job import TrainJob
from mmdist.storage import open_store

SIDE = 12
LABELS = ("circle", "square", "star")
TRAIN_ROWS = 90
BATCH = 16
BATCHES = 6


def write_split(
    folder: Path, rows: int, *, seed: int, bad: int | None = None, index: bool = True, audio: bool = False
) -> str:
    """Noise with a tint and a word by label; some rows lack picture, text or fields, and `bad` has an empty picture.

    With `audio` most rows have a tone too, whose pitch goes by the label.
    """
    rng = np.random.default_rng(seed)
    records = []
    for number in range(rows):
        label = int(rng.integers(len(LABELS)))
        pixels = rng.integers(0, 120, (SIDE, SIDE, 3)).astype(np.uint8)
        pixels[..., label] += 60
        picture = io.BytesIO()
        Image.fromarray(pixels).save(picture, "PNG")
        words = rng.choice(["a", "blue", "large", "old", LABELS[label]], 4)
        image: bytes | None = picture.getvalue()
        text: str | None = " ".join(words)
        if number % 10 == 3:
            image = None
        elif number % 10 == 7:
            text = None
        fields: dict[str, Any] = {"weight": label + rng.normal(), "kind": str(rng.choice(["a", "b"]))}
        if number % 8 == 5:
            fields = dict.fromkeys(fields) if number % 16 == 5 else {**fields, "weight": None}
        name = f"{folder.name}-{number}"
        records.append({"id": name, "image": image, "text": text, "label": LABELS[label], **fields})
        if audio:
            records[-1]["audio"] = None if number % 6 == 4 else tone(300 * (1 + label), flac=number % 2 == 0)
    if bad is not None:
        records[bad]["image"] = b""
    schema = pa.schema({"id": pa.string(), "image": pa.binary(), "text": pa.string(), "label": pa.string()})
    schema = schema.append(pa.field("weight", pa.float64())).append(pa.field("kind", pa.string()))
    if audio:
        schema = schema.append(pa.field("audio", pa.binary()))
    table = pa.Table.from_pylist(records, schema)
    folder.mkdir(parents=True)
    facts = []
    half = rows // 2
    for shard, part in enumerate((table[:half], table[half:])):
        name = f"part-{shard:05d}.parquet"
        pq.write_table(part, folder / name, row_group_size=7, write_page_checksum=True)
        file = pq.ParquetFile(folder / name)
        for group in range(file.num_row_groups):
            read = file.read_row_group(group)
            facts.append(RowGroupFacts(name, group, read.num_rows, read.nbytes, content_sums(read)))
    if index:
        (folder / "_mmdist.json").write_text('{"version": 1}')
        write_index(open_store(str(folder)), RowGroupIndex.of(facts), schema)
    return str(folder)


def tone(hertz: float, *, flac: bool = False) -> bytes:
    """A tenth of a second, at 8 kHz."""
    out = io.BytesIO()
    samples = np.sin(2 * np.pi * hertz * np.arange(800) / 8000) / 2
    soundfile.write(out, samples, 8000, format="FLAC" if flac else "WAV")
    return out.getvalue()


def write_data(folder: Path, *, index: bool = True, audio: bool = False) -> dict[str, str]:
    """The three splits, by name."""
    return {
        "train": write_split(folder / "train", TRAIN_ROWS, seed=1, bad=40, index=index, audio=audio),
        "validation": write_split(folder / "validation", 20, seed=2, index=index, audio=audio),
        "test": write_split(folder / "test", 30, seed=3, index=index, audio=audio),
    }


def job_dict(data: dict[str, str], **changes: Any) -> dict[str, Any]:
    """A job with everything that chance plays a part in: dropout, augmentation, two replicas, a short last batch."""
    job: dict[str, Any] = {
        "kind": "train",
        "name": "tiny",
        "seed": 7,
        "data": {
            **data,
            "columns": {
                **{name: name for name in ("id", "image", "text", "label")},
                "tabular": {"numbers": ["weight"], "categories": ["kind"]},
            },
            "max_bad_rows": 3,
            "order": {"type": "lanes", "lanes": 4},
            "image": {"size": [SIDE, SIDE], "augment": [{"type": "flip"}, {"type": "shift"}, {"type": "mixup"}]},
            "text": {"tokens": 6, "vocabulary": 50, "augment": [{"type": "word_dropout", "share": 0.2}]},
        },
        "model": {
            "image": {"type": "cnn", "filters": [4, 8], "units": 8},
            "text": {"type": "bilstm", "embedding": 6, "lstm_units": 4, "units": 6},
            "tabular": {"type": "mlp", "width": 3, "layers": [5]},
            "regularization": {"dropout": 0.3, "l2": 0.001},
        },
        "train": {
            "epochs": 3,
            "global_batch_size": BATCH,
            "optimizer": {"type": "adam", "learning_rate": 0.01},
            "checkpoint": {"every": 4, "keep_last": 2},
        },
        "evaluation": {"bootstrap_samples": 100, "batch_size": 16},
        "resources": {"replicas_per_worker": 2, "cpus_per_worker": 2},
    }
    for path, value in changes.items():
        section = job
        *above, last = path.split("__")
        for name in above:
            section = section.setdefault(name, {})
        section[last] = value
    return job


def write_run(folder: Path, job: dict[str, Any]) -> Path:
    """A run directory as the runtime makes it."""
    folder.mkdir(parents=True)
    text = dump_job(TrainJob.model_validate(job)).encode()
    (folder / "job.yaml").write_bytes(text)
    (folder / "job.sha256").write_text(hashlib.sha256(text).hexdigest())
    return folder


def start_worker(run: Path, *, attempt: int, fault: str = "none", rank: int = 0, **environment: str) -> Any:
    """A worker process; `fault` is one of faulty_worker.py's."""
    return subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("faulty_worker.py")), str(run), str(attempt), fault, str(rank)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[3]), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run_worker(run: Path, *, attempt: int, fault: str = "none", report: bool = False) -> tuple[int, str]:
    """Its exit code and what it wrote on stderr. Most tests can do without the evaluation and its seconds."""
    process = start_worker(run, attempt=attempt, fault=fault, TEST_REPORT=str(int(report)))
    out, err = process.communicate(timeout=240)
    assert out == "", "a worker prints nothing on stdout"
    return process.returncode, err


def events(run: Path, kind: str) -> list[dict[str, Any]]:
    """The facts of a run's events of a kind, in order."""
    found = [json.loads(path.read_text()) for path in sorted((run / "events").glob("*.json"))]
    return [event["facts"] for event in found if event["kind"] == kind]
