import pytest

from mmdist.spec.data import GlobalOrderSpec, LanesOrderSpec, TrainDataSpec
from mmdist.spec.resolve import absolute, known_replicas, resolved_lanes
from mmdist.spec.resources import ResourcesSpec
from mmdist.spec.train import TrainSpec


def data(order: LanesOrderSpec | GlobalOrderSpec) -> TrainDataSpec:
    return TrainDataSpec(train="a", validation="b", order=order)


@pytest.mark.parametrize(("batch", "lanes"), [(256, 32), (64, 32), (48, 16), (100, 4), (7, 1)])
def test_default_lanes(batch: int, lanes: int) -> None:
    assert resolved_lanes(data(LanesOrderSpec()), TrainSpec(global_batch_size=batch)) == lanes


def test_named_lanes_and_global_order() -> None:
    assert resolved_lanes(data(LanesOrderSpec(lanes=8)), TrainSpec()) == 8
    assert resolved_lanes(data(GlobalOrderSpec()), TrainSpec()) == 1


@pytest.mark.parametrize(
    ("resources", "replicas"),
    [
        ({}, None),
        ({"workers": 2}, None),
        ({"workers": 2, "replicas_per_worker": 4}, 8),
        ({"workers": 2, "gpus_per_worker": 3}, 6),
        ({"gpus_per_worker": 0}, 1),
        ({"gpus_per_worker": 4, "replicas_per_worker": 2}, 2),
    ],
)
def test_known_replicas(resources: dict[str, int], replicas: int | None) -> None:
    assert known_replicas(ResourcesSpec(**resources)) == replicas


def test_absolute(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(str(tmp_path))
    assert absolute("a/b") == f"{tmp_path}/a/b"
    assert absolute("/a/b") == "/a/b"
    for url in ("s3://b/x", "gs://b/x", "file:///a"):
        assert absolute(url) == url
