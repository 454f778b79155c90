from collections.abc import Callable
from pathlib import Path

import pytest
from job_texts import TRAIN

from mmdist.spec.load import LoadedJob

Load = Callable[..., LoadedJob]


def test_scalars_sections_and_lists(load: Load) -> None:
    text = TRAIN + "  image: {augment: [{type: flip}, {type: shift}]}\n  columns: {image: i, text: t, label: l}\n"
    spec = load(
        text,
        "train.epochs=3",
        "train.optimizer.learning_rate=1e-4",
        "data.columns.text=null",
        "data.image.augment.1.share=0.2",
        "data.image.size=[32, 48]",
        "train.early_stopping={patience: 2}",
        "task.labels=[a, b]",
    ).spec
    assert spec.train.epochs == 3
    assert spec.train.optimizer.learning_rate == 1e-4
    assert spec.data.columns.text is None
    assert spec.data.image.augment[1].share == 0.2
    assert spec.data.image.size == (32, 48)
    assert spec.train.early_stopping.patience == 2
    assert spec.task.labels == ("a", "b")


def test_the_later_override_wins(load: Load) -> None:
    assert load(TRAIN, "seed=1", "seed=2").spec.seed == 2


def test_a_column_taken_away_leaves_the_others(load: Load) -> None:
    columns = load(TRAIN + "  columns: {image: i, text: t, label: l}\n", "data.columns.text=null").spec.data.columns
    assert (columns.image, columns.text, columns.label) == ("i", None, "l")


def test_value_with_an_equals_sign(load: Load) -> None:
    assert load(TRAIN, "data.test=a=b").spec.data.test.endswith("/a=b")


def test_override_is_the_place_of_its_errors(refusal: Callable[..., str]) -> None:
    assert refusal(TRAIN, "train.epoch=3").startswith(
        "--set train.epoch=3: unknown key `epoch`; did you mean `epochs`?\n"
    )
    assert refusal(TRAIN + "train: {epochs: 3}\n", "train.epochs=x").startswith(
        "--set train.epochs=x: wrong value for `train.epochs`\n"
    )
    assert refusal(TRAIN, "train={epoch: 3}").startswith("--set train={epoch: 3}: unknown key `epoch`")
    assert refusal(TRAIN, "kind=trian").startswith("--set kind=trian: unknown kind `trian`")


def test_what_the_file_says_keeps_its_place(refusal: Callable[..., str]) -> None:
    assert refusal(TRAIN + "model: {image: {units: 8}}\n", "model.image.unitz=3").startswith(
        "--set model.image.unitz=3"
    )
    assert refusal(TRAIN + "model: {image: {unitz: 8}}\n", "model.image.units=3").startswith("job.yaml:6:17: ")


@pytest.mark.parametrize(
    ("override", "error"),
    [
        ("train.epochs", "--set train.epochs: not an override\n  expected: key.path=value"),
        ("=3", "--set =3: not an override"),
        ("train..epochs=3", "--set train..epochs=3: not an override"),
        ("seed.x=3", "--set seed.x=3: `seed` is a value and has no key `x`\n  expected: `--set seed=value`"),
        ("data.image.augment.1.p=1", "no item `1` in `data.image.augment`\n  expected: a number from 0 to 0"),
        ("data.image.augment.first=1", "no item `first` in `data.image.augment`"),
        ("seed=[1", "--set seed=[1: not valid YAML"),
        ("seed=!!int 1", "--set seed=!!int 1: tags are not allowed"),
        ("seed={a: 1, a: 2}", "duplicate key `a`"),
    ],
)
def test_refused_overrides(refusal: Callable[..., str], override: str, error: str) -> None:
    assert error in refusal(TRAIN + "  image: {augment: [{type: flip}]}\nseed: 1\n", override)


def test_item_of_an_empty_list(refusal: Callable[..., str]) -> None:
    message = refusal(TRAIN + "  image: {augment: []}\n", "data.image.augment.0.type=flip")
    assert "expected: `--set data.image.augment=[...]` for a new list" in message


def test_the_file_is_not_changed(load: Load) -> None:
    load(TRAIN, "seed=5")
    assert Path("job.yaml").read_text() == TRAIN
