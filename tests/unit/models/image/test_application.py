import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf

from mmdist.errors import DataRefusedError, JobFileError
from mmdist.models.image import build_image_tower
from mmdist.models.image.application import _NETS
from mmdist.spec.model import ApplicationSpec, RegularizationSpec

PICTURES = np.random.default_rng(0).random((2, 32, 32, 3), np.float32)
PRESENT = np.ones(2, bool)


def make(net="mobilenetv2_035", l2=0.0, **changes):
    spec = ApplicationSpec(net=net, units=5, **changes)
    tower = build_image_tower(spec, regularization=RegularizationSpec(l2=l2), image_size=(32, 32), seed=0)
    tower(PICTURES, PRESENT)
    return tower


def published(net="mobilenetv2_035"):
    """The network as keras.applications has it, with weights of its own, in a model with a top."""
    plain = _NETS[net].build(include_top=False, weights=None, input_shape=(32, 32, 3))
    rng = np.random.default_rng(1)
    for weight in plain.weights:
        weight.assign(rng.uniform(0.1, 1.0, weight.shape).astype(np.float32))
    return plain, keras.Sequential([plain, keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3)])


def check_published(net, path):
    plain, whole = published(net)
    whole.save(path)
    tower = make(net, weights=str(path))
    assert len(tower.load_pretrained()) == 64
    scaled = (PICTURES - np.float32(tower.mean)) / np.float32(tower.deviation)
    expected = np.asarray(plain(scaled, training=False)).reshape(2, -1, plain.output.shape[-1])
    np.testing.assert_allclose(tower(PICTURES, PRESENT).tokens, expected, rtol=1e-4, atol=1e-5)


def test_a_whole_models_file_of_keras_brings_the_network_in(tmp_path):
    check_published("mobilenetv2_035", tmp_path / "whole.h5")


@pytest.mark.campaign
@pytest.mark.parametrize("net", [net for net in _NETS if net != "mobilenetv2_035"])
def test_every_network_is_the_published_one(tmp_path, net):
    check_published(net, tmp_path / "whole.h5")


def test_names_of_keras_2_are_known(tmp_path):
    plain, _ = published()
    path = tmp_path / "old.h5"
    with h5py.File(path, "w") as file:
        for layer in plain.layers:
            for weight in layer.weights:
                is_depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
                name = f"{layer.name}/{layer.name}/{'depthwise_' * is_depthwise}{weight.name}:0"
                file[name] = weight.numpy()
    tower = make(weights=str(path))
    tower.load_pretrained()
    for layer in (layer for layer in plain.layers if layer.weights):
        for expected, received in zip(layer.weights, tower.net.get_layer(layer.name).weights, strict=True):
            np.testing.assert_array_equal(expected, received)


def test_another_network_is_refused(tmp_path):
    _, whole = published()
    whole.save(tmp_path / "whole.h5")
    with pytest.raises(DataRefusedError, match="does not fit"):
        make("mobilenetv2", weights=str(tmp_path / "whole.h5")).load_pretrained()
    assert make().load_pretrained() is None


def test_stages_hold_what_is_trained_of_the_network():
    tower = make()
    stages = tower.stages
    found = [id(weight) for stage in stages for weight in stage]
    assert len(stages) == 5
    assert len(set(found)) == len(found)
    assert set(found) == {id(weight) for weight in tower.net.trainable_weights}
    assert stages[0][0].path.endswith("Conv1/kernel")
    assert stages[-1][-1].path.endswith("Conv_1_bn/beta")


def test_a_frozen_network_runs_as_in_prediction():
    tower = make()
    before = [weight.numpy() for weight in tower.net.non_trainable_weights]
    tower.is_frozen = True
    frozen = tower(PICTURES, PRESENT, training=True)
    np.testing.assert_array_equal(frozen.tokens, tower(PICTURES, PRESENT).tokens)
    for expected, received in zip(before, tower.net.non_trainable_weights, strict=True):
        np.testing.assert_array_equal(expected, received)
    tower.is_frozen = False
    assert not np.array_equal(tower(PICTURES, PRESENT, training=True).tokens, frozen.tokens)


def test_pictures_are_scaled_to_the_size_that_is_asked_for():
    assert make(resize=(64, 96))(PICTURES, PRESENT).tokens.shape == (2, 6, 1280)
    spec = ApplicationSpec(resize=(32, 32))
    build_image_tower(spec, regularization=RegularizationSpec(), image_size=(8, 8), seed=0)
    with pytest.raises(JobFileError, match=r"at least 32 x 32\n  received: 31 x 40\n  to do: .*`model.image.resize`"):
        build_image_tower(ApplicationSpec(), regularization=RegularizationSpec(), image_size=(31, 40), seed=0)


@pytest.mark.parametrize("is_counted", [False, True])
def test_only_rows_that_count_are_in_the_statistics(is_counted):
    """With its control: a row that counts does change the others."""
    rows = np.concatenate([PICTURES, np.random.default_rng(1).random((1, 32, 32, 3), np.float32)])
    alone, among = make(), make()
    expected = alone(PICTURES, PRESENT, training=True).tokens
    received = among(rows, np.array([True, True, is_counted]), training=True).tokens[:2]
    pairs = [(expected, received), *zip(alone.non_trainable_weights, among.non_trainable_weights, strict=True)]
    assert all(np.allclose(one, other, rtol=1e-4, atol=1e-4) for one, other in pairs) != is_counted


def test_penalties_are_those_of_this_house():
    tower = make(l2=0.5)
    kernels = [weight for weight in tower.trainable_weights if weight.path.endswith("kernel")]
    assert len(kernels) == 53
    expected = sum(0.5 * float(tf.reduce_sum(tf.square(kernel))) for kernel in kernels)
    assert float(sum(tower.losses)) == pytest.approx(expected, rel=1e-4)
