from collections.abc import Callable
from pathlib import Path

import pytest
from job_texts import TRAIN

from mmdist.spec.job import TrainJob
from mmdist.spec.load import LoadedJob
from mmdist.spec.model import ApplicationSpec, CNNSpec, ResNetSpec
from mmdist.spec.train import EarlyStoppingSpec, KeepBestSpec

Refusal = Callable[..., str]
IMPORTING = TRAIN + "import:\n  source: {type: openmoji}\n  output: d\n"


def test_batch_that_does_not_divide_by_the_replicas(refusal: Refusal) -> None:
    text = TRAIN + "train: {global_batch_size: 100}\nresources: {workers: 2, replicas_per_worker: 4}\n"
    assert refusal(text) == (
        "job.yaml:6:28: global_batch_size must divide by 8 replicas; received 100. Try 96 or 104.\n"
        "  expected: a multiple of 8 (workers x replicas_per_worker)\n"
        "  received: 100"
    )


def test_batch_smaller_than_the_replicas(refusal: Refusal) -> None:
    text = TRAIN + "train: {global_batch_size: 4}\nresources: {replicas_per_worker: 8}\n"
    assert "must divide by 8 replicas; received 4. Try 8." in refusal(text)


def test_batch_and_gpus(refusal: Refusal, load: Callable[..., LoadedJob]) -> None:
    text = TRAIN + "train: {global_batch_size: 9}\nresources: {gpus_per_worker: 2}\n"
    assert "must divide by 2 replicas; received 9. Try 8 or 10." in refusal(text)
    load(text, "resources.gpus_per_worker=auto")


def test_batch_and_workers_of_unknown_replicas(refusal: Refusal) -> None:
    text = TRAIN + "train: {global_batch_size: 100}\nresources: {workers: 3}\n"
    assert "must divide by 3 workers; received 100. Try 99 or 102." in refusal(text)


def test_lanes(refusal: Refusal, load: Callable[..., LoadedJob]) -> None:
    text = TRAIN + "  order: {type: lanes, lanes: 24}\ntrain: {global_batch_size: 64}\n"
    assert refusal(text) == (
        "job.yaml:6:31: data.order.lanes must divide global_batch_size 64 and be a multiple of 1 worker; received 24. "
        "Try 16 or 32.\n"
        "  expected: 16 or 32\n"
        "  received: 24\n"
        "  to do: set `data.order: {type: lanes, lanes: 32}`"
    )
    assert load(text, "data.order.lanes=32").spec.data.order.lanes == 32
    load(text, "data.order={type: global}")


def test_ngrams_from_short_to_long(refusal: Refusal, load: Callable[..., LoadedJob]) -> None:
    text = TRAIN + "  text: {tokenizer: {type: ngrams, lengths: [5, 3]}}\n"
    assert refusal(text) == (
        "job.yaml:6:45: the shortest n-gram is longer than the longest\n"
        "  expected: [3, 5]\n"
        "  received: [5, 3]\n"
        "  to do: name the shorter length first"
    )
    load(text, "data.text.tokenizer.lengths=[3, 3]")


def test_mixing_needs_two_rows_of_a_lane(refusal: Refusal, load: Callable[..., LoadedJob]) -> None:
    text = TRAIN + "  image: {augment: [{type: flip}, {type: mixup}]}\ntrain: {global_batch_size: 32}\n"
    assert refusal(text) == (
        "job.yaml:6:35: mixup mixes rows of one lane, and a batch has one row of each lane\n"
        "  expected: a batch of at least 64 rows for 32 lanes\n"
        "  received: global_batch_size 32\n"
        "  to do: set `data.order: {type: lanes, lanes: 16}`, or raise `train.global_batch_size` to 64"
    )
    load(text, "data.order={type: lanes, lanes: 16}")
    load(text, "train.global_batch_size=64")
    load(text, "data.order={type: global}")
    alone = refusal(text.replace("mixup", "cutmix"), "train.global_batch_size=1")
    assert "cutmix mixes rows of one lane" in alone
    assert "to do: raise `train.global_batch_size` to 2" in alone


def test_default_lanes_and_workers(refusal: Refusal, load: Callable[..., LoadedJob]) -> None:
    text = TRAIN + "train: {global_batch_size: 96}\nresources: {workers: 3}\n"
    message = refusal(text)
    assert message.startswith("job.yaml:7:22: data.order.lanes must divide global_batch_size 96 and be a multiple of 3")
    load(text, "data.order={type: lanes, lanes: 48}")


def test_columns(refusal: Refusal) -> None:
    assert refusal(TRAIN + "  columns: {label: l}\n") == (
        "job.yaml:6:3: `data.columns` names nothing that a model could read\n"
        "  expected: at least one of `image`, `text`, `audio` or `tabular`\n"
        "  received: none\n"
        "  to do: add for example `image: COLUMN` or `text: COLUMN` to `data.columns`"
    )
    assert "`data.columns` names no label" in refusal(TRAIN + "  columns: {text: t}\n")


