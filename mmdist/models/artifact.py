"""The model folder of a run: what predict, evaluate and export load. Data only; the model is built from its spec."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, ValidationError

from mmdist.errors import DataRefusedError, Place
from mmdist.models.arrays import assign_arrays, describe, pack_arrays, unpack_arrays
from mmdist.models.facts import DataFacts, tabular_facts
from mmdist.spec.audio import AudioSpec
from mmdist.spec.data import MODALITIES, ColumnsSpec, ImageSpec
from mmdist.spec.model import ModelSpec
from mmdist.spec.task import LabelTask, TaskSpec
from mmdist.spec.text import TextSpec
from mmdist.storage import Store, commit_anew, read_committed

__all__ = ["Artifact", "ArtifactInfo", "load_artifact", "read_task", "save_artifact"]

MODEL = "model.json"
TOKENIZER = "tokenizer.json"
WEIGHTS = "weights.safetensors"

Array = npt.NDArray[Any]


class WeightInfo(BaseModel):
    """One weight: its path in the model, shape and dtype."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    path: str
    shape: tuple[int, ...]
    dtype: str


class ArtifactInfo(BaseModel):
    """What `model.json` holds: everything but the weights and the tokenizer."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())
    version: int = 1
    run_id: str
    step: int
    """Training step that the weights are from."""
    epoch: int
    """Epochs that were finished at that step."""
    columns: ColumnsSpec
    """Columns that the model was trained on; those of its modalities are named."""
    image: ImageSpec | None
    """How pictures are prepared; None where the model reads none."""
    text: TextSpec | None
    """How texts are prepared; None where the model reads none."""
    vocabulary: int | None
    """Tokens in the tokenizer."""
    tokenizer_sha256: str | None
    audio: AudioSpec | None = None
    """How recordings are prepared; None where the model reads none."""
    tabular: dict[str, Any] | None = None
    """What the fields of records are scaled and numbered by, as `TabularEncoder.to_json` gives it."""
    labels: tuple[str, ...]
    """The labels in the order of the model's outputs, or the words of captions; empty for a task without."""
    label_weights: tuple[float, ...] = ()
    """By label, what its loss was multiplied by in training; empty for 1."""
    target: tuple[float, float] = (0.0, 1.0)
    """Of a regression: mean and standard deviation of the training split's numbers."""
    task: TaskSpec
    model: ModelSpec
    seed: int
    weights: tuple[WeightInfo, ...] = ()

    @property
    def modalities(self) -> tuple[str, ...]:
        """What the model reads."""
        return tuple(name for name in MODALITIES if getattr(self, name) is not None)

    @property
    def answer_labels(self) -> tuple[str, ...]:
        """The labels that each answer has a probability of."""
        return self.labels if isinstance(self.task, LabelTask) else ()

    @property
    def facts(self) -> DataFacts:
        """What the model is built for."""
        return DataFacts(
            image_size=self.image.size if self.image is not None else None,
            text_tokens=self.text.tokens if self.text is not None else None,
            vocabulary=self.vocabulary,
            audio=self.audio.shape if self.audio is not None else None,
            tabular=tabular_facts(self.tabular) if self.tabular is not None else None,
            labels=self.labels,
            label_weights=self.label_weights,
            target=self.target,
        )


@dataclass(frozen=True)
class Artifact:
    """A model folder that was read and checked. Nothing of TensorFlow is loaded until `build`."""

    url: str
    info: ArtifactInfo
    tokenizer: bytes | None
    """Content of `tokenizer.json`, for `read_tokenizer`; None where the model reads no text."""
    weights: tuple[Array, ...]

    def build(self) -> Any:
        """The keras.Model with its weights. Raises DataRefusedError where they do not fit the spec."""
        from mmdist.models.build import build_model

        model = build_model(self.info.model, self.build_task(), self.info.facts, seed=self.info.seed)
        assign_arrays(model.weights, self.weights, file=f"{self.url}/{WEIGHTS}")
        return model

    def build_task(self) -> Any:
        """The task that the model was trained for: a `mmdist.models.tasks.Task`."""
        from mmdist.models.tasks import build_task

        info = self.info
        return build_task(info.task, info.facts, regularization=info.model.regularization, seed=info.seed)


