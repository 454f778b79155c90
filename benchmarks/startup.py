"""Seconds from submitting to the end of the first training step: mmdist, a bare Ray job, and plain Keras.

    python benchmarks/startup.py [--rounds 5]

All train the demo's model (64x64 pictures and 16 tokens, 8 classes) with batches of 64 on two replicas. mmdist reads
Parquet shards and keeps its run directory; the others feed random tensors from memory. The Ray head that `ray job`
and `mmdist --address` submit to is started before, on free ports, and is not counted; the embedded Ray is. The
contestants take turns; medians and their ratios are printed.
"""

import argparse
import contextlib
import io
import json
import os
import secrets
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

ROWS, BATCH, CLASSES, TOKENS, SIDE = 512, 64, 8, 16, 64
REPOSITORY = Path(__file__).resolve().parents[1]

JOB = f"""
kind: train
name: startup
storage: runs
data:
  train: shards
  validation: shards
  image: {{size: [{SIDE}, {SIDE}]}}
  text: {{tokens: {TOKENS}, vocabulary: 4000}}
train: {{epochs: 1, global_batch_size: {BATCH}, tensorboard: false}}
evaluation: {{bootstrap_samples: 100}}
resources: {{workers: 1, replicas_per_worker: 2}}
"""

SCRIPT = f"""
import sys, time
import numpy as np
import keras
import tensorflow as tf

[cpu] = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
layers = keras.layers
with strategy.scope():
    image = keras.Input(({SIDE}, {SIDE}, 3), name="image")
    x = image
    for filters in (32, 64, 128):
        x = layers.MaxPooling2D()(layers.Conv2D(filters, 3, activation="relu", padding="same")(x))
    x = layers.Dense(128, activation="relu")(layers.Flatten()(x))
    text = keras.Input(({TOKENS},), dtype="int32", name="text")
    y = layers.Bidirectional(layers.LSTM(64))(layers.Embedding(4000, 128, mask_zero=True)(text))
    y = layers.Dense(64, activation="relu")(y)
    out = layers.Dense({CLASSES}, activation="softmax")(layers.Concatenate()([x, y]))
    model = keras.Model([image, text], out)
    model.compile("adam", "sparse_categorical_crossentropy", jit_compile=False)

class Note(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if batch == 0:
            open(sys.argv[1], "w").write(str(time.time()))

model.fit(
    [np.random.rand({BATCH}, {SIDE}, {SIDE}, 3).astype("float32"), np.random.randint(1, 4000, ({BATCH}, {TOKENS}))],
    np.random.randint(0, {CLASSES}, {BATCH}),
    batch_size={BATCH}, epochs=1, verbose=0, callbacks=[Note()],
)
"""


def write_shards(folder: Path) -> None:
    """Pictures of noise, words of numbers, and labels, as a user's own Parquet."""
    random = np.random.default_rng(0)
    pictures = []
    for _ in range(ROWS):
        sink = io.BytesIO()
        Image.fromarray(random.integers(0, 255, (SIDE, SIDE, 3), np.uint8)).save(sink, "JPEG")
        pictures.append(sink.getvalue())
    table = pa.table(
        {
            "id": [str(row) for row in range(ROWS)],
            "image": pictures,
            "text": [" ".join(map(str, random.integers(0, 4000, 8))) for _ in range(ROWS)],
            "label": [f"class-{row % CLASSES}" for row in range(ROWS)],
        }
    )
    folder.mkdir()
    pq.write_table(table, folder / "part-00000.parquet", row_group_size=64, write_page_checksum=True)


