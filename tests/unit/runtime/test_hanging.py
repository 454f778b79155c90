"""When a group of workers counts as hanging, and whose fault it is. The clock is a number."""

import pytest

from mmdist.runtime.hanging import MARGIN_S, Watched, find_hang

LIMIT_S = 10
LATE_S = LIMIT_S + int(MARGIN_S)


class Group:
    """Workers that write a note every second, unless told otherwise."""

    def __init__(self, size):
        self.now = 0.0
        self.workers = [
            Watched({"rank": rank, "host": f"host-{rank}", "pid": 100 + rank}, LIMIT_S, lambda: self.now)
            for rank in range(size)
        ]
        self.notes = [
            {"pid": 100 + rank, "phase": "train", "limit_s": LIMIT_S, "doing": None, "step": 3} for rank in range(size)
        ]

    def go(self, seconds, *, silent=(), stuck=(), doing=None, took_s=0.0):
        for _ in range(seconds):
            self.now += 1.0
            for rank, (worker, note) in enumerate(zip(self.workers, self.notes, strict=True)):
                if rank in silent:
                    worker.see(note, took_s=took_s)
                    continue
                progress = note.get("progress_time") if rank in stuck else self.now
                note |= {"time": self.now, "progress_time": progress, "doing": (doing or {}).get(rank)}
                worker.see(dict(note), took_s=took_s)

    def found(self):
        return [(hang.worker.facts["rank"], hang.how) for hang in find_hang(self.workers)]


def test_workers_that_go_on_do_not_hang():
    group = Group(2)
    group.go(500)
    assert group.found() == []


def test_a_stopped_worker_is_silent_and_those_that_wait_for_it_are_not_at_fault():
    group = Group(3)
    group.go(5)
    group.go(LATE_S, silent={1}, stuck={0, 2}, doing={0: "collective", 2: "collective"})
    assert group.found() == []
    group.go(1, silent={1}, stuck={0, 2}, doing={0: "collective", 2: "collective"})
    assert group.found() == [(1, "silent")]


def test_a_worker_stuck_in_python_is_told_from_those_inside_the_all_reduce():
    group = Group(2)
    group.go(5)
    group.go(LATE_S + 1, stuck={0, 1}, doing={0: "collective"})
    assert group.found() == [(1, "stuck")]
    [hang] = find_hang(group.workers)
    assert hang.words == "worker 1 on host-1 (process 101) made no progress for 13 s in the phase train, after step 3"


def test_where_all_wait_for_each_other_all_are_named():
    group = Group(2)
    group.go(5)
    group.go(LATE_S + 2, stuck={0, 1}, doing={0: "collective", 1: "collective"})
    assert group.found() == [(0, "stuck"), (1, "stuck")]
    assert "inside an operation with all workers" in find_hang(group.workers)[0].words


def test_those_that_wait_for_a_worker_with_more_patience_are_left_alone():
    """The chief waits for a slow disk; the other waits for the chief."""
    group = Group(2)
    group.notes[0]["limit_s"] = 5 * LIMIT_S
    group.go(5)
    group.go(4 * LIMIT_S, stuck={0, 1}, doing={0: "checkpoint", 1: "collective"})
    assert group.found() == []
    group.go(LATE_S + 2, stuck={0, 1}, doing={0: "checkpoint", 1: "collective"})
    assert group.found() == [(0, "stuck")]


def test_slow_steps_are_progress():
    group = Group(1)
    for _ in range(20):
        group.go(LATE_S - 1, stuck={0})
        group.go(1)
        assert group.found() == []


@pytest.mark.parametrize(("took_s", "expected"), [(0.0, [(0, "silent")]), (1.0, [])])
def test_time_that_storage_takes_does_not_count(took_s, expected):
    group = Group(1)
    group.go(3)
    group.go(LIMIT_S + 5, silent={0}, took_s=took_s)
    assert group.found() == expected


def test_a_worker_that_said_that_it_ended_is_not_waited_for():
    group = Group(1)
    group.go(3)
    group.notes[0]["phase"] = "done"
    group.go(1)
    group.go(100, silent={0})
    assert group.found() == []


def test_a_note_of_an_earlier_process_is_no_sign_of_life():
    group = Group(1)
    group.notes[0]["pid"] = 7
    group.go(LATE_S)
    assert group.found() == []
    group.go(1)
    assert group.found() == [(0, "silent")]
