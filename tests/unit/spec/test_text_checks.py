"""Pretrained encoders go with the tokenizer that they were published with."""

from collections.abc import Callable
from pathlib import Path

from job_texts import TRAIN

from mmdist.spec.job import TrainJob
from mmdist.spec.load import LoadedJob

TEXT = TRAIN.replace("d/validation\n", "d/validation\n  columns: {text: text, label: label}\n")
TOWER = "model: {text: {type: bert, weights: m/model.safetensors}}\n"
FILE = "  text: {tokenizer: {type: file, path: m/tokenizer.json}}\n"


def test_weights_and_a_tokenizer_that_was_learned(refusal: Callable[..., str]) -> None:
    message = refusal(TEXT + TOWER)
    assert message.startswith("job.yaml:7:37: pretrained weights know tokens by the numbers of the tokenizer that ")
    assert "\n  received: `word`\n  to do: set for example `data.text.tokenizer: {type: file, path: /" in message
    assert "/m/tokenizer.json}`" in message


def test_both_are_found_from_any_folder(load: Callable[..., LoadedJob]) -> None:
    job = load(TEXT + FILE + TOWER).spec
    assert isinstance(job, TrainJob)
    assert job.model.text.weights == str(Path("m/model.safetensors").absolute())
    assert job.data.text.tokenizer.path == str(Path("m/tokenizer.json").absolute())
    load(TEXT + TOWER, "model.text.weights=null")
    load(TEXT + TOWER, "data.columns={image: image, label: label}")
    job = load(TEXT + FILE, "data.text.tokenizer.path=package:p/tokenizer.json").spec
    assert job.data.text.tokenizer.path == "package:p/tokenizer.json"


def test_workers_cut_texts_alike(refusal: Callable[..., str], load: Callable[..., LoadedJob]) -> None:
    text = TEXT + FILE + "resources: {workers: 2}\n"
    assert "`data.text.tokenizer.sha256` is missing: 2 workers must cut texts alike" in refusal(text)
    load(text, f"data.text.tokenizer.sha256={'a' * 64}")