@contextmanager
def head(folder: Path, env: dict[str, str]) -> Iterator[str]:
    """A Ray head with its dashboard on free ports; ended by its own process ids."""
    servers = [socket.create_server(("127.0.0.1", 0)) for _ in range(5)]
    gcs, dashboard, agent, metrics, runtime = (server.getsockname()[1] for server in servers)
    for server in servers:
        server.close()
    words = [f"--port={gcs}", f"--dashboard-port={dashboard}", f"--dashboard-agent-listen-port={agent}"]
    words += [f"--metrics-export-port={metrics}", f"--runtime-env-agent-port={runtime}", f"--temp-dir={folder}"]
    words += ["--node-ip-address=127.0.0.1", "--include-dashboard=true", "--disable-usage-stats", "--block", "--head"]
    process = subprocess.Popen(
        [sys.executable, "-m", "ray.scripts.scripts", "start", *words, "--object-store-memory=200000000"],
        env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    url = f"http://127.0.0.1:{dashboard}"
    try:
        listing = [sys.executable, "-m", "ray.scripts.scripts", "job", "list", "--address", url]
        while subprocess.run(listing, env=env, capture_output=True, check=False).returncode:
            if process.poll() is not None:
                raise SystemExit("the Ray head did not start")
            time.sleep(1.0)
        yield url
    finally:
        below = psutil.Process(process.pid).children(recursive=True)
        for started in (process, *below):
            with contextlib.suppress(psutil.NoSuchProcess):
                started.kill()
        psutil.wait_procs(below, timeout=10)


def time_script(command: list[str], folder: Path, env: dict[str, str]) -> float:
    """Seconds until the script notes its first step."""
    note = folder / f"note-{secrets.token_hex(4)}"
    start = time.time()
    subprocess.run([*command, str(folder / "script.py"), str(note)], env=env, capture_output=True, check=True)
    return float(note.read_text()) - start


def time_mmdist(words: list[str], folder: Path, env: dict[str, str]) -> tuple[float, dict[str, float]]:
    """Seconds until the first step's metrics are stamped, and until each event before it."""
    start = time.time()
    command = [sys.executable, "-m", "mmdist", "submit", "job.yaml", *words]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, check=False, text=True)
    if done.returncode:
        raise SystemExit(f"mmdist ended with {done.returncode}\n{done.stderr}")
    run = folder / "runs" / done.stdout.strip()
    rows = [row for path in (run / "metrics").glob("*.parquet") for row in pq.read_table(path).to_pylist()]
    first = min(row["time"] for row in rows if row["name"] == "step/loss")
    marks = {}
    for path in sorted((run / "events").glob("*.json")):
        event = json.loads(path.read_text())
        name = event["facts"].get("name", "") if event["kind"] == "phase" else ""
        marks[f"{event['kind']} {name}".strip()] = event["time"] - start
    return first - start, {name: seconds for name, seconds in marks.items() if seconds <= first - start}


def main() -> None:
    """Measures in turns and prints."""
    # So that the head is ended too when this is.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY), "RAY_AUTH_MODE": "disabled", "TF_CPP_MIN_LOG_LEVEL": "3"}
    env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}"
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    env.pop("RAY_ADDRESS", None)
    taken: dict[str, list[float]] = {}
    marks: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="st-") as name:
        folder = Path(name)
        write_shards(folder / "shards")
        (folder / "job.yaml").write_text(JOB)
        (folder / "script.py").write_text(SCRIPT)
        with head(folder / "ray", env) as url:
            ray_job = [sys.executable, "-m", "ray.scripts.scripts", "job", "submit", "--address", url, "--", "python"]
            for round_ in range(rounds + 1):
                times = {
                    "plain Keras": time_script([sys.executable], folder, env),
                    "ray job submit": time_script(ray_job, folder, env),
                }
                times["mmdist --address"], _ = time_mmdist(["--address", url], folder, env)
                times["mmdist"], events = time_mmdist([], folder, env)
                shown = ", ".join(f"{contestant} {seconds:.2f}" for contestant, seconds in times.items())
                print(f"round {round_}: {shown}", file=sys.stderr, flush=True)
                if round_ == 0:
                    continue  # the first round fills the caches of all
                for contestant, seconds in times.items():
                    taken.setdefault(contestant, []).append(seconds)
                marks.append(events)
    base = statistics.median(taken["plain Keras"])
    print(f"{'submit to first step':<22}{'median s':>9}{'least':>8}{'most':>8}{'/ plain Keras':>15}")
    for contestant, values in taken.items():
        median = statistics.median(values)
        print(f"{contestant:<22}{median:>9.2f}{min(values):>8.2f}{max(values):>8.2f}{median / base:>15.2f}")
    print("\nmmdist, seconds from submit to each event (medians)")
    for event in marks[0]:
        values = [events[event] for events in marks if event in events]
        print(f"  {event:<20}{statistics.median(values):>7.2f}")


if __name__ == "__main__":
    main()