def save_artifact(
    store: Store,
    folder: str,
    info: ArtifactInfo,
    *,
    paths: Sequence[str],
    weights: Sequence[Array],
    tokenizer: bytes | None,
) -> None:
    """Writes and commits a model folder; a folder that was left unfinished is written anew.

    Args:
        store: The run.
        folder: Path of the folder in it.
        info: Facts of the model; its list of weights is filled in here.
        paths: Path of each of the model's weights, by index.
        weights: The weights, by index.
        tokenizer: Content of `tokenizer.json`.

    Raises:
        CommitError: where the folder is committed already.
    """
    entries = [WeightInfo(path=path, **facts) for path, facts in zip(paths, describe(weights), strict=True)]
    info = info.model_copy(update={"weights": tuple(entries)})
    payload: dict[str, bytes | memoryview] = {
        MODEL: info.model_dump_json(indent=1).encode(),
        WEIGHTS: pack_arrays(weights),
    }
    if tokenizer is not None:
        payload[TOKENIZER] = tokenizer
    commit_anew(store, folder, payload)


def load_artifact(store: Store, folder: str) -> Artifact:
    """Reads a model folder and checks every hash, shape and dtype in it.

    Raises:
        CommitError: where the folder is not whole.
        DataRefusedError: where its parts do not agree, or another version of mmdist wrote it.
    """
    url = f"{store.url}/{folder}".rstrip("/")
    payload = read_committed(store, folder)
    info = _read_info(payload.get(MODEL, b""), file=f"{url}/{MODEL}")
    tokenizer = payload.get(TOKENIZER)
    received = hashlib.sha256(tokenizer).hexdigest() if tokenizer is not None else None
    if received != info.tokenizer_sha256:
        raise DataRefusedError(
            "the tokenizer is not the one that the model was trained with",
            expected=f"SHA-256 {info.tokenizer_sha256}",
            received=f"SHA-256 {received}",
            place=Place(file=f"{url}/{TOKENIZER}"),
        )
    weights = unpack_arrays(payload.get(WEIGHTS, b""), file=f"{url}/{WEIGHTS}")
    listed = [{"shape": list(weight.shape), "dtype": weight.dtype} for weight in info.weights]
    if listed != describe(weights):
        raise DataRefusedError(
            f"the weights do not agree with {MODEL}",
            expected=f"{len(listed)} arrays as listed there",
            received=f"{len(weights)} arrays, or others by shape or dtype",
            place=Place(file=f"{url}/{WEIGHTS}"),
        )
    return Artifact(url, info, tokenizer, tuple(weights))


def read_task(store: Store, folder: str) -> TaskSpec:
    """The task of the model in a folder, of which nothing else is read or checked.

    Raises:
        DataRefusedError: where there is no model, or another version of mmdist wrote it.
    """
    path = f"{folder}/{MODEL}"
    try:
        data = store.read_bytes(path)
    except FileNotFoundError:
        data = b""
    return _read_info(data, file=f"{store.url}/{path}").task


def _read_info(data: bytes, *, file: str) -> ArtifactInfo:
    try:
        record = json.loads(data)
        version = record.get("version") if isinstance(record, dict) else None
        if version != 1:
            raise DataRefusedError(
                "the model was written by another version of mmdist",
                expected="version 1",
                received=f"version {version}",
                place=Place(file=file),
                remedy="use the mmdist that wrote it",
            )
        return ArtifactInfo.model_validate(record)
    except (ValueError, ValidationError) as error:
        raise DataRefusedError(
            f"{MODEL} cannot be read", received=str(error).splitlines()[0], place=Place(file=file)
        ) from error
