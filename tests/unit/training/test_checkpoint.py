import json
import threading

import numpy as np
import pytest

from mmdist.errors import DataRefusedError, StorageError
from mmdist.storage import EventWriter, commit_folder, open_store, read_committed, read_events
from mmdist.training.checkpoint import (
    CheckpointWriter,
    checkpoint_name,
    committed_checkpoints,
    read_checkpoint,
    restore_newest,
)


class Variable:
    """As much of a Keras variable as is read."""

    def __init__(self, value):
        self.value = np.asarray(value)

    def numpy(self):
        return self.value


def keep_all(folders):
    return set(folders)


@pytest.fixture
def run(tmp_path):
    return open_store(str(tmp_path))


def writer(run, attempt=1, known=()):
    return CheckpointWriter(run, EventWriter(run, attempt, "worker-0.0"), known)


def save(run, *steps, attempt=1, keep=keep_all, known=()):
    target = writer(run, attempt, known)
    for step in steps:
        variables = [Variable(np.full((2, 3), step, np.float32)), Variable(np.int64(step))]
        target.save(checkpoint_name(step, attempt, 0), variables, {"step": step}, keep)
    target.wait()
    target.close()


def flip_bit(run, path):
    data = bytearray(run.read_bytes(path))
    data[-1] ^= 1
    run.write_bytes(path, bytes(data))


def newest(run, attempt=9):
    return restore_newest(run, EventWriter(run, attempt, "worker-0.0"))


def test_round_trip_keeps_scalars_and_dtypes(run):
    save(run, 5)
    restored, known = newest(run)
    assert known == [restored.folder] == ["checkpoints/00000005-0001.0"]
    assert restored.state["step"] == 5
    assert [(array.shape, str(array.dtype)) for array in restored.arrays] == [((2, 3), "float32"), ((), "int64")]
    assert restored.arrays[1] == 5


def test_the_copy_is_taken_before_save_returns(run, monkeypatch):
    go_on = threading.Event()
    monkeypatch.setattr(
        "mmdist.training.checkpoint.commit_folder",
        lambda *arguments, **named: (go_on.wait(10), commit_folder(*arguments, **named)),
    )
    variable, target = Variable(np.zeros(3)), writer(run)
    target.save(checkpoint_name(1, 1, 0), [variable], {"step": 1}, keep_all)
    variable.value += 1
    go_on.set()
    target.wait()
    np.testing.assert_array_equal(newest(run)[0].arrays[0], np.zeros(3))


def test_order_is_by_step_then_attempt_then_restart(run):
    for folder in ("00000009-0001.0", "00000010-0001.0", "00000010-0002.0", "00000010-0002.1", "100000000-0001.0"):
        commit_folder(run, f"checkpoints/{folder}", {})
    commit_folder(run, "checkpoints/mine", {})
    run.write_bytes("checkpoints/00000011-0001.0/manifest.json", b"{}")
    assert [path.split("/")[1] for path in committed_checkpoints(run)] == [
        "00000009-0001.0",
        "00000010-0001.0",
        "00000010-0002.0",
        "00000010-0002.1",
        "100000000-0001.0",
    ]


def test_a_damaged_one_is_passed_over_told_and_left(run):
    save(run, 1, 2, 3)
    flip_bit(run, "checkpoints/00000003-0001.0/state.safetensors")
    run.delete_file("checkpoints/00000002-0001.0/COMMITTED")
    restored, known = newest(run)
    assert restored.state["step"] == 1
    assert known == ["checkpoints/00000001-0001.0"]
    [refused] = [event.facts for event in read_events(run) if event.kind == "checkpoint-refused"]
    assert refused["path"] == "checkpoints/00000003-0001.0"
    assert "does not agree with its manifest" in refused["reason"]
    assert run.exists("checkpoints/00000003-0001.0/state.safetensors")


def test_with_none_left_it_does_not_begin_anew_in_silence(run):
    assert newest(run) == (None, [])
    save(run, 1)
    flip_bit(run, "checkpoints/00000001-0001.0/state.json")
    with pytest.raises(StorageError, match="no checkpoint of this run verifies"):
        newest(run)


def test_after_a_fall_back_the_good_ones_are_kept_not_the_damaged(run):
    save(run, 10, 20)
    flip_bit(run, "checkpoints/00000020-0001.0/state.json")
    _, known = newest(run)
    save(run, 15, attempt=2, known=known, keep=lambda folders: set(folders[-1:]))
    restored, _ = newest(run)
    assert restored.state["step"] == 15
    assert not run.exists("checkpoints/00000010-0001.0")


