import pytest

from mmdist.spec.optimizer import PlateauSpec
from mmdist.spec.train import CheckpointSpec, EarlyStoppingSpec, KeepBestSpec
from mmdist.training.policies import EarlyStopping, EverySteps, KeepBest, KeepLast, Plateau


def test_every_steps():
    assert [step for step in range(1, 10) if EverySteps(CheckpointSpec(every=4)).is_due(step)] == [4, 8]
    assert not any(EverySteps(CheckpointSpec()).is_due(step) for step in range(1, 10))


def test_keep_last():
    assert KeepLast(2).chosen(["a", "b", "c"]) == {"b", "c"}
    assert KeepLast(2).chosen(["a"]) == {"a"}


@pytest.mark.parametrize(("mode", "expected"), [("max", [("b", 0.9), ("d", 0.9)]), ("min", [("c", 0.2), ("a", 0.5)])])
def test_keep_best_prefers_the_earlier_of_equals_and_goes_on_from_its_state(mode, expected):
    spec = KeepBestSpec(metric="val/accuracy", mode=mode, count=2)
    policy = KeepBest(spec)
    for step, (folder, value) in enumerate([("a", 0.5), ("b", 0.9), ("c", 0.2), ("d", 0.9), ("e", 0.9), ("f", 0.5)]):
        policy.offer(folder, step=step, epoch=step, metrics={"val/accuracy": value, "val/loss": -value})
        policy = KeepBest(spec, policy.entries)
    assert [(entry["folder"], entry["value"]) for entry in policy.entries] == expected
    assert policy.chosen() == {folder for folder, _ in expected}


@pytest.mark.parametrize(("patience", "ends_after"), [(0, 3), (1, 4), (2, None)])
def test_early_stopping_counts_epochs_without_gain_over_resumes(patience, ends_after):
    spec = EarlyStoppingSpec(metric="val/loss", mode="min", patience=patience, min_delta=0.1)
    policy, ended = EarlyStopping(spec), None
    for epoch, loss in enumerate([1.0, 0.8, 0.75, 0.72, 0.6], start=1):
        policy.add({"val/loss": loss})
        policy = EarlyStopping(spec, policy.state())
        if policy.is_over and ended is None:
            ended = epoch
    assert ended == ends_after


def test_without_early_stopping_nothing_ends():
    policy = EarlyStopping(None)
    for loss in (1.0, 2.0, 3.0):
        policy.add({"val/loss": loss})
    assert not policy.is_over
    assert policy.state() == {"best": None, "epochs_without": 0}


def test_a_plateau_lowers_the_rate_again_and_again_down_to_its_end_over_resumes():
    spec = PlateauSpec(metric="val/loss", mode="min", factor=0.5, patience=1, min_rate=0.2)
    policy, rate, rates = Plateau(spec), 1.0, []
    for loss in (3.0, 2.0, 2.0, 2.5, 2.1, 2.2, 1.0, 1.0, 1.0, 1.0, 1.0):
        policy.add({"val/loss": loss})
        rate = policy.lowered(rate)
        rates.append(rate)
        policy = Plateau(spec, policy.state())
    assert rates == [1.0, 1.0, 1.0, 0.5, 0.5, 0.25, 0.25, 0.25, 0.2, 0.2, 0.2]
    assert Plateau(None).lowered(0.1) == 0.1
