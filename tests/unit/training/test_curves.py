"""The curves of a training, as TensorBoard reads them."""

import sys
from pathlib import Path

import pytest
import tensorflow as tf

from mmdist.storage import open_store
from mmdist.training.metrics import MetricWriter


def test_curves_are_written_where_tensorboard_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "tensorboard"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    writer = MetricWriter(open_store(str(tmp_path)), 1, 0, tensorboard=True)
    writer.add({"train/loss": 0.5, "train/accuracy": 0.25}, step=7, epoch=0)
    writer.flush()
    [path] = (tmp_path / "tensorboard" / "0001.00").iterdir()
    events = [tf.compat.v1.Event.FromString(record.numpy()) for record in tf.data.TFRecordDataset(str(path))]
    curves = {
        value.tag: (event.step, float(tf.make_ndarray(value.tensor)), value.metadata.plugin_data.plugin_name)
        for event in events
        for value in event.summary.value
    }
    assert curves == {"train/loss": (7, 0.5, "scalars"), "train/accuracy": (7, 0.25, "scalars")}
