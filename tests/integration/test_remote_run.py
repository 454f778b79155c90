"""A whole run on S3, storage that fails included: import from S3 to S3, train, report, and look at it afterwards."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import yaml
from faulty_proxy import FaultyProxy, Request
from s3_server import BUCKET

from mmdist.storage import is_committed, open_store, read_committed, read_events

HOME = f"s3://{BUCKET}/home"
ROWS = 120
JOB = {
    "kind": "train",
    "name": "remote",
    "storage": f"{HOME}/runs",
    "import": {
        "source": {"type": "table", "path": f"{HOME}/table.jsonl", "id": "id", "text": "text", "label": "label"},
        "output": f"{HOME}/dataset",
        "splits": {"type": "share", "train": 0.6, "validation": 0.2, "test": 0.2},
    },
    "data": {
        "train": f"{HOME}/dataset/train",
        "validation": f"{HOME}/dataset/validation",
        "test": f"{HOME}/dataset/test",
        "columns": {"id": "id", "text": "text", "label": "label"},
        "text": {"tokens": 4, "vocabulary": 50},
    },
    "task": {"type": "classification", "labels": "auto"},
    "model": {"text": {"type": "bilstm", "embedding": 8, "lstm_units": 8, "units": 8}},
    "train": {"epochs": 1, "global_batch_size": 16, "checkpoint": {"every": 2}},
    "evaluation": {"bootstrap_samples": 100},
}


def mmdist(*words: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    command = [sys.executable, "-c", "from mmdist.cli.main import main; main()", *map(str, words)]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=400)


def test_a_run_lives_on_s3_from_import_to_report(proxy: FaultyProxy, tmp_path: Path) -> None:
    rows = [{"id": f"r{n}", "text": f"word{n % 2} and {n}", "label": "ab"[n % 2]} for n in range(ROWS)]
    home = open_store(HOME)
    home.write_bytes("table.jsonl", "\n".join(map(json.dumps, rows)).encode())
    job = {**JOB, "data": {**JOB["data"], "cache": {"path": str(tmp_path / "cache"), "max_bytes": 100_000_000}}}
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(job))

    def fault(request: Request) -> str | None:
        if request.number % 25 == 7:
            return "503"
        return "truncated" if request.number % 10 == 3 and request.method == "GET" else None

    proxy.set(fault)
    done = mmdist("submit", "job.yaml", "--run-id", "r1", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "r1"
    assert f"report: {HOME}/runs/r1/report/report.html" in done.stderr
    assert proxy.broken > 20

    run = home.child("runs/r1")
    assert is_committed(run, "model")
    checkpoints = [entry.path for entry in run.list("checkpoints") if is_committed(run, entry.path)]
    assert checkpoints
    assert "state.safetensors" in read_committed(run, checkpoints[-1])
    ledger = json.loads(run.read_bytes("ledger/epoch-0.json"))
    assert ledger["fed_rows"] == ledger["expected_rows"] > 40
    assert ledger["fed_sums"] == ledger["expected_sums"]
    assert sum(pq.read_metadata(run.open_file(entry.path)).num_rows for entry in run.list("metrics")) > 0
    assert "succeeded" in [event.facts.get("state") for event in read_events(run)]
    assert list((tmp_path / "cache").iterdir())

    status = mmdist("status", f"{HOME}/runs/r1", "--json", cwd=tmp_path)
    assert json.loads(status.stdout)["state"] == "succeeded", status.stderr
    listed = mmdist("runs", "--storage", f"{HOME}/runs", cwd=tmp_path)
    assert "r1" in listed.stdout, listed.stderr
