import pickle
from collections.abc import Callable

import pytest
from job_texts import TRAIN

from mmdist.errors import JobFileError, MultipleJobFileError
from mmdist.spec.load import LoadedJob

Refusal = Callable[..., str]

TRAIN_KEYS = (
    "`epochs`, `global_batch_size`, `optimizer`, `accumulate`, `clip_norm`, `adaptive_clip`, `averages`, `precision`, "
    "`xla`, `deterministic`, `on_divergence`, `max_divergences`, `checkpoint`, `early_stopping` or `tensorboard`"
)


def test_unknown_key(refusal: Refusal) -> None:
    assert refusal(TRAIN + "train:\n  epoch: 3\n") == (
        f"job.yaml:7:3: unknown key `epoch`; did you mean `epochs`?\n  expected: {TRAIN_KEYS}\n  received: `epoch`"
    )


def test_key_of_another_section(refusal: Refusal) -> None:
    assert refusal(TRAIN + "epochs: 3\n").startswith("job.yaml:6:1: unknown key `epochs`; it belongs under `train`\n")
    assert refusal(TRAIN + "train: {seed: 3}\n").startswith(
        "job.yaml:6:9: unknown key `seed`; it belongs at the top level\n"
    )
    assert refusal(TRAIN + "epoch: 3\n").startswith("job.yaml:6:1: unknown key `epoch`; did you mean `train.epochs`?\n")
    sections = "`train.early_stopping` or `train.optimizer.schedule`"
    assert f"; it belongs under {sections}\n" in refusal(TRAIN + "resources: {patience: 3}\n")


def test_key_of_another_kind(refusal: Refusal) -> None:
    text = "kind: import\nname: x\nimport: {source: {type: openmoji}, output: d}\nmodel: y\n"
    assert refusal(text).startswith("job.yaml:4:1: unknown key `model`; it is a key of `kind: train`\n")


def test_key_unlike_any(refusal: Refusal) -> None:
    assert refusal(TRAIN + "xyzzy: 3\n").startswith("job.yaml:6:1: unknown key `xyzzy`\n")


def test_python_name_of_a_key_is_unknown(refusal: Refusal) -> None:
    assert "unknown key `import_`; did you mean `import`?" in refusal(TRAIN + "import_: null\n")


def test_missing_key(refusal: Refusal) -> None:
    assert refusal("kind: train\nname: x\ndata:\n  train: d\n") == (
        "job.yaml:3:1: key `validation` is missing in `data`\n"
        "  expected: `validation`: text (Folder of Parquet shards that choose the best checkpoint.)"
    )


def test_misspelt_required_key_is_one_error(refusal: Refusal) -> None:
    assert refusal("kind: train\nname: x\ndata: {train: d, validatoin: d}\n").startswith(
        "job.yaml:3:18: unknown key `validatoin`; did you mean `validation`?\n"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name: x\n", "job.yaml:1:1: key `kind` is missing\n"),
        ("name: x\nkinds: train\n", "job.yaml:2:1: key `kind` is missing; is `kinds` a typing error?\n"),
        ("kind: trian\n", "job.yaml:1:7: unknown kind `trian`; did you mean `train`?\n"),
        ("kind:\n", "job.yaml:1:6: unknown kind nothing (null)\n"),
        ("kind: [train]\n", 'job.yaml:1:7: unknown kind `["train"]`'),
    ],
)
def test_kind(refusal: Refusal, text: str, expected: str) -> None:
    message = refusal(text)
    assert message.startswith(expected)
    assert "expected: `kind`: `import`, `train`, `evaluate` or `predict`" in message


def test_unknown_type_of_one(refusal: Refusal) -> None:
    # The unknown type's own keys are not judged by the type that is there.
    assert refusal(TRAIN + "task: {type: sum, width: 16}\n") == (
        "job.yaml:6:14: unknown type `sum` for `task`\n"
        "  expected: `classification`, `multilabel`, `ordinal`, `regression`, `captioning` or `retrieval`\n"
        "  received: `sum`"
    )


def test_unknown_type_of_several(refusal: Refusal) -> None:
    assert refusal(TRAIN + "  image: {augment: [{type: flipp, q: 1}]}\n") == (
        "job.yaml:6:28: unknown type `flipp` for `data.image.augment.0`; did you mean `flip`?\n"
        "  expected: `flip`, `shift`, `crop`, `color`, `erasing`, `randaugment`, `mixup` or `cutmix`\n"
        "  received: `flipp`"
    )


def test_a_list_that_is_too_short(refusal: Refusal) -> None:
    message = refusal(TRAIN + "  image: {size: [64]}\n")
    assert message.startswith("job.yaml:6:17: `data.image.size` has too few entries\n")
    assert message.endswith("received: 1")


def test_missing_type(refusal: Refusal) -> None:
    assert refusal(TRAIN + "  order: {window: 2}\n") == (
        "job.yaml:6:3: key `type` is missing in `data.order`\n  expected: `type`: `lanes` or `global`"
    )


