import pytest

from mmdist.runtime.state import run_state
from mmdist.storage import Event


def event(attempt, kind, time_s, writer="driver", sequence=0, /, **facts):
    return Event(attempt, writer, sequence, time_s, kind, facts)


SUBMITTED = event(0, "submitted", 1.0, "submit", kind="train", name="demo")
STARTED = event(1, "attempt-started", 2.0, host="h", pid=1)


def test_without_an_attempt_a_run_is_submitted():
    state = run_state([SUBMITTED], driver_alive=False)
    assert (state.state, state.kind, state.name, state.can_resume) == ("submitted", "train", "demo", True)


@pytest.mark.parametrize(("alive", "expected"), [(True, "running"), (False, "interrupted")])
def test_an_unfinished_attempt_depends_on_its_driver(alive, expected):
    state = run_state([SUBMITTED, STARTED, event(1, "phase", 3.0, name="train")], driver_alive=alive)
    assert (state.state, state.phase, state.can_resume) == (expected, "train", not alive)


@pytest.mark.parametrize(("ended", "resumes"), [("succeeded", False), ("failed", True), ("stopped", True)])
def test_a_finished_attempt_says_how_it_ended(ended, resumes):
    finished = event(1, "finished", 9.0, state=ended, exit_code=5, metrics={"accuracy": 0.5}, report="R")
    state = run_state([SUBMITTED, STARTED, finished], driver_alive=False)
    assert (state.state, state.exit_code, state.ended_s, state.report) == (ended, 5, 9.0, "R")
    assert (state.is_over, state.can_resume, state.metrics) == (True, resumes, {"accuracy": 0.5})


def test_the_newest_attempt_decides_and_all_are_listed():
    events = [SUBMITTED, STARTED, event(2, "attempt-started", 20.0, host="h", pid=2)]
    state = run_state(events, driver_alive=True)
    assert [attempt["state"] for attempt in state.attempts] == ["cut off", "running"]
    assert (state.attempt, state.started_s) == (2, 2.0)


def test_a_withdrawn_attempt_does_not_count():
    events = [SUBMITTED, STARTED, event(2, "attempt-started", 3.0), event(2, "finished", 3.1, state="withdrawn")]
    assert run_state(events, driver_alive=True).attempt == 1


def test_an_epoch_that_was_trained_again_counts_once():
    epochs = [
        event(1, "epoch-finished", 3.0, "worker-0.0", epoch=1, loss=3),
        event(1, "epoch-finished", 4.0, "worker-0.0", epoch=2, loss=2),
        event(2, "epoch-finished", 6.0, "worker-0.0", epoch=2, loss=1),
    ]
    state = run_state([SUBMITTED, STARTED, *epochs], driver_alive=False)
    assert [(epoch["epoch"], epoch["loss"]) for epoch in state.epochs] == [(1, 3), (2, 1)]


def test_a_workers_failure_shows_only_once_the_driver_is_gone():
    failed = event(1, "failed", 3.0, "worker-0.0", message="broken", error="DataRefusedError", exit_code=3)
    assert run_state([SUBMITTED, STARTED, failed], driver_alive=True).error is None
    assert run_state([SUBMITTED, STARTED, failed], driver_alive=False).error["message"] == "broken"
