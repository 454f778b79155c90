"""Real processes that hang, watched without Ray: ended within their limit, named, their stacks kept."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from mmdist.errors import WorkerLostError
from mmdist.runtime.group_watch import GroupWatch
from mmdist.runtime.watchdog import end_on_machine
from mmdist.storage import EventWriter, claim_attempt, open_store, read_events

LIMIT_S = 2.0
NEVER_S = 600.0


class Watching:
    """A worker that hangs, the watch over it, and what the watch told."""

    def __init__(self, folder, how, limit_s, renewal_s=1.0, watched_s=20):
        self.run = open_store(str(folder / "run"))
        events = claim_attempt(self.run, {})
        self.given_up = []
        self.watch = GroupWatch(
            self.run,
            events,
            hang_timeout_s=limit_s,
            end=end_on_machine,
            give_up=self.given_up.append,
            renewal_s=renewal_s,
        )
        self.log = folder / "worker.log"
        with self.watch, self.log.open("w") as log:
            words = [sys.executable, str(Path(__file__).with_name("hanging_worker.py")), self.run.url, how]
            self.worker = subprocess.Popen([*words, str(limit_s)], stderr=log)
            try:
                deadline = time.monotonic() + watched_s
                while not self.given_up and time.monotonic() < deadline:
                    time.sleep(0.1)
                self.ended_with = self.worker.poll()
            finally:
                self.worker.kill()
                self.worker.wait()

    def events(self, kind):
        return [event.facts for event in read_events(self.run) if event.kind == kind]


@pytest.mark.parametrize(
    ("what", "how", "words"),
    [
        ("stuck", "stuck", "made no progress for"),
        ("stopped", "silent", "gave no sign of life for"),
        ("locked", "silent", "gave no sign of life for"),
    ],
)
def test_a_worker_that_hangs_is_ended_named_and_its_stacks_are_kept(tmp_path, what, how, words):
    watching = Watching(tmp_path, what, LIMIT_S)
    [hung] = watching.events("worker-hung")
    assert (hung["rank"], hung["how"], hung["phase"]) == (0, how, "train")
    assert hung["step"] > 0
    assert hung["message"].startswith("worker 0 on ")
    assert words in hung["message"]
    assert watching.ended_with == -9
    assert "in sleep_for_ever" in watching.log.read_text() or how == "silent"
    assert "in main" in watching.log.read_text(), "the stack of the thread that hangs"
    [error] = watching.given_up
    assert isinstance(error, WorkerLostError)
    assert error.exit_code == 6
    assert "a worker hung, and no new one came in its place" in str(error)
    assert hung["message"] in str(error)
    assert "mmdist logs RUN" in error.remedy
    if how == "stuck":
        [told] = watching.events("hanging")
        assert (told["phase"], told["step"]) == ("train", 11)


def test_without_a_limit_it_would_hang_on(tmp_path):
    """The control: all else is the same."""
    watching = Watching(tmp_path, "stuck", NEVER_S, watched_s=7)
    assert watching.ended_with is None
    assert watching.given_up == watching.events("worker-hung") == []


@pytest.mark.parametrize(("how", "phase", "doing"), [("waiting", "build", None), ("full", "train", "checkpoint")])
def test_a_worker_that_waits_for_ever_before_its_steps_or_for_a_disk_is_ended_as_soon(tmp_path, how, phase, doing):
    watching = Watching(tmp_path, how, LIMIT_S)
    [hung] = watching.events("worker-hung")
    assert (hung["how"], hung["phase"]) == ("stuck", phase)
    [told] = watching.events("hanging")
    assert told.get("doing") == doing
    assert told["idle_s"] < LIMIT_S + 1.5


@pytest.mark.parametrize("how", ["building", "slow"])
def test_a_worker_that_builds_for_long_or_whose_disk_is_slow_is_left_alone(tmp_path, how):
    watching = Watching(tmp_path, how, 1.0, watched_s=5)
    assert watching.ended_with is None
    assert watching.given_up == watching.events("worker-hung") == []


def test_a_new_group_is_watched_anew(tmp_path):
    run = open_store(str(tmp_path))
    given_up = []
    events = claim_attempt(run, {})
    watch = GroupWatch(run, events, hang_timeout_s=0.0, end=lambda hang: None, give_up=given_up.append, renewal_s=0.3)
    with watch:
        for restart in range(2):
            facts = {"rank": 0, "world_size": 1, "restart": restart, "pid": restart, "process_started": 0.0}
            EventWriter(run, 1, f"worker-0.{restart}").write("worker-started", host="h", machine="elsewhere", **facts)
            watch._find_workers()
            assert watch._ended_s is None
            worker = watch._workers["worker-0"]
            assert worker.facts["pid"] == restart
            worker.timeout_s, worker.beat_s = 0.0, -1000.0
            watch.look()
            assert len([event for event in read_events(run) if event.kind == "worker-hung"]) == restart + 1
        assert given_up == []
    refused = watch.explain(WorkerLostError("a worker was lost and the retries are spent"))
    assert "a worker hung, and the retries are spent" in str(refused)
    assert "worker 0 on h (process 1) gave no sign of life" in str(refused)
