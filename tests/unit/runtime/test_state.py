import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmdist.runtime.state import run_state
from mmdist.runtime.wording import attempt_lines
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


def test_what_succeeded_has_succeeded_whoever_claimed_the_run_after_that():
    events = [SUBMITTED, STARTED, event(1, "finished", 9.0, state="succeeded", exit_code=0), event(2, "phase", 10.0)]
    state = run_state(events, driver_alive=False)
    assert (state.state, state.attempt, state.exit_code) == ("succeeded", 1, 0)


def test_a_claim_that_was_killed_before_it_could_withdraw_does_not_count():
    killed = event(2, "attempt-started", 3.0)
    finished = event(1, "finished", 9.0, state="failed", exit_code=5)
    assert run_state([SUBMITTED, STARTED, killed, finished], driver_alive=False).state == "failed"
    later = event(2, "attempt-started", 10.0)
    assert run_state([SUBMITTED, STARTED, later, finished], driver_alive=False).state == "interrupted"


def test_attempts_have_their_times_reasons_and_lost_work():
    hung = "worker 0 on h (process 7) gave no sign of life"
    events = [
        SUBMITTED,
        STARTED,
        event(1, "worker-started", 3.0, "worker-0.0", restart=0),
        event(1, "worker-hung", 60.0, message=hung),
        event(1, "worker-started", 70.0, "worker-0.1", restart=1),
        event(1, "work-lost", 75.0, "worker-0.1", 1, of_attempt=1, steps=4),
        event(2, "attempt-started", 200.0, host="g", pid=2),
        event(2, "resumed", 201.0, "worker-0.0", step=20),
        event(2, "work-lost", 202.0, "worker-0.0", 1, of_attempt=1, steps=3),
        event(2, "finished", 300.0, state="succeeded", exit_code=0),
    ]
    first, second = run_state(events, driver_alive=False).attempts
    assert (first["state"], first["started_s"], first["ended_s"]) == ("cut off", 2.0, 75.0)
    assert (first["restarts"], first["hung"], first["lost_steps"], first["reason"]) == (1, 1, 7, hung)
    assert (second["state"], second["exit_code"], second["from_step"], second["reason"]) == ("succeeded", 0, 20, None)
    assert attempt_lines(first)[1:] == ["1 times new workers, 1 hung, 7 steps done again", hung]
    assert attempt_lines(second)[0].startswith("succeeded, from ")


FACTS = st.fixed_dictionaries(
    {},
    optional={
        "state": st.sampled_from(["succeeded", "failed", "stopped", "withdrawn"]),
        "exit_code": st.integers(0, 6),
        "name": st.just("train"),
        "message": st.just("words"),
        "restart": st.integers(0, 3),
        "step": st.integers(0, 9),
        "steps": st.integers(0, 9),
        "of_attempt": st.integers(0, 3),
    },
)
EVENTS = st.lists(
    st.builds(
        Event,
        st.integers(0, 4),
        st.sampled_from(["driver", "worker-0.0"]),
        st.integers(0, 9),
        st.floats(0, 100),
        st.sampled_from(
            (
                *("submitted", "attempt-started", "phase", "finished", "failed", "worker-started", "worker-hung"),
                *("resumed", "work-lost", "epoch-finished", "checkpoint-saved"),
            )
        ),
        FACTS,
    ),
    max_size=25,
    unique_by=lambda event: (event.attempt, event.writer, event.sequence),
)


@given(EVENTS, st.booleans(), st.randoms())
def test_no_order_and_no_gap_makes_the_state_contradict_how_it_finished(events, alive, random):
    state = run_state(events, driver_alive=alive)
    shuffled = [*events]
    random.shuffle(shuffled)
    assert run_state(shuffled, driver_alive=alive) == state
    ends = {e.attempt: e.facts.get("state", "failed") for e in sorted(events, key=by_time) if ended(e)}
    withdrawn = {e.attempt for e in events if e.facts.get("state") == "withdrawn"}
    ends = {attempt: how for attempt, how in ends.items() if attempt not in withdrawn and attempt > 0}
    if "succeeded" in ends.values():
        assert state.state == "succeeded"
    else:
        assert state.state != "succeeded"
    if state.state in ("failed", "stopped"):
        assert ends[state.attempt] == state.state
    for attempt in state.attempts:
        expected = ends.get(attempt["attempt"])
        assert attempt["state"] == (expected or ("running" if attempt["state"] == "running" else "cut off"))
        attempt_lines(attempt)


def by_time(event):
    return event.attempt, event.time_s, event.writer, event.sequence


def ended(event):
    return event.kind == "finished" and event.writer == "driver"
