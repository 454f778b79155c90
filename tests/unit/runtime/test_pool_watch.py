"""Real processes of a pool, without Ray: one that hangs in a piece is ended and named, one that rests is left alone."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from mmdist.errors import WorkerLostError
from mmdist.runtime.pool_watch import PoolWatch
from mmdist.runtime.watchdog import end_on_machine
from mmdist.storage import claim_attempt, open_store, read_events

LIMIT_S = 2.0
NEVER_S = 600.0


class Pool:
    """Processes, one after the other, each begun when the one before has ended; and what the watch told."""

    def __init__(self, folder, *hows, limit_s=LIMIT_S, renewal_s=30.0, watched_s=90.0):
        self.run = open_store(str(folder / "run"))
        self.given_up = []
        self.ended_with = []
        self.log = folder / "log"
        watch = PoolWatch(
            self.run,
            claim_attempt(self.run, {}),
            hang_timeout_s=limit_s,
            end=end_on_machine,
            give_up=self.given_up.append,
            renewal_s=renewal_s,
        )
        program = str(Path(__file__).with_name("pool_worker.py"))
        with watch, self.log.open("w") as log:
            for how in hows:
                words = [sys.executable, program, self.run.url, how, str(limit_s)]
                with subprocess.Popen(words, stderr=log) as process:
                    try:
                        self.ended_with.append(process.wait(watched_s))
                    except subprocess.TimeoutExpired:
                        self.ended_with.append(None)
                        process.kill()
            deadline = time.monotonic() + (renewal_s + 15.0 if how in ("stuck", "stopped") else LIMIT_S + 6.0)
            while hows[-1] != "well" and not self.given_up and time.monotonic() < deadline:
                time.sleep(0.1)

    def events(self, kind):
        return [event.facts for event in read_events(self.run) if event.kind == kind]


@pytest.mark.parametrize(("what", "how"), [("stuck", "stuck"), ("stopped", "silent")])
def test_a_process_that_hangs_in_a_piece_is_ended_and_another_goes_on(tmp_path, what, how):
    pool = Pool(tmp_path, what, "well")
    assert pool.ended_with == [-9, 0]
    [hung] = pool.events("worker-hung")
    assert (hung["how"], hung["phase"]) == (how, "predict")
    assert hung["message"].startswith("a worker on ")
    assert "in piece" in pool.log.read_text(), "the stack of the thread that hangs"
    assert pool.given_up == []


def test_where_no_other_comes_the_attempt_is_given_up(tmp_path):
    pool = Pool(tmp_path, "stuck", renewal_s=2.0)
    [error] = pool.given_up
    assert isinstance(error, WorkerLostError)
    assert "no new one came in its place" in str(error)


def test_one_that_ends_by_itself_does_not_hang(tmp_path):
    pool = Pool(tmp_path, "gone")
    assert (pool.ended_with, pool.events("worker-hung"), pool.given_up) == ([1], [], [])


def test_without_a_limit_it_would_hang_on(tmp_path):
    """The control: all else is the same."""
    pool = Pool(tmp_path, "stuck", limit_s=NEVER_S, watched_s=16.0)
    assert (pool.ended_with, pool.events("worker-hung")) == ([None], [])
