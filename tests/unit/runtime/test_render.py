import contextlib
import io
import json
import os
import pty

from mmdist.runtime.follow import Follower, Look
from mmdist.runtime.render import PlainView, TerminalView, open_view
from mmdist.runtime.state import RunState
from mmdist.storage import Event, claim_attempt, open_store, request_stop, write_live

PHASE = Event(1, "driver", 1, 0.0, "phase", {"name": "train"})
EPOCH = Event(1, "worker-0.0", 1, 0.0, "epoch-finished", {"epoch": 1, "epochs": 2, "metrics": {"train/loss": 1.0}})
NOTE = {"phase": "train", "epoch": 1, "epochs": 2, "batch": 3, "batches": 4}


def look(*events, live=None):
    return Look(list(events), live, RunState(state="running"))


def test_plain_lines_carry_a_time_and_the_live_line_comes_seldom(monkeypatch):
    out = io.StringIO()
    view = open_view("auto", out)
    assert isinstance(view, PlainView)
    view.show(look(PHASE, EPOCH, live=NOTE))
    view.show(look(live=NOTE))
    lines = [line.split("  ", 1)[1] for line in out.getvalue().splitlines()]
    assert lines == ["training", "epoch 1/2  train/loss 1.0000"]
    monkeypatch.setattr("mmdist.runtime.render.LIVE_EVERY_S", 0.0)
    view.show(look(live=NOTE))
    assert out.getvalue().splitlines()[-1].endswith("training  epoch 1/2  batch 3/4")


def test_json_lines_parse():
    out = io.StringIO()
    open_view("json", out).show(look(PHASE, live=NOTE))
    event, progress = (json.loads(line) for line in out.getvalue().splitlines())
    assert (event["event"], event["facts"]) == ("phase", {"name": "train"})
    assert progress["progress"] == NOTE


def read_to_end(master):
    """All that was written to a terminal whose other side is closed; a read gives what one write left, or less."""
    found = b""
    with contextlib.suppress(OSError):
        while data := os.read(master, 4096):
            found += data
    os.close(master)
    return found.decode()


def test_a_terminal_gets_a_live_line_that_goes_away():
    master, slave = pty.openpty()
    with open(slave, "w") as terminal:
        view = open_view("auto", terminal)
        assert isinstance(view, TerminalView)
        with view:
            view.show(look(PHASE, EPOCH, live=NOTE))
    text = read_to_end(master)
    assert "epoch 1/2  train/loss 1.0000" in text
    assert text.rstrip("\r\n").endswith(("\x1b[2K", "\x1b[?25h", "\x1b[1A\x1b[2K"))


def test_a_follower_reports_each_event_once_and_the_note_of_who_works(tmp_path):
    run = open_store(str(tmp_path))
    from mmdist.runtime.processes import this_process

    events = claim_attempt(run, this_process())
    follower = Follower(run)
    assert [event.kind for event in follower.look().new_events] == ["attempt-started"]
    events.write("phase", name="train")
    write_live(run, "driver", {"phase": "import"})
    write_live(run, "worker-0", {"phase": "train"})
    seen = follower.look()
    assert ([event.kind for event in seen.new_events], seen.live["phase"]) == (["phase"], "train")
    assert follower.look().new_events == []
    events.write("finished", state="succeeded", exit_code=0)
    assert follower.look().live is None


def test_a_follower_leaves_out_earlier_attempts(tmp_path):
    run = open_store(str(tmp_path))
    claim_attempt(run, {}).write("finished", state="stopped")
    claim_attempt(run, {})
    assert [event.attempt for event in Follower(run, first_attempt=2).look().new_events] == [2]


def test_a_stop_request_is_kept_as_it_was_first_asked(tmp_path):
    run = open_store(str(tmp_path))
    request_stop(run, "SIGINT")
    request_stop(run, "SIGTERM")
    assert json.loads(run.read_bytes("stop/request.json"))["reason"] == "SIGINT"