def test_pruning_deletes_what_it_wrote_and_nothing_else(run):
    run.write_bytes("checkpoints/00000001-0001.0/notes.txt", b"mine")
    run.write_bytes("checkpoints/readme.txt", b"mine")
    save(run, 1, 2, 3, keep=lambda folders: set(folders[-1:]))
    assert committed_checkpoints(run) == ["checkpoints/00000003-0001.0"]
    assert [entry.path for entry in run.list("checkpoints/00000001-0001.0")] == [
        "checkpoints/00000001-0001.0/notes.txt"
    ]
    assert run.exists("checkpoints/readme.txt")
    assert not run.exists("checkpoints/00000002-0001.0")


def test_pruning_waits_for_the_new_one_and_takes_the_marker_first(run, monkeypatch):
    save(run, 1)
    order = []
    delete, commit = type(run).delete_file, commit_folder

    def committed(store, folder, payload, **named):
        commit(store, folder, payload, **named)
        order.append(f"committed {folder}")

    def deleted(store, path):
        order.append(f"deleted {path}")
        delete(store, path)

    monkeypatch.setattr("mmdist.training.checkpoint.commit_folder", committed)
    monkeypatch.setattr(type(run), "delete_file", deleted)
    save(run, 2, known=["checkpoints/00000001-0001.0"], keep=lambda folders: set(folders[-1:]))
    assert order[:2] == [
        "committed checkpoints/00000002-0001.0",
        "deleted checkpoints/00000001-0001.0/COMMITTED",
    ]


def test_a_failed_write_is_raised_and_prunes_nothing(run, monkeypatch):
    save(run, 1)

    def full(*_, **__):
        raise StorageError("storage failed an operation", received="No space left on device")

    monkeypatch.setattr("mmdist.training.checkpoint.commit_folder", full)
    target = writer(run, known=["checkpoints/00000001-0001.0"])
    target.save(checkpoint_name(2, 1, 0), [Variable(0.0)], {"step": 2}, lambda folders: set())
    with pytest.raises(StorageError, match="No space left"):
        target.save(checkpoint_name(3, 1, 0), [Variable(0.0)], {"step": 3}, lambda folders: set())
    target.close()
    assert newest(run)[0].state["step"] == 1


def test_another_version_and_arrays_of_another_shape_are_refused(run):
    save(run, 1)
    payload = read_committed(run, "checkpoints/00000001-0001.0")
    state = json.loads(payload["state.json"])
    for folder, change, message in (
        ("00000002-0001.0", {"version": 2}, "another version of mmdist"),
        ("00000003-0001.0", {"arrays": state["arrays"][:1]}, "not those that it lists"),
    ):
        path = f"checkpoints/{folder}"
        commit_folder(run, path, {**payload, "state.json": json.dumps({**state, **change}).encode()})
        with pytest.raises(DataRefusedError, match=message):
            read_checkpoint(run, path)
    commit_folder(run, "checkpoints/00000004-0001.0", {"x": b""})
    with pytest.raises(DataRefusedError, match="not a checkpoint"):
        read_checkpoint(run, "checkpoints/00000004-0001.0")


@pytest.mark.parametrize("marker", [b"", b"\0" * 64])
def test_a_run_that_ended_in_its_first_marker_begins_anew_and_tidies_up(run, marker):
    folder = "checkpoints/00000001-0001.0"
    commit_folder(run, folder, {"state.safetensors": b"1", "state.json": b"2"})
    run.write_bytes(f"{folder}/COMMITTED", marker)
    assert newest(run) == (None, [])
    save(run, 1, attempt=2)
    assert newest(run)[1] == ["checkpoints/00000001-0002.0"]
    assert not run.exists(folder)


def test_checkpoints_that_were_saved_and_are_gone_are_missed(run):
    save(run, 1)
    for name in ("COMMITTED", "manifest.json", "state.json", "state.safetensors"):
        run.delete_file(f"checkpoints/00000001-0001.0/{name}")
    with pytest.raises(StorageError, match="no checkpoint of this run verifies") as raised:
        newest(run)
    assert raised.value.received == "0 folders with bytes that are missing or changed; 1 were saved"


def test_a_folder_that_is_committed_already_is_not_touched(run):
    save(run, 1)
    target = writer(run, known=["checkpoints/00000001-0001.0"])
    target.save(checkpoint_name(1, 1, 0), [Variable(7.0)], {"step": 1}, lambda folders: set(folders[-1:]))
    with pytest.raises(StorageError, match="never written again"):
        target.wait()
    target.close()
    assert newest(run)[0].arrays[1] == 1