@pytest.mark.parametrize("kind", ["predict", "evaluate"])
def test_whether_a_model_needs_labels_is_not_known_of_the_job(load: Callable[..., LoadedJob], kind: str) -> None:
    load(f"kind: {kind}\nname: x\nmodel: m\ndata: {{input: d, columns: {{text: t}}}}\n")


def test_pictures_too_small(refusal: Refusal, load: Callable[..., LoadedJob]) -> None:
    text = TRAIN + "  image: {size: [64, 21]}\n"
    message = refusal(text)
    assert message.startswith("job.yaml:6:17: pictures of 64 x 21 are too small for 3 convolutions with pooling\n")
    assert "expected: at least 22 x 22" in message
    load(text, "data.image.size=[22, 22]")
    load(text, "data.columns={text: t, label: l}")


def test_smallest_image() -> None:
    def side_after(side: int, filters: int) -> int:
        for _ in range(filters):
            side = (side - 2) // 2
        return side

    for count in (1, 2, 3, 4):
        spec = CNNSpec(filters=(8,) * count)
        smallest = min(side for side in range(1, 99) if spec.misfit(side, side) is None)
        assert side_after(smallest, count) == 1
        assert side_after(smallest - 1, count) < 1
        assert spec.misfit(99, smallest - 1) is not None
        assert spec.misfit(smallest - 1, 99) is not None


def test_pictures_too_small_for_stages(refusal: Refusal, load: Callable[..., LoadedJob]) -> None:
    text = TRAIN + "  image: {size: [7, 64]}\nmodel: {image: {type: resnet}}\n"
    assert "pictures of 7 x 64 are too small for 3 stages\n  expected: at least 8 x 8" in refusal(text)
    load(text, "data.image.size=[8, 8]")
    assert ResNetSpec(stem_stride=1).misfit(4, 4) is None


def test_stages_without_a_width(refusal: Refusal) -> None:
    message = refusal(TRAIN + "model:\n  image:\n    type: resnet\n    widths: [8, 16]\n")
    assert message.startswith("job.yaml:9:13: `model.image` has not as many widths as depths\n  expected: 3 widths")


def test_patches_that_do_not_divide(refusal: Refusal, load: Callable[..., LoadedJob]) -> None:
    text = TRAIN + "  image: {size: [60, 48]}\nmodel: {image: {type: vit}}\n"
    message = refusal(text)
    assert message.startswith("job.yaml:6:17: pictures of 60 x 48 cannot be cut into whole patches of 8 pixels\n")
    assert "set `model.image.patch_px` to 4 or 6" in message
    load(text, "model.image.patch_px=12")
    assert "to do: change `data.image.size`" in refusal(text, "data.image.size=[61, 48]")


def test_width_that_the_heads_do_not_share(refusal: Refusal) -> None:
    assert refusal(TRAIN + "model:\n  image: {type: vit, heads: 3}\n").startswith(
        "job.yaml:7:3: the width of `model.image` must divide by its 3 heads; received 128. Try 126 or 129.\n"
    )


def test_workers_start_from_the_same_weights(refusal: Refusal, load: Callable[..., LoadedJob]) -> None:
    text = TRAIN + "model: {image: {type: application, weights: a.h5}}\nresources: {workers: 2}\n"
    message = refusal(text)
    assert message.startswith("job.yaml:6:45: `model.image.sha256` is missing: 2 workers must start from the same")
    load(text, "resources.workers=1")
    job = load(text, f"model.image.sha256={'a' * 64}").spec
    assert isinstance(job, TrainJob)
    assert isinstance(job.model.image, ApplicationSpec)
    assert job.model.image.weights == str(Path("a.h5").absolute())


@pytest.mark.parametrize(("metric", "mode"), [("val/accuracy", "min"), ("train/loss", "max")])
def test_best_of_the_wrong_end(refusal: Refusal, metric: str, mode: str) -> None:
    right = {"min": "max", "max": "min"}[mode]
    rule = f"{{metric: {metric}, mode: {mode}}}"
    message = refusal(TRAIN + f"train: {{checkpoint: {{keep_best: {rule}}}}}\n")
    assert f"`{metric}` is best when it is {'largest' if right == 'max' else 'smallest'}, but" in message
    assert f"to do: write `keep_best: {{metric: {metric}, mode: {right}}}`" in message
    assert f"to do: write `early_stopping: {{metric: {metric}, mode: {right}}}`" in refusal(
        TRAIN + f"train: {{early_stopping: {rule}}}\n"
    )


