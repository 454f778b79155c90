import pytest

from mmdist.storage import EventWriter, open_store, read_events
from mmdist.training import epoch_events
from mmdist.training.epoch_events import EpochEvents
from mmdist.training.input_advice import InputFacts
from mmdist.training.pace import InputTime, Pace

FACTS = InputFacts(is_remote=True, is_cached=False, threads=2, image_size=(64, 64))


@pytest.fixture
def run(tmp_path):
    return open_store(str(tmp_path))


def pace(**waits):
    """An epoch of 10 seconds."""
    found = Pace()
    found._begun_s -= 10.0
    found.add(rows=100, spent=InputTime(**{"read_s": 0.0, "prepare_s": 0.0, "decode_s": 0.0, **waits}))
    found.end()
    return found


def test_an_epochs_event_tells_its_time_and_what_to_change_and_each_cause_is_told_once(run, monkeypatch):
    counts = {"read": 2}
    monkeypatch.setattr(epoch_events, "retry_counts", lambda: dict(counts))
    writer = EpochEvents(EventWriter(run, 1, "worker-0.0"), FACTS)
    writer.write(pace(decode_s=4.0), epoch=1, metrics={"val/loss": 1.0}, step=3)
    counts |= {"read": 3, "write": 1}
    writer.write(pace(decode_s=3.0), epoch=2, metrics={}, step=6)
    writer.write(pace(read_s=3.0), epoch=3, metrics={}, step=9)
    writer.write(pace(read_s=0.1), epoch=4, metrics={}, step=12)
    events = read_events(run)
    epochs = [event.facts for event in events if event.kind == "epoch-finished"]
    assert [facts.get("storage_retries") for facts in epochs] == [{"read": 2}, {"read": 1, "write": 1}, None, None]
    assert ["input_advice" in facts for facts in epochs] == [True, True, True, False]
    assert epochs[0]["step"] == 3
    assert epochs[0]["seconds_by_phase"]["decode_wait"] == 4.0
    assert epochs[0]["metrics"]["val/loss"] == 1.0
    assert epochs[0]["metrics"]["decode_wait_share"] == pytest.approx(0.4, rel=0.01)
    told = [event.facts for event in events if event.kind == "input-bound"]
    assert [facts["epoch"] for facts in told] == [1, 3]
    assert [facts["advice"] for facts in told] == [epochs[0]["input_advice"], epochs[2]["input_advice"]]
    assert "data.cache" in told[1]["advice"]
