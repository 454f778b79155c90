from concurrent.futures import ThreadPoolExecutor

from mmdist.storage import EventWriter, claim_attempt, open_store, read_events, read_live, write_live


def test_events_come_back_in_order_with_their_facts(tmp_path):
    run = open_store(str(tmp_path))
    driver = claim_attempt(run, {"host": "a"})
    driver.write("phase", name="train")
    EventWriter(run, driver.attempt, "worker-0.0").write("epoch-finished", epoch=0)
    second = claim_attempt(run, {"host": "b"})
    events = read_events(run)
    assert second.attempt == 2
    assert [(event.attempt, event.writer, event.kind) for event in events] == [
        (1, "driver", "attempt-started"),
        (1, "driver", "phase"),
        (1, "worker-0.0", "epoch-finished"),
        (2, "driver", "attempt-started"),
    ]
    assert events[1].facts == {"name": "train"}


def test_an_attempt_is_claimed_once_however_many_try(tmp_path):
    run = open_store(str(tmp_path))
    with ThreadPoolExecutor(8) as pool:
        attempts = list(pool.map(lambda number: claim_attempt(run, {"number": number}).attempt, range(32)))
    assert sorted(attempts) == list(range(1, 33))


def test_a_torn_event_is_left_out(tmp_path):
    run = open_store(str(tmp_path))
    claim_attempt(run, {})
    run.write_bytes("events/0001-driver-000001.json", b'{"time": 1.0, "ki')
    assert len(read_events(run)) == 1


def test_a_live_note_is_replaced_and_a_torn_one_is_none(tmp_path):
    run = open_store(str(tmp_path))
    assert read_live(run, "driver") is None
    write_live(run, "driver", {"phase": "import"})
    write_live(run, "driver", {"phase": "train"})
    assert read_live(run, "driver")["phase"] == "train"
    run.write_bytes("live/driver.json", b'{"phase"')
    assert read_live(run, "driver") is None