def test_a_mode_that_is_left_out_is_the_metrics_own(load: Callable[..., LoadedJob]) -> None:
    job = load(TRAIN + "train: {early_stopping: {metric: val/accuracy}}\n").spec
    assert isinstance(job, TrainJob)
    assert job.train.early_stopping == EarlyStoppingSpec(metric="val/accuracy", mode="max")
    assert job.train.checkpoint.keep_best == KeepBestSpec(metric="val/accuracy", mode="max")


def test_shares(refusal: Refusal) -> None:
    assert refusal(IMPORTING + "  splits: {type: share, train: 0.8}\n") == (
        "job.yaml:9:3: the shares of `import.splits` must sum to 1; they sum to 1.1\n"
        "  expected: train + validation + test = 1 (left out: 0.7, 0.1 and 0.2)\n"
        "  received: 0.8 + 0.1 + 0.2 = 1.1"
    )


def test_data_outside_of_the_import(refusal: Refusal, load: Callable[..., LoadedJob]) -> None:
    load(IMPORTING)
    message = refusal(IMPORTING, "import.output=e")
    assert message.startswith("job.yaml:4:10: `data.train` does not lie in `import.output`")
    assert "/e/train" in message


def test_folders_that_importing_does_not_write(refusal: Refusal) -> None:
    assert "job.yaml:5:15: importing writes no folder `valid`" in refusal(IMPORTING.replace("d/validation", "d/valid"))
    assert "`data.train` is the dataset, not a split of it" in refusal(IMPORTING.replace("d/train", "d"))
    assert "`data.validation` reads the split `validation`, but `import.splits.validation` is 0" in refusal(
        IMPORTING + "  splits: {type: share, train: 0.8, validation: 0, test: 0.2}\n"
    )


def test_several_conflicts_are_told_together(refusal: Refusal) -> None:
    text = TRAIN + "  columns: {label: l}\ntrain: {global_batch_size: 9}\nresources: {replicas_per_worker: 2}\n"
    message = refusal(text)
    assert "names nothing that a model could read" in message
    assert "Try 8 or 10." in message


def test_more_workers_at_least_than_in_all(refusal: Refusal) -> None:
    text = TRAIN + "resources: {workers: 2, min_workers: 3}\n"
    assert refusal(text) == (
        "job.yaml:6:38: resources.min_workers is above resources.workers\n  expected: at most 2\n  received: 3"
    )


def test_a_warm_up_ends_before_training_does(refusal: Refusal) -> None:
    optimizer = "{type: adam, schedule: {type: cosine, warmup_epochs: 3}}"
    message = refusal(TRAIN + f"train: {{epochs: 3, optimizer: {optimizer}}}\n")
    assert message.startswith("job.yaml:6:")
    assert "the warm-up takes the whole training" in message
    assert "expected: fewer than the 3 epochs of `train.epochs`" in message


def test_batch_that_does_not_divide_by_the_parts_it_is_accumulated_in(refusal: Refusal) -> None:
    text = TRAIN + "train: {global_batch_size: 100, accumulate: 4}\nresources: {replicas_per_worker: 2}\n"
    assert refusal(text) == (
        "job.yaml:6:28: global_batch_size must divide by 2 replicas x 4 (train.accumulate); received 100. "
        "Try 96 or 104.\n"
        "  expected: a multiple of 8 (workers x replicas_per_worker x accumulate)\n"
        "  received: 100"
    )


def test_only_pretrained_weights_are_frozen(refusal: Refusal, load: Callable[..., LoadedJob]) -> None:
    text = TRAIN + "model:\n  image: {type: application, net: mobilenetv2, freeze: 2}\n"
    assert refusal(text) == (
        "job.yaml:7:56: `model.image.freeze` is about pretrained weights, and there are none\n"
        "  expected: `model.image.weights`, or no `freeze`\n"
        "  received: `freeze: 2`"
    )
    load(text, "model.image.weights=/w.safetensors")


def test_xla_compiles_for_one_replica(refusal: Refusal, load: Callable[..., LoadedJob]) -> None:
    text = TRAIN + "train: {xla: true}\nresources: {replicas_per_worker: 2}\n"
    assert refusal(text) == (
        "job.yaml:6:14: XLA cannot compile a step that several replicas share\n"
        "  expected: one replica\n"
        "  received: 2 replicas\n"
        "  to do: set `train.xla: false`"
    )
    load(text, "resources.replicas_per_worker=1")
    both = refusal(text, "resources.replicas_per_worker=1", "train.deterministic=true")
    assert "XLA has no deterministic form of some operations" in both


def test_a_plateau_looks_at_a_metric_of_the_task(refusal: Refusal, load: Callable[..., LoadedJob]) -> None:
    text = TRAIN + "train: {optimizer: {type: adam, schedule: {type: plateau, metric: val/accuracy}}}\n"
    assert load(text).spec.train.optimizer.schedule.mode == "max"
    assert "wrong value for `train.optimizer.schedule.metric`; did you mean `val/accuracy`?" in refusal(
        text, "train.optimizer.schedule.metric=val/acuracy"
    )
