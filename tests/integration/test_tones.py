"""Tones of three pitches, in noise, through the commands that a user types: a model of recordings alone learns them."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import soundfile

MMDIST = [sys.executable, "-c", "from mmdist.cli.main import main; main()"]
HERTZ = {"low": 300.0, "middle": 420.0, "high": 590.0}
JOB = """
kind: train
name: tones
storage: runs
data:
  train: train
  validation: validation
  test: test
  columns: {id: id, audio: sound, label: pitch}
  audio: {sample_rate: 8000, seconds: 0.5, mels: 32}
  max_bad_rows: 1
task: {type: classification}
model:
  audio: {type: cnn, filters: [8, 16], units: 16}
train: {epochs: 6, global_batch_size: 16, optimizer: {type: adam, learning_rate: 0.01}}
evaluation: {bootstrap_samples: 100}
resources: {workers: 1, cpus_per_worker: 2}
"""


def write_split(folder: Path, rows: int, seed: int) -> None:
    """Tones off their pitch by up to 5 %, of any loudness, phase and sample rate, in noise; row 5 is cut off."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(list(HERTZ), rows).tolist()
    sounds = []
    for label in labels:
        rate = int(rng.choice([8000, 11025]))
        hertz = HERTZ[label] * rng.uniform(0.95, 1.05)
        tone = np.sin(2 * np.pi * hertz * np.arange(int(rate * rng.uniform(0.3, 0.7))) / rate + rng.uniform(0, 6))
        samples = rng.uniform(0.05, 0.5) * (tone + rng.normal(0, 0.3, len(tone))) / 2
        out = io.BytesIO()
        soundfile.write(out, samples, rate, format=str(rng.choice(["WAV", "FLAC"])))
        sounds.append(out.getvalue())
    sounds[5] = sounds[5][:-300]
    table = pa.table(
        {"id": [f"{folder.name}-{n}" for n in range(rows)], "sound": pa.array(sounds, pa.binary()), "pitch": labels}
    )
    folder.mkdir()
    pq.write_table(table, folder / "part-00000.parquet", row_group_size=16, write_page_checksum=True)


def test_tones_are_learned_and_a_recording_that_is_cut_off_is_set_aside(tmp_path: Path) -> None:
    for seed, (split, rows) in enumerate({"train": 160, "validation": 40, "test": 60}.items()):
        write_split(tmp_path / split, rows, seed)
    (tmp_path / "job.yaml").write_text(JOB)
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    done = subprocess.run(
        [*MMDIST, "submit", "job.yaml"], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr
    run = tmp_path / "runs" / done.stdout.strip()
    metrics = json.loads((run / "report" / "evaluation.json").read_text())["metrics"]
    accuracy = metrics["headline"]["accuracy"]
    value = accuracy["value"] if isinstance(accuracy, dict) else accuracy
    assert value > 0.7, f"a guess is right in a third of the rows; {metrics['headline']}"
    bad = {row["id"] for path in run.glob("quarantine/*.parquet") for row in pq.read_table(path).to_pylist()}
    assert bad == {"train-5", "validation-5", "test-5"}
