import pytest

from mmdist.storage import CommitError, commit_folder, is_committed, open_store, read_committed

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
    with pytest.raises(CommitError):
        read_committed(store, "one")


def test_every_prefix_of_a_commit_is_either_whole_or_refused(store, monkeypatch):
    """Stops after each write in turn: a reader never takes half a folder for a whole one."""
    writes = len(PAYLOAD) + 2
    for stop_after in range(writes):
        done = 0

        class CrashError(Exception):
            pass

        real = type(store).write_bytes

        def write(self, path, data, *, real=real, stop_after=stop_after):
            nonlocal done
            if done == stop_after:
                raise CrashError
            real(self, path, data)
            done += 1

        monkeypatch.setattr(type(store), "write_bytes", write)
        with pytest.raises(CrashError):
            commit_folder(store, f"crash-{stop_after}", PAYLOAD)
        monkeypatch.undo()
        with pytest.raises(CommitError):
            read_committed(store, f"crash-{stop_after}")
