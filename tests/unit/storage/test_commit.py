import pytest

from mmdist.storage import CommitError, commit_anew, commit_folder, is_committed, open_store, read_committed
from mmdist.storage.commit import UnfinishedError, verify_committed

PAYLOAD = {"state.bin": bytes(range(256)) * 8, "state.json": b"{}"}


@pytest.fixture
def store(tmp_path):
    return open_store(str(tmp_path))


def test_what_is_committed_is_read_back(store):
    commit_folder(store, "checkpoints/1", PAYLOAD)
    assert is_committed(store, "checkpoints/1")
    assert read_committed(store, "checkpoints/1") == PAYLOAD


def test_a_committed_folder_is_never_written_again(store):
    commit_folder(store, "one", PAYLOAD)
    with pytest.raises(CommitError, match="never written again"):
        commit_folder(store, "one", {"state.bin": b"other"})
    assert read_committed(store, "one") == PAYLOAD


@pytest.mark.parametrize("name", ["state.bin", "manifest.json", "COMMITTED"])
@pytest.mark.parametrize("fault", ["flip", "cut", "missing"])
def test_any_damage_is_noticed(store, name, fault):
    commit_folder(store, "one", PAYLOAD)
    path = f"one/{name}"
    data = bytearray(store.read_bytes(path))
    if fault == "missing":
        store.delete_file(path)
    else:
        data[len(data) // 2] ^= 1
        store.write_bytes(path, bytes(data if fault == "flip" else data[: len(data) // 2]))
    for read in (read_committed, verify_committed):
        with pytest.raises(CommitError):
            read(store, "one")


def test_content_may_lie_in_pieces(store):
    commit_folder(store, "one", {"a": [b"12", memoryview(b"3"), b""], "b": []})
    assert read_committed(store, "one") == {"a": b"123", "b": b""}


@pytest.mark.parametrize("cut", [b"", b"\0" * 64, slice(0, 20), slice(40, 64)])
def test_a_marker_cut_off_in_writing_is_no_commit_and_may_be_written_anew(store, cut):
    commit_folder(store, "one", PAYLOAD)
    marker = store.read_bytes("one/COMMITTED")
    if isinstance(cut, slice):
        left = bytearray(64)
        left[cut] = marker[cut]
        cut = bytes(left)
    store.write_bytes("one/COMMITTED", cut)
    assert not is_committed(store, "one")
    with pytest.raises(UnfinishedError, match="cut off while it was written"):
        read_committed(store, "one")
    commit_anew(store, "one", {"state.bin": b"other"})
    assert read_committed(store, "one") == {"state.bin": b"other"}


def test_a_damaged_marker_is_not_taken_for_an_unfinished_one(store):
    commit_folder(store, "one", PAYLOAD)
    marker = bytearray(store.read_bytes("one/COMMITTED"))
    marker[10] ^= 1
    store.write_bytes("one/COMMITTED", bytes(marker))
    assert is_committed(store, "one")
    with pytest.raises(CommitError, match="does not agree with the manifest"):
        read_committed(store, "one")
    with pytest.raises(CommitError, match="never written again"):
        commit_anew(store, "one", PAYLOAD)


def test_every_prefix_of_a_commit_is_either_whole_or_refused(store, monkeypatch):
    """Stops after each write in turn: a reader never takes half a folder for a whole one."""
    writes = len(PAYLOAD) + 2
    for stop_after in range(writes):
        done = 0

        class CrashError(Exception):
            pass

        real = type(store).write_pieces

        def write(self, path, data, *, real=real, stop_after=stop_after):
            nonlocal done
            if done == stop_after:
                raise CrashError
            real(self, path, data)
            done += 1

        monkeypatch.setattr(type(store), "write_pieces", write)
        with pytest.raises(CrashError):
            commit_folder(store, f"crash-{stop_after}", PAYLOAD)
        monkeypatch.undo()
        with pytest.raises(CommitError):
            read_committed(store, f"crash-{stop_after}")


def test_reading_back_tells_of_each_portion(store, monkeypatch):
    monkeypatch.setattr("mmdist.storage.commit._CHUNK_BYTES", 1000)
    told = []
    commit_folder(store, "one", PAYLOAD, moved=lambda: told.append(None))
    assert len(told) == 3 + 1, "2,048 bytes, and 2"
