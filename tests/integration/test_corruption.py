"""All bad rows in one dataset, through the commands that a user types: import, train, evaluate, predict."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

sys.path += [
    str(Path(__file__).resolve().parents[1] / "faults"),
    str(Path(__file__).resolve().parents[1] / "unit/data"),
]

from damaged_rows import CASES, ROWS, row_of, rows, write_shard

MMDIST = [sys.executable, "-c", "from mmdist.cli.main import main; main()"]
RESOURCES = "resources: {workers: 1, cpus_per_worker: 2}"
TRAIN = f"""
kind: train
name: corrupt
storage: runs
import:
  source: {{type: table, path: rows.parquet, id: id, image_bytes: image, text: text, audio_bytes: audio, label: label}}
  output: imported
  max_bad_rows: 200
  max_pixels: 1000000
  max_samples: 100000
data:
  train: imported/train
  validation: imported/validation
  test: shards
  columns: {{id: id, image: image, text: text, audio: audio, label: label}}
  max_bad_rows: 200
  image: {{size: [32, 32], max_pixels: 1000000}}
  text: {{tokens: 8, vocabulary: 50}}
  audio: {{sample_rate: 8000, seconds: 0.5, mels: 24, max_samples: 100000}}
task: {{type: classification, labels: [cat, dog]}}
model:
  image: {{type: cnn, filters: [4, 8], units: 8}}
  text: {{type: bilstm, embedding: 4, lstm_units: 4, units: 4}}
  audio: {{type: cnn, filters: [4, 8], units: 8}}
train: {{epochs: 1, global_batch_size: 16}}
evaluation: {{bootstrap_samples: 100}}
{RESOURCES}
"""
EVALUATE = f"""
kind: evaluate
name: corrupt-evaluate
storage: runs
model: corrupt@latest
data: {{input: shards, columns: {{id: id, image: image, text: text, audio: audio, label: label}}, max_bad_rows: 200}}
evaluation: {{bootstrap_samples: 100}}
{RESOURCES}
"""
PREDICT = f"""
kind: predict
name: corrupt-predict
storage: runs
model: corrupt@latest
data: {{input: shards, columns: {{id: id, image: image, text: text, audio: audio}}, max_bad_rows: 200}}
output: predictions
{RESOURCES}
"""
JOBS = {"train": TRAIN, "evaluate": EVALUATE, "predict": PREDICT}


def submit(folder: Path, kind: str, *words: str) -> subprocess.CompletedProcess[str]:
    (folder / f"{kind}.yaml").write_text(JOBS[kind])
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    command = [*MMDIST, "submit", f"{kind}.yaml", *words]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=240, check=False)
    assert "Traceback" not in done.stderr, done.stderr
    return done


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every case in a table and, as they are, in a folder of shards; trained on, by way of an import."""
    folder = tmp_path_factory.mktemp("corrupt")
    records = rows()
    for row in range(0, ROWS, 4):
        records[row] = {**records[row], "label": "dog"}
    write_shard(folder / "rows.parquet", records)
    write_shard(folder / "shards" / "part-00000.parquet", records)
    done = submit(folder, "train")
    assert done.returncode == 0, done.stderr
    return folder


def quarantined(folder: Path) -> dict[int, dict[str, Any]]:
    found = [
        row for path in sorted((folder / "quarantine").glob("*.parquet")) for row in pq.read_table(path).to_pylist()
    ]
    return {row["row"]: row for row in found}


def expected(path: str) -> set[int]:
    return {row_of(name) for name, case in CASES.items() if case.reason_at(path) is not None}


def run_of(folder: Path, name: str) -> Path:
    (run,) = (path for path in (folder / "runs").iterdir() if path.name.startswith(f"{name}-2"))
    return run


def test_an_import_keeps_the_good_rows_and_lists_the_others(folder: Path) -> None:
    assert set(quarantined(folder / "imported")) == expected("import")
    shards = (folder / "imported").glob("[tv]*/part-*.parquet")
    assert sum(pq.read_metadata(path).num_rows for path in shards) == ROWS - len(expected("import"))


def test_the_report_of_a_training_counts_every_row(folder: Path) -> None:
    run = run_of(folder, "corrupt")
    assert pq.read_metadata(run / "report" / "predictions.parquet").num_rows == ROWS - len(expected("evaluate"))


def test_an_evaluation_lists_the_bad_rows(folder: Path) -> None:
    done = submit(folder, "evaluate")
    assert done.returncode == 0, done.stderr
    run = run_of(folder, "corrupt-evaluate")
    assert set(quarantined(run)) == expected("evaluate")
    assert pq.read_metadata(run / "report" / "predictions.parquet").num_rows == ROWS - len(expected("evaluate"))


def test_a_prediction_says_why_of_each_row(folder: Path) -> None:
    done = submit(folder, "predict")
    assert done.returncode == 0, done.stderr
    found = [row for path in sorted((folder / "predictions").glob("part-*")) for row in pq.read_table(path).to_pylist()]
    assert {number for number, row in enumerate(found) if row["error"] is not None} == expected("predict")
    assert set(quarantined(run_of(folder, "corrupt-predict"))) == expected("predict")


@pytest.mark.parametrize("kind", ["evaluate", "predict"])
def test_a_damaged_shard_ends_a_job_with_exit_code_3(folder: Path, kind: str) -> None:
    path = folder / "shards" / "part-00000.parquet"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    try:
        done = submit(folder, kind, "--set", "name=cut")
    finally:
        path.write_bytes(whole)
    assert done.returncode == 3, done.stderr
    assert "part-00000.parquet" in done.stderr
