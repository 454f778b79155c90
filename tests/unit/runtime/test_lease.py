import contextlib
import multiprocessing
import os
import signal
import threading
import time

import pytest

from mmdist.errors import UsageError
from mmdist.runtime import lease
from mmdist.runtime.lease import claim_run, holder_is_alive, live_attempt
from mmdist.runtime.processes import this_process
from mmdist.storage import EventWriter, claim_attempt, open_store, read_events, write_live


@pytest.fixture
def run(tmp_path):
    return open_store(str(tmp_path / "run"))


def test_a_second_driver_is_refused_while_the_first_lives(run):
    claim_run(run, {})
    with pytest.raises(UsageError, match=f"process {os.getpid()} on .*, attempt 1") as caught:
        claim_run(run, {})
    assert "mmdist stop" in caught.value.remedy


def test_a_finished_attempt_makes_room(run):
    claim_run(run, {}).write("finished", state="stopped")
    assert claim_run(run, {}).attempt == 2


def _claim_and_wait(url):
    claim_run(open_store(url), {})
    time.sleep(60)


def test_a_killed_driver_makes_room(run):
    child = multiprocessing.get_context("fork").Process(target=_claim_and_wait, args=(run.url,))
    child.start()
    while not read_events(run):
        time.sleep(0.01)
    assert live_attempt(run, read_events(run)) is not None
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    assert live_attempt(run, read_events(run)) is None
    assert claim_run(run, {}).attempt == 2


def test_a_process_id_that_was_given_to_another_process_is_not_the_holder(run):
    facts = this_process()
    claim_attempt(run, {**facts, "process_started": facts["process_started"] - 100})
    assert live_attempt(run, read_events(run)) is None


def test_a_driver_on_another_machine_lives_by_its_heartbeat(run, monkeypatch):
    claim_attempt(run, {**this_process(), "machine": "elsewhere"})
    [started] = read_events(run)
    assert holder_is_alive(run, started)
    later = time.time() + 2 * lease.HEARTBEAT_LIMIT_S
    monkeypatch.setattr(lease.time, "time", lambda: later)
    assert not holder_is_alive(run, started)
    write_live(run, "driver", {"attempt": 1})
    assert holder_is_alive(run, started)
    write_live(run, "driver", {"attempt": 2})
    assert not holder_is_alive(run, started), "the note of another attempt is no sign of life"


def test_of_two_claims_at_once_the_lower_number_stays(run, monkeypatch):
    """Both look before either writes: the second write gets number 2 and must see number 1."""
    real = claim_attempt
    monkeypatch.setattr(
        lease, "claim_attempt", lambda store, facts: (real(store, this_process()), real(store, facts))[1]
    )
    with pytest.raises(UsageError, match="attempt 1"):
        claim_run(run, {})
    finished = [event for event in read_events(run) if event.kind == "finished"]
    assert [(event.attempt, event.facts["state"]) for event in finished] == [(2, "withdrawn")]


def test_many_claims_leave_one_holder(run):
    won = []

    def claim():
        with contextlib.suppress(UsageError):
            won.append(claim_run(run, {}).attempt)

    threads = [threading.Thread(target=claim) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1


def test_a_writer_of_facts_may_name_a_fact_kind(run):
    EventWriter(run, 0, "submit").write("submitted", kind="train")
    assert read_events(run)[0].facts == {"kind": "train"}
