"""What counts as news of a worker, and for how long it may have none. The clock is a number; no thread is started."""

import pytest

from mmdist.storage import open_store
from mmdist.training import heartbeat as module
from mmdist.training.heartbeat import BUSY_SHARE, PATIENCE, Heartbeat

LIMIT_S = 10.0


class Clock:
    now = 0.0

    def monotonic(self):
        return self.now

    time = monotonic


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


@pytest.fixture
def heartbeat(tmp_path, clock):
    return Heartbeat(open_store(str(tmp_path)), "worker-0", hang_timeout_s=LIMIT_S)


def silent_for(heartbeat, clock, seconds, busy_share):
    """Lets time go by, and says after how many seconds the worker counted as stuck; None where it never did."""
    for second in range(1, seconds + 1):
        clock.now += 1.0
        heartbeat._see_work(busy_share)
        if heartbeat.idle_s > heartbeat.limit_s:
            return second
    return None


def test_building_is_seen_by_the_processor_that_it_uses_and_not_for_ever(heartbeat, clock):
    heartbeat.begin("build")
    assert silent_for(heartbeat, clock, 200, BUSY_SHARE) == PATIENCE * LIMIT_S


def test_waiting_while_building_is_a_hang_as_soon_as_in_a_step(heartbeat, clock):
    heartbeat.begin("build")
    assert silent_for(heartbeat, clock, 200, BUSY_SHARE / 2) == LIMIT_S + 1


def test_once_there_are_steps_only_steps_are_news(heartbeat, clock):
    heartbeat.begin("train")
    assert silent_for(heartbeat, clock, 3 * int(LIMIT_S), 1.0) is None, "the first step is traced"
    heartbeat.note(step=1)
    assert silent_for(heartbeat, clock, 200, 1.0) == LIMIT_S + 1


def test_what_storage_takes_is_news_of_who_waits_for_it_alone(heartbeat, clock):
    heartbeat.begin("train")
    heartbeat.note(step=1)
    clock.now += 5.0
    heartbeat.moved()
    assert heartbeat.idle_s == 5.0
    with heartbeat.doing("checkpoint"):
        clock.now += 5.0
        heartbeat.moved()
        assert heartbeat.idle_s == 0.0


def test_who_waits_within_a_wait_waits_on(heartbeat):
    with heartbeat.doing("collective"):
        with heartbeat.doing("fetch"):
            assert heartbeat.limit_s == PATIENCE * LIMIT_S
        assert heartbeat.place["doing"] == "collective"
        assert heartbeat.limit_s == LIMIT_S
    assert "doing" not in heartbeat.place
