"""Writes run directories such as a job leaves behind, from made-up predictions."""

import hashlib
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, ImageDraw

from mmdist.evaluation.metrics import scored_metrics
from mmdist.evaluation.mistakes import MISTAKES_SCHEMA
from mmdist.evaluation.paths import EVALUATION, MISTAKES
from mmdist.evaluation.scores import RowScores, score_rows
from mmdist.spec.evaluation import EvaluationSpec
from mmdist.storage import EventWriter, Store, claim_attempt, open_store

GROUPS = ("Activities", "Animals", "Food", "Objects", "People", "Smileys", "Symbols", "Travel")
JOB = """kind: train
name: openmoji
storage: s3://somebody:hunter2@bucket/runs?secret_key=hunter3
seed: 0
train:
  epochs: 8
  checkpoint: {keep_best: {metric: val/accuracy, mode: max, count: 1}}
"""


def scores_of(rows: int, classes: int, *, strength: float, seed: int = 0) -> RowScores:
    random = np.random.default_rng(seed)
    weights = random.dirichlet(np.full(classes, 3.0))
    truth = random.choice(classes, size=rows, p=weights)
    truth[: min(rows, classes)] = np.arange(classes)[:rows]
    logits = random.normal(size=(rows, classes)) * 1.3
    logits[np.arange(rows), truth] += strength
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    return score_rows(truth, exponents / exponents.sum(axis=1, keepdims=True))


def write_run(
    folder: Path,
    *,
    labels: Sequence[str] = GROUPS,
    rows: int = 342,
    strength: float = 3.0,
    modalities: Sequence[str] = ("image", "text"),
    epochs: int = 8,
    mistakes: int = 6,
    texts: Sequence[str] = ("grinning face", "red apple"),
    name: str = "openmoji",
    licence: str = "https://creativecommons.org/licenses/by-sa/4.0/",
    evaluated: bool = True,
) -> Store:
    run = open_store(str(folder / f"{name}-20260301-120000-ab12"))
    run.write_bytes("job.yaml", JOB.encode())
    _write_events(run, licence)
    _write_metrics(run, epochs)
    for epoch in range(epochs):
        run.write_bytes(f"ledger/epoch-{epoch}.json", json.dumps(ledger_state(epoch)).encode())
    if not evaluated:
        return run
    scores = scores_of(rows, len(labels), strength=strength)
    spec = EvaluationSpec(bootstrap_samples=200)
    withheld = {
        modality: scores_of(rows, len(labels), strength=strength / 2) for modality in modalities if len(modalities) > 1
    }
    evaluation = {
        "version": 1,
        "split": "test",
        "seed": 0,
        "confidence": spec.confidence,
        "bootstrap_samples": spec.bootstrap_samples,
        "model": {"run_id": "openmoji-20260301-120000-ab12", "epoch": 4, "step": 90, "parameters": 1_234_567},
        "dataset": dataset_facts(licence),
        "rows": {
            "expected": rows + 2,
            "evaluated": rows,
            "quarantined": 2,
            "present": dict.fromkeys(modalities, rows),
            "reasons": [{"column": "image", "reason": "the picture is truncated", "rows": 2}],
        },
        "labels": list(labels),
        "metrics": scored_metrics(scores, labels, spec, 0, withheld=withheld),
    }
    _write_mistakes(run, scores, labels, texts, mistakes)
    run.write_bytes(EVALUATION, json.dumps(evaluation).encode())
    return run


def ledger_state(epoch: int, *, fed: int = 1100, expected_sums: dict[str, str] | None = None) -> dict[str, Any]:
    return {
        "version": 1,
        "epoch": epoch,
        "fed_rows": fed,
        "fed_sums": {"id": "ffffffffffffffff"},
        "quarantined_rows": 3,
        "quarantined_sums": {"id": "0000000000000002"},
        "expected_rows": 1103,
        "expected_sums": {"id": "0000000000000001"} if expected_sums is None else expected_sums,
    }


def dataset_facts(licence: str) -> dict[str, Any]:
    return {
        "url": "/data/openmoji/test",
        "rows": 344,
        "fingerprint": hashlib.sha256(b"openmoji").hexdigest(),
        "name": "openmoji",
        "description": None,
        "licence": licence,
        "attribution": "Emoji by OpenMoji, the open-source emoji and icon project",
        "citation": None,
    }


def picture(seed: int) -> bytes:
    random = np.random.default_rng(seed)
    image = Image.new("RGB", (64, 64), "white")
    draw = ImageDraw.Draw(image)
    color = tuple(int(value) for value in random.integers(40, 220, 3))
    draw.ellipse((8, 8, 56, 56), fill=color, outline="black", width=2)
    data = io.BytesIO()
    image.save(data, format="PNG")
    return data.getvalue()


def _write_events(run: Store, licence: str) -> None:
    versions = {"python": "3.11.9", "tensorflow": "2.21.0", "mmdist": "0.1.0"}
    driver = claim_attempt(run, {"versions": versions, "seed": 0})
    worker = EventWriter(run, 1, "worker-0.0")
    worker.write("devices", kind="CPU", replicas=2, names=["CPU:0", "CPU:1"], threads=2, deterministic=True)
    worker.write("datasets", **{split: dataset_facts(licence) for split in ("train", "validation", "test")})
    worker.write("resumed", checkpoint="checkpoints/00000040-0001.0", epoch=2, next_batch=4, step=40)
    driver.write("finished", state="succeeded", exit_code=0)


def _write_metrics(run: Store, epochs: int) -> None:
    random = np.random.default_rng(1)
    rows = []
    for epoch in range(epochs):
        ease = 1 - np.exp(-(epoch + 1) / 3)
        values = {
            "train/loss": 2.0 - 1.7 * ease,
            "train/accuracy": 0.2 + 0.7 * ease,
            "val/loss": 2.0 - 1.2 * ease + 0.03 * epoch,
            "val/accuracy": 0.2 + 0.5 * ease - 0.008 * epoch,
        }
        for metric, value in values.items():
            noisy = float(value + random.normal() * 0.01)
            rows.append({"step": 18 * (epoch + 1), "epoch": epoch, "name": metric, "value": noisy, "time": 0.0})
    if rows:
        write_metrics_file(run, "0001-000000", rows)


def write_metrics_file(run: Store, name: str, rows: list[dict[str, Any]]) -> None:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows), sink)
    run.write_bytes(f"metrics/{name}.parquet", memoryview(sink.getvalue()))


def _write_mistakes(run: Store, scores: RowScores, labels: Sequence[str], texts: Sequence[str], limit: int) -> None:
    wrong = np.flatnonzero(~scores.correct)
    chosen = wrong[np.argsort(-scores.confidence[wrong], kind="stable")][:limit].tolist()
    rows = [
        {
            "row": row,
            "id": f"emoji-{row}",
            "label": labels[scores.truth[row]],
            "predicted": labels[scores.predicted[row]],
            "confidence": float(scores.confidence[row]),
            "label_probability": float(scores.truth_probability[row]),
            "text": None if number % 5 == 4 else texts[number % len(texts)],
            "image": None if number % 5 == 3 else picture(row),
        }
        for number, row in enumerate(chosen)
    ]
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows, schema=MISTAKES_SCHEMA), sink, write_page_checksum=True)
    run.write_bytes(MISTAKES, memoryview(sink.getvalue()))
