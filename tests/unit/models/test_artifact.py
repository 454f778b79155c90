import hashlib
import json

import numpy as np
import pytest

from mmdist.errors import DataRefusedError
from mmdist.models import ArtifactInfo, load_artifact, save_artifact
from mmdist.models.arrays import assign_arrays, pack_arrays, read_variables, unpack_arrays
from mmdist.models.build import build_model
from mmdist.models.facts import DataFacts
from mmdist.models.tasks import build_task
from mmdist.spec.data import ColumnsSpec
from mmdist.spec.model import BiLSTMSpec, ModelSpec
from mmdist.spec.task import ClassificationSpec
from mmdist.spec.text import TextSpec
from mmdist.storage import CommitError, commit_folder, open_store, read_committed

TOKENIZER = b'{"a": 1}'
SPEC = ModelSpec(text=BiLSTMSpec(embedding=4, lstm_units=3, units=2))


def info(**changes):
    facts = {
        "run_id": "r",
        "step": 7,
        "epoch": 1,
        "columns": ColumnsSpec(text="text", label="label"),
        "image": None,
        "text": TextSpec(tokens=5),
        "vocabulary": 9,
        "tokenizer_sha256": hashlib.sha256(TOKENIZER).hexdigest(),
        "labels": ("a", "b"),
        "task": ClassificationSpec(),
        "model": SPEC,
        "seed": 0,
    }
    return ArtifactInfo(**{**facts, **changes})


def make(seed=0):
    facts = DataFacts(text_tokens=5, vocabulary=9, labels=("a", "b"))
    task = build_task(ClassificationSpec(), facts, regularization=SPEC.regularization, seed=seed)
    return build_model(SPEC, task, facts, seed=seed)


def save(store, **changes):
    model = make(seed=5)
    paths = [weight.path for weight in model.weights]
    weights = read_variables(model.weights)
    save_artifact(store, "model", info(**changes), paths=paths, weights=weights, tokenizer=TOKENIZER)
    return weights


def rewrite(store, name, change):
    payload = read_committed(store, "model")
    payload[name] = change(payload[name])
    commit_folder(store, "other", payload)


def test_round_trip(tmp_path):
    store = open_store(str(tmp_path))
    weights = save(store)
    artifact = load_artifact(store, "model")
    assert artifact.tokenizer == TOKENIZER
    assert artifact.info.labels == ("a", "b")
    assert artifact.info.model == SPEC
    for expected, received in zip(weights, read_variables(artifact.build().weights), strict=True):
        np.testing.assert_array_equal(expected, received)


def test_an_unfinished_folder_is_written_anew_and_a_finished_one_never(tmp_path):
    store = open_store(str(tmp_path))
    save(store)
    store.delete_file("model/COMMITTED")
    with pytest.raises(CommitError, match="missing"):
        load_artifact(store, "model")
    save(store)
    with pytest.raises(CommitError, match="never written again"):
        save(store)


def test_a_changed_byte_is_found(tmp_path):
    store = open_store(str(tmp_path))
    save(store)
    data = bytearray(store.read_bytes("model/weights.safetensors"))
    data[-1] ^= 1
    store.write_bytes("model/weights.safetensors", bytes(data))
    with pytest.raises(CommitError, match="does not agree with its manifest"):
        load_artifact(store, "model")


def test_another_tokenizer_is_refused(tmp_path):
    store = open_store(str(tmp_path))
    save(store)
    rewrite(store, "tokenizer.json", lambda _: b"{}")
    with pytest.raises(DataRefusedError, match="not the one that the model was trained with"):
        load_artifact(store, "other")


def test_another_version_and_unreadable_facts_are_refused(tmp_path):
    store = open_store(str(tmp_path))
    save(store, version=2)
    with pytest.raises(DataRefusedError, match="received: version 2"):
        load_artifact(store, "model")
    rewrite(store, "model.json", lambda data: b"not JSON")
    with pytest.raises(DataRefusedError, match=r"model\.json cannot be read"):
        load_artifact(store, "other")


def test_weights_of_another_shape_are_refused(tmp_path):
    store = open_store(str(tmp_path))
    save(store)
    rewrite(store, "weights.safetensors", lambda data: pack_arrays(unpack_arrays(data, file="")[:-1]))
    with pytest.raises(DataRefusedError, match=r"do not agree with model\.json"):
        load_artifact(store, "other")
    payload = read_committed(store, "model")
    facts = json.loads(payload["model.json"])
    facts["labels"] = ["a", "b", "c"]
    commit_folder(store, "third", {**payload, "model.json": json.dumps(facts).encode()})
    with pytest.raises(DataRefusedError, match=r"does not fit head/logits/kernel\n  expected: float32 \(2, 3\)"):
        load_artifact(store, "third").build()


def test_arrays_keep_scalars_and_dtypes(tmp_path):
    arrays = [np.array(3, np.int64), np.arange(6, dtype=np.float32).reshape(2, 3).T, np.zeros((0, 2), np.uint8)]
    again = unpack_arrays(pack_arrays(arrays), file="x")
    for expected, received in zip(arrays, again, strict=True):
        assert expected.shape == received.shape
        assert expected.dtype == received.dtype
        np.testing.assert_array_equal(expected, received)
    with pytest.raises(DataRefusedError, match="does not hold arrays"):
        unpack_arrays(b"junk", file="x")


def test_arrays_that_do_not_fit_change_nothing():
    model = make()
    before = read_variables(model.weights)
    wrong = [np.ones_like(array) for array in before[:-1]]
    with pytest.raises(DataRefusedError, match=f"expected: {len(before)} arrays"):
        assign_arrays(model.weights, wrong, file="x")
    with pytest.raises(DataRefusedError, match="does not fit"):
        assign_arrays(model.weights, [*wrong, np.ones((99,), np.float32)], file="x")
    for expected, received in zip(before, read_variables(model.weights), strict=True):
        np.testing.assert_array_equal(expected, received)
