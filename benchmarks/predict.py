"""Rows per second of a predict job against a plain Keras loop over the same shards, in one run.

    python benchmarks/predict.py [--rows 28672] [--rounds 3]

Both read the same Parquet shards (64x64 JPEG and a text), with the same model, batch size and cores, and take turns.
The loop is what one would write by hand: a row group, tf.io.decode_jpeg per picture, predict_on_batch. The job's rate
is taken beyond its start-up: from its first shard to its last.
"""

import argparse
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

BATCH, GROUP, SHARD, SIDE, LABELS = 256, 256, 4_096, 64, 8
WORDS = [f"word{number}" for number in range(500)]


def write_dataset(folder: Path, rows: int) -> None:
    """Writes unlabelled shards."""
    from PIL import Image

    rng = np.random.default_rng(0)
    folder.mkdir()
    for start in range(0, rows, SHARD):
        images, texts = [], []
        for _ in range(min(SHARD, rows - start)):
            smooth = Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).resize((SIDE, SIDE))
            sink = io.BytesIO()
            smooth.save(sink, "JPEG", quality=90)
            images.append(sink.getvalue())
            texts.append(" ".join(rng.choice(WORDS, 6)))
        ids = [f"row-{start + number}" for number in range(len(images))]
        table = pa.table({"id": ids, "image": pa.array(images, pa.binary()), "text": texts})
        path = folder / f"part-{start // SHARD:05d}.parquet"
        pq.write_table(table, path, row_group_size=GROUP, compression="none", write_page_checksum=True)


def write_model(folder: Path) -> None:
    """Writes the demo's model with fresh weights."""
    from mmdist.data.tokenizer import learn_from_texts
    from mmdist.models import ArtifactInfo, save_artifact
    from mmdist.models.build import build_model
    from mmdist.models.facts import DataFacts
    from mmdist.models.tasks import build_task
    from mmdist.spec.data import ColumnsSpec, ImageSpec
    from mmdist.spec.model import ModelSpec
    from mmdist.spec.task import ClassificationSpec
    from mmdist.spec.text import TextSpec
    from mmdist.storage import open_store

    text = TextSpec(tokens=16, vocabulary=4_000)
    tokenizer = learn_from_texts(WORDS, text)
    labels = tuple(f"label-{number}" for number in range(LABELS))
    facts = DataFacts(image_size=(SIDE, SIDE), text_tokens=16, vocabulary=tokenizer.size, labels=labels)
    task = build_task(ClassificationSpec(), facts, regularization=ModelSpec().regularization, seed=0)
    model = build_model(ModelSpec(), task, facts, seed=0)
    info = ArtifactInfo(
        run_id="benchmark",
        step=0,
        epoch=0,
        columns=ColumnsSpec(id="id", image="image", text="text"),
        image=ImageSpec(size=(SIDE, SIDE)),
        text=text,
        vocabulary=tokenizer.size,
        tokenizer_sha256=tokenizer.sha256,
        labels=labels,
        task=ClassificationSpec(),
        model=ModelSpec(),
        seed=0,
    )
    save_artifact(
        open_store(str(folder)),
        "model",
        info,
        paths=[weight.path for weight in model.weights],
        weights=[weight.numpy() for weight in model.weights],
        tokenizer=tokenizer.to_bytes(),
    )


def plain_loop(work: Path) -> dict[str, float]:
    """The loop by hand."""
    import tensorflow as tf

    from mmdist.data.tokenizer import read_tokenizer
    from mmdist.models import load_artifact
    from mmdist.storage import open_store

    artifact = load_artifact(open_store(str(work)), "model")
    model, tokenizer = artifact.build(), read_tokenizer(artifact.tokenizer or b"")
    present = np.ones(BATCH, bool)
    rows, predictions, started_s = 0, [], 0.0
    for path in sorted((work / "data").glob("*.parquet")):
        shard = pq.ParquetFile(path)
        for group in range(shard.num_row_groups):
            table = shard.read_row_group(group)
            images = [tf.io.decode_jpeg(data, channels=3) for data in table.column("image").to_pylist()]
            inputs = {
                "image": tf.cast(tf.stack(images), tf.float32) / 255.0,
                "image_present": present[: len(images)],
                "text": tokenizer.encode(table.column("text").to_pylist()),
                "text_present": present[: len(images)],
            }
            predictions.append(tf.nn.softmax(model.predict_on_batch(inputs)).numpy())
            # The first batch traces the model: it is start-up.
            started_s = started_s or time.perf_counter()
            rows += len(images) if len(predictions) > 1 else 0
    return {"rows_per_s": rows / (time.perf_counter() - started_s)}


def job(work: Path) -> dict[str, float]:
    """The predict job, on an embedded Ray."""
    from mmdist.prediction import predict
    from mmdist.runtime.embedded import embedded_ray
    from mmdist.spec import PredictJob
    from mmdist.storage import EventWriter, open_store

    run = open_store(tempfile.mkdtemp(dir=work))
    spec = PredictJob(
        kind="predict", name="benchmark", model="benchmark", batch_size=BATCH, data={"input": str(work / "data")}
    )
    started_s = time.time()
    with embedded_ray():
        predict(
            spec,
            run,
            open_store(str(work / "model")),
            EventWriter(run, 1, "driver"),
            on_progress=lambda **_: None,
            workers=1,
            cpus_per_worker=float(os.cpu_count() or 1),
            gpus_per_worker=0,
        )
    # When each shard was committed: the driver hears of shards in bursts.
    markers = sorted((Path(run.url) / "predictions/_shards").glob("*.json"), key=lambda path: path.stat().st_mtime)
    times_s = [path.stat().st_mtime for path in markers]
    rows = sum(json.loads(path.read_bytes())["rows"] for path in markers[1:])
    return {"rows_per_s": rows / (times_s[-1] - times_s[0]), "startup_and_first_shard_s": times_s[0] - started_s}


CONTESTANTS = {"plain loop": plain_loop, "predict job": job}


def main() -> None:
    """Lets them take turns."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=28_672)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--contestant", choices=CONTESTANTS, help=argparse.SUPPRESS)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.contestant:
        print(json.dumps(CONTESTANTS[options.contestant](options.work)))
        return
    rates: dict[str, list[float]] = {name: [] for name in CONTESTANTS}
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        write_dataset(work / "data", options.rows)
        write_model(work)
        for number in range(options.rounds):
            for name in CONTESTANTS:
                words = [sys.executable, __file__, "--contestant", name, "--work", str(work)]
                done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
                facts = json.loads(done.stdout.splitlines()[-1])
                rates[name].append(facts["rows_per_s"])
                print(
                    f"round {number + 1}  {name:12}", "  ".join(f"{key} {value:,.1f}" for key, value in facts.items())
                )
    ratios = [ours / theirs for ours, theirs in zip(rates["predict job"], rates["plain loop"], strict=True)]
    for name, values in rates.items():
        print(f"median      {name:12} {statistics.median(values):,.0f} rows/s")
    print(f"predict job / plain loop, median of paired ratios: {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    main()
