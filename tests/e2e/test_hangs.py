"""Workers that are stopped, or stuck in Python, are ended, in every phase; one that is told to go saves first."""

import json
import os
import re
import signal
import subprocess
from pathlib import Path

import psutil
import pytest
from commands import JOBS, MMDIST, SHRUNK, Demo, environment, events, mmdist, note, wait_until

LIMIT_S = 12
CHANGES = (
    *SHRUNK,
    *("--set", "name=hang"),
    *("--set", "train.epochs=40"),
    *("--set", "train.global_batch_size=16"),
    *("--set", "train.checkpoint.every=5"),
    *("--set", f"resources.hang_timeout_s={LIMIT_S}"),
    *("--set", "resources.max_failures=1"),
)
STUCK = '''
import importlib.abc, importlib.machinery, os, sys, time

class Patch(importlib.abc.MetaPathFinder):
    """Once a file says so, the loop of a worker sleeps for ever before a step."""

    def find_spec(self, name, path, target=None):
        if name != "mmdist.training.loop":
            return None
        sys.meta_path.remove(self)
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        run = spec.loader.exec_module

        def exec_module(module):
            run(module)
            step = module.Loop._step

            def broken(self, *arguments):
                while os.path.exists({flag!r}):
                    time.sleep(1000)
                return step(self, *arguments)

            module.Loop._step = broken

        spec.loader.exec_module = exec_module
        return spec

sys.meta_path.insert(0, Patch())
'''


def trains(run: Path, worker: int) -> bool:
    """Whether the worker that was started so many times is past some steps."""
    started = events(run, "worker-started")
    now = note(run)
    if len(started) < worker or now.get("pid") != started[-1]["pid"]:
        return False
    return now.get("phase") == "train" and now.get("batch", 0) > 6


@pytest.mark.timeout(400)
def test_a_run_never_hangs(demo: Demo, tmp_path: Path) -> None:
    run = demo.folder / "runs" / "hang"
    flag = tmp_path / "flag"
    (tmp_path / "sitecustomize.py").write_text(STUCK.replace("{flag!r}", repr(str(flag))))
    env = environment()
    env["PYTHONPATH"] += f"{os.pathsep}{tmp_path}"
    words = [*MMDIST, "submit", str(JOBS / "train.yaml"), *CHANGES, "--run-id", "hang"]
    process = subprocess.Popen(words, cwd=demo.folder, env=env, stderr=subprocess.PIPE, text=True)
    wait_until(lambda: trains(run, 1) or process.poll() is not None, "the first worker")
    [first] = events(run, "worker-started")
    os.kill(first["pid"], signal.SIGSTOP)
    wait_until(lambda: trains(run, 2) or process.poll() is not None, "the second worker", 120)
    below = psutil.Process(process.pid).children(recursive=True)
    flag.touch()
    _, err = process.communicate(timeout=300)

    assert process.returncode == 6, err
    assert len(events(run, "worker-started")) == 2
    silent, stuck = events(run, "worker-hung")
    assert (silent["how"], silent["pid"], silent["phase"]) == ("silent", first["pid"], "train")
    assert (stuck["how"], stuck["phase"]) == ("stuck", "train")
    assert stuck["step"] > silent["step"], "the second worker went on from the first one's checkpoint"
    assert "a worker hung, and the retries are spent" in err
    assert re.search(r"worker 0 on \S+ \(process \d+\) made no progress for 1?\d s in the phase train, after step", err)
    assert "Traceback" not in err
    logs = mmdist("logs", "hang", cwd=demo.folder).stdout
    assert re.search(r"worker-0\.0 \| +File .*loop\.py.* in run", logs), "the stopped worker's stacks"
    assert re.search(r"worker-0\.1 \| +File .*sitecustomize\.py.* in broken", logs), "the stuck worker's stacks"
    status = json.loads(mmdist("status", "hang", "--json", cwd=demo.folder).stdout)
    assert (status["state"], status["exit_code"]) == ("failed", 6)
    _, alive = psutil.wait_procs(below, timeout=30)
    assert not alive, f"left behind: {alive}"

    flag.unlink()
    words = [*MMDIST, "submit", "--resume", "hang"]
    process = subprocess.Popen(words, cwd=demo.folder, env=env, stderr=subprocess.PIPE, text=True)
    wait_until(lambda: trains(run, 3) or process.poll() is not None, "the worker of the resumed run")
    os.kill(events(run, "worker-started")[-1]["pid"], signal.SIGTERM)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 130, err
    status = json.loads(mmdist("status", "hang", "--json", cwd=demo.folder).stdout)
    assert (status["state"], status["resume"]) == ("stopped", f"mmdist submit --resume {run}")
    first, second = status["attempts"]
    assert (first["state"], first["exit_code"], first["hung"]) == ("failed", 6, 2)
    assert (second["state"], second["exit_code"], second["lost_steps"]) == ("stopped", 130, 0)
    saved = events(run, "checkpoint-saved")[-1]
    assert (saved["attempt"], saved["path"]) == (2, status["checkpoint"])
    assert saved["step"] > second["from_step"] >= stuck["step"] - 5


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("job", "changes", "started"),
    [
        ("predict.yaml", ["data.input=datasets/openmoji/train"], "pool-worker-started"),
        ("import.yaml", ["import.output=datasets/again"], "pool-worker-started"),
        ("evaluate.yaml", ["data.input=datasets/openmoji/train"], "worker-started"),
    ],
)
def test_other_jobs_go_on_without_a_worker_that_is_stopped(
    demo: Demo, job: str, changes: list[str], started: str
) -> None:
    run = demo.folder / "runs" / f"stopped-{job}"
    words = [*MMDIST, "submit", str(JOBS / job), "--run-id", run.name]
    for change in (*changes, f"resources.hang_timeout_s={LIMIT_S}"):
        words += ["--set", change]
    process = subprocess.Popen(words, cwd=demo.folder, env=environment(), stderr=subprocess.PIPE, text=True)
    try:
        wait_until(lambda: events(run, started) or process.poll() is not None, "a first worker")
        first = events(run, started)[0]
        os.kill(first["pid"], signal.SIGSTOP)
        _, err = process.communicate(timeout=400)
    finally:
        process.kill()
    assert process.returncode == 0, err
    hung = events(run, "worker-hung")[0]
    assert (hung["pid"], hung["how"]) == (first["pid"], "silent")
    assert re.search(rf"worker.* on \S+ \(process {first['pid']}\) gave no sign of life for \d\d s", err)
    assert "Traceback" not in err
    assert not psutil.pid_exists(first["pid"])
    assert len({facts["pid"] for facts in events(run, started)}) > 1, "another came in its place, and was seen"
