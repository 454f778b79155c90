"""Rows per second from Parquet shards to ready batches: mmdist, the limit of decoding, and its peers, in one run.

    python benchmarks/input_pipeline.py [--set small|large] [--rounds 5] [--only NAME ...] [--work FOLDER]

Every contestant is a process of its own, in an environment of its own, over the same pictures. They take turns: in
each round every contestant reads one epoch, so that a drift of the machine meets all of them alike. Printed are the
medians over the rounds, and the medians of each round's ratio to mmdist.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import venv
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent / "input_contestants"
SETS = {"small": (40_000, 64), "large": (4_000, 256)}


@dataclass
class Contestant:
    """Somebody who reads the pictures: a program, and the packages that its environment gets."""

    name: str
    program: str
    packages: tuple[str, ...] = ()
    what: str = ""
    rates: list[float] = field(default_factory=list)
    peak_mib: float = 0.0
    process: "subprocess.Popen[str] | None" = None
    failure: str = ""


CONTESTANTS = (
    Contestant("mmdist", "ours.py", what="Parquet, lanes order, checksums, content sums"),
    Contestant("limit", "limit.py", what="simplejpeg threads over bytes in memory, no reading"),
    Contestant("tf in memory", "tf_decode.py", what="tf.data decode over bytes in memory, no reading"),
    Contestant("tfrecord", "tfrecord.py", what="TFRecord, tf.data, shuffle buffer 8,000"),
    Contestant("ray data", "ray_data.py", what="read_parquet, simplejpeg, iter_tf_batches, local shuffle 2,000"),
    Contestant(
        "hf datasets",
        "hf_datasets.py",
        ("datasets", "simplejpeg", "tensorflow"),
        "map-style, simplejpeg, to_tf_dataset",
    ),
    Contestant(
        "mosaic",
        "mosaic_streaming.py",
        ("mosaicml-streaming", "simplejpeg", "pyarrow", "torch==2.13.0"),
        "MDS shards, PyTorch loader with 2 workers",
    ),
    Contestant(
        "grain", "grain_arrayrecord.py", ("grain", "array_record", "simplejpeg", "pyarrow"), "ArrayRecord, 16 threads"
    ),
)


def environment(contestant: Contestant, work: Path) -> str:
    """The Python of a contestant's environment; made at the first use."""
    if not contestant.packages:
        return sys.executable
    folder = work / "environments" / contestant.program.removesuffix(".py")
    python = folder / "bin" / "python"
    if not (folder / "_DONE").exists():
        print(f"installing {', '.join(contestant.packages)} for {contestant.name}", file=sys.stderr)
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "-q", *contestant.packages], check=True)
        (folder / "_DONE").touch()
    return str(python)


def start(contestant: Contestant, shards: Path, work: Path, side: int) -> None:
    """Starts a contestant, and waits until it is prepared."""
    scratch = work / "scratch" / shards.name / contestant.program.removesuffix(".py")
    scratch.mkdir(parents=True, exist_ok=True)
    log = (scratch / "log").open("w")
    root = str(Path(__file__).resolve().parents[1])
    own = [root] if not contestant.packages else []
    contestant.process = subprocess.Popen(
        [environment(contestant, work), str(HERE / contestant.program), str(shards), str(scratch), str(side)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), *own]), "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    answer(contestant, log.name)


def answer(contestant: Contestant, log: str = "its log") -> dict[str, float]:
    """The next line of a contestant; where it has ended, it is out of the race and the reason is kept."""
    assert contestant.process is not None
    assert contestant.process.stdout is not None
    line = contestant.process.stdout.readline()
    if not line:
        contestant.failure = f"ended with {contestant.process.wait()}, see {log}"
        contestant.process = None
        return {}
    facts: dict[str, float] = json.loads(line)
    return facts


def one_epoch(contestant: Contestant, rows: int) -> None:
    """Has a contestant read one epoch, and notes its rate."""
    if contestant.process is None:
        contestant.rates.append(float("nan"))
        return
    assert contestant.process.stdin is not None
    contestant.process.stdin.write("go\n")
    contestant.process.stdin.flush()
    facts = answer(contestant)
    if not facts or facts["rows"] != rows:
        contestant.failure = contestant.failure or f"read {facts['rows']} rows instead of {rows}"
        contestant.rates.append(float("nan"))
        return
    contestant.rates.append(rows / facts["seconds"])
    contestant.peak_mib = facts["peak_mib"]


def show(contestants: list[Contestant], title: str) -> None:
    """Prints the table."""
    ours = contestants[0].rates
    print(f"\n{title}\n\n| contestant | rows/s | mmdist / it | peak MiB | what |\n| --- | --- | --- | --- | --- |")
    for contestant in contestants:
        if contestant.failure:
            print(f"| {contestant.name} | did not run | | | {contestant.failure} |")
            continue
        ratio = statistics.median(our / its for our, its in zip(ours, contestant.rates, strict=True))
        rate = statistics.median(contestant.rates)
        print(f"| {contestant.name} | {rate:,.0f} | {ratio:.2f} | {contestant.peak_mib:,.0f} | {contestant.what} |")


def main() -> None:
    """Makes the pictures, runs the rounds, prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--set", choices=SETS, action="append", help="picture set; both where left out")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="*", help="contestants beside mmdist")
    parser.add_argument("--work", type=Path, default=Path("build/input_pipeline"), help="folder for data and peers")
    options = parser.parse_args()
    for name in options.set or SETS:
        rows, side = SETS[name]
        shards = options.work.absolute() / "pictures" / f"{name}-{rows}"
        subprocess.run([sys.executable, str(HERE / "pictures.py"), str(shards), str(rows), str(side)], check=True)
        racing = [
            Contestant(c.name, c.program, c.packages, c.what)
            for c in CONTESTANTS
            if c.name == "mmdist" or not options.only or c.name in options.only
        ]
        for contestant in racing:
            start(contestant, shards, options.work.absolute(), side)
        for _ in range(options.rounds + 1):
            for contestant in racing:
                one_epoch(contestant, rows)
        for contestant in racing:
            contestant.rates = contestant.rates[1:]  # the first epoch warms up
            if contestant.process is not None:
                contestant.process.communicate()
        show(
            racing,
            f"{name}: {rows:,} JPEG {side} x {side}, batches of 64, {os.cpu_count()} cores, {options.rounds} rounds",
        )


if __name__ == "__main__":
    main()