def test_key_named_like_its_type(refusal: Refusal) -> None:
    assert refusal(TRAIN + "  order: {type: lanes, lanes: 0}\n") == (
        "job.yaml:6:31: wrong value for `data.order.lanes`\n  expected: a whole number of at least 1\n  received: `0`"
    )


def test_unknown_metric(refusal: Refusal) -> None:
    assert refusal(TRAIN + "train: {checkpoint: {keep_best: {metric: val/acc}}}\n") == (
        "job.yaml:6:42: wrong value for `train.checkpoint.keep_best.metric`; did you mean `val/accuracy`?\n"
        "  expected: `val/loss`, `val/accuracy`, `train/loss` or `train/accuracy`\n"
        "  received: `val/acc`"
    )


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("train: {epochs: three}", "6:17: wrong value for `train.epochs`\n  expected: a whole number of at least 1\n"),
        ("train: {epochs: true}", "received: `true`"),
        ("train: {epochs: '3'}", "received: `3`"),
        ("train: {epochs: 3.0}", "received: `3.0`"),
        ("train: {optimizer: {learning_rate: .nan}}", "expected: a number above 0\n  received: `NaN`"),
        ("train: {optimizer: {learning_rate: 0}}", "expected: a number above 0\n  received: `0`"),
        ("train:", "6:7: wrong value for `train`\n  expected: a section\n  received: nothing (null)\n  to do: delete"),
        ("task: {labels: [a]}", "expected: `auto` or a list of at least 2, each item text\n"),
        ("task: {labels: [a, 3]}", "6:16: wrong value for `task.labels`"),
        ("resources: {workers: []}", "received: `[]`"),
        ("seed: -1", "expected: a whole number of at least 0 and below 2147483648\n"),
        ("evaluation: {calibration_bins: 1}", "expected: a whole number from 2 to 100\n"),
        ("storage: 3", 'expected: text\n  received: `3`\n  to do: write it in quotes: "3"'),
        ("model: cnn", "6:8: wrong value for `model`\n  expected: a section\n  received: `cnn`"),
    ],
)
def test_wrong_value(refusal: Refusal, line: str, error: str) -> None:
    assert error in refusal(TRAIN + line + "\n")


def test_wrong_value_in_the_data_section(refusal: Refusal) -> None:
    assert refusal(TRAIN + "  max_bad_rows: 1.5\n") == (
        "job.yaml:6:17: wrong value for `data.max_bad_rows`\n"
        "  expected: a whole number of at least 0 or a number of at least 0 and below 1\n"
        "  received: `1.5`"
    )
    assert "expected: a list of 2 values, each a whole number of at least 1" in refusal(
        TRAIN + "  image: {size: [1, 2, 3]}\n"
    )
    assert refusal(TRAIN + "  image: {size: [64, 6x4]}\n").startswith(
        "job.yaml:6:22: wrong value for `data.image.size.1`\n"
    )


def test_wrong_value_of_a_mapping(refusal: Refusal) -> None:
    text = "kind: import\nname: x\nimport:\n  source: {type: tfds, builder: b, columns: {a.b: 3}}\n  output: d\n"
    assert refusal(text).startswith("job.yaml:4:51: wrong value for `import.source.columns.a.b`\n  expected: text\n")


def test_name(refusal: Refusal) -> None:
    message = refusal(TRAIN.replace("demo", "de/mo"))
    assert message.startswith("job.yaml:2:7: wrong value for `name`\n  expected: Name of the job: letters, digits,")


def test_all_errors_are_told_in_the_order_of_the_file(load: Callable[..., LoadedJob]) -> None:
    with pytest.raises(MultipleJobFileError) as caught:
        load(TRAIN + "train: {epoch: 3, optimizer: {type: adamm}}\nseedd: 1\n", "resources.worker=2")
    places = [str(error.place) for error in caught.value.errors]
    assert places == ["job.yaml:6:9", "job.yaml:6:37", "job.yaml:7:1", "--set resources.worker=2"]
    assert str(caught.value).count("expected:") == 4
    assert caught.value.exit_code == 2


def test_several_errors_cross_a_process_border(load: Callable[..., LoadedJob]) -> None:
    with pytest.raises(MultipleJobFileError) as caught:
        load(TRAIN + "a: 1\nb: 2\n")
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value)
    assert isinstance(again, JobFileError)


def test_long_values_are_cut(refusal: Refusal) -> None:
    received = refusal(TRAIN + f"train: {{epochs: {'x' * 500}}}\n").splitlines()[-1]
    assert len(received) < 110
    assert received.endswith("...`")


def test_no_word_of_the_validation_library_is_shown(refusal: Refusal) -> None:
    text = TRAIN + "train: {epoch: 3, precision: float64, checkpoint: 3}\nmodel:\ntask: {type: x}\nname2: 1\n"
    for word in ("pydantic", "Input should", "literal_error", "Extra inputs", "dict"):
        assert word not in refusal(text)
