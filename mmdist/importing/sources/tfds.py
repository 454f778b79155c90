"""Any builder of tensorflow-datasets with pictures or texts, read in ranges of rows so that memory stays flat.

Pictures keep the bytes that the builder stored. A row's id is `SPLIT-NUMBER`, its number in the builder's own order,
which tensorflow-datasets has shuffled already when it prepared the builder. TensorFlow is imported here alone.
"""

import hashlib
import json
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from mmdist.errors import DataRefusedError, JobFileError, Place, ResourceError
from mmdist.importing.sources.base import Problem, Range, Ranges, RowKey, SourceFacts, SourceRow
from mmdist.importing.sources.tfds_features import PickedFeature, as_picture, as_string, pick_features, value_at
from mmdist.spec.importing import TfdsSourceSpec
from mmdist.spec.suggest import did_you_mean, nearest, one_of

__all__ = ["TfdsSource"]

SPLIT = "split"
READ_THREADS = 2


@dataclass(frozen=True, slots=True)
class _Rows:
    split: str
    start: int
    stop: int


class TfdsSource:
    """A builder, prepared on the first call that needs its rows."""

    def __init__(self, spec: TfdsSourceSpec) -> None:
        self.spec = spec

    @cached_property
    def _builder(self) -> Any:
        tfds = _quiet_tfds()
        spec = self.spec
        try:
            builder = tfds.builder(spec.builder, data_dir=spec.data_dir)
        except tfds.core.registered.DatasetNotFoundError as error:
            raise _unknown_builder(tfds, spec.builder) from error
        except (ValueError, AssertionError) as error:
            raise JobFileError(
                f"the builder `{spec.builder}` cannot be made",
                expected="a name such as `mnist`, `coco_captions/2014` or `mnist:3.0.1`",
                received=_first_line(error),
                place=Place(key="import.source.builder"),
            ) from error
        if not builder.info.splits:
            self._prepare(tfds, builder)
        return builder

    def _prepare(self, tfds: Any, builder: Any) -> None:
        if not self.spec.download:
            raise ResourceError(
                f"the builder `{self.spec.builder}` is not prepared, and may not be downloaded",
                expected=f"a prepared builder in {builder.data_dir}",
                place=Place(key="import.source.download"),
                remedy="prepare it there with tensorflow-datasets, set import.source.data_dir, or allow the download",
            )
        try:
            builder.download_and_prepare()
        except Exception as error:  # builders raise whatever their downloads and parsers meet
            raise ResourceError(
                f"the builder `{self.spec.builder}` cannot be downloaded and prepared",
                received=f"{type(error).__name__}: {_first_line(error)}",
                place=Place(key="import.source.builder"),
                remedy=f"check the network and the disk, or prepare it elsewhere and copy it to {builder.data_dir}",
            ) from error

    @cached_property
    def _features(self) -> dict[str, PickedFeature]:
        return pick_features(self._builder.info.features, self.spec)

    @cached_property
    def _splits(self) -> tuple[str, ...]:
        known = sorted(self._builder.info.splits)
        wanted = self.spec.split.replace(" ", "").split("+") if self.spec.split else known
        for name in wanted:
            if name not in known:
                raise JobFileError(
                    f"the builder `{self.spec.builder}` has no split `{name}`{did_you_mean(name, known)}",
                    expected=one_of(known),
                    received=name,
                    place=Place(key="import.source.split"),
                )
        return tuple(dict.fromkeys(wanted))

    def facts(self) -> SourceFacts:
        """The card's text is the builder's own. It gives no licence in a form that a program could read."""
        info = self._builder.info
        columns = tuple(name.removeprefix("column:") for name in self._features if name.startswith("column:"))
        return SourceFacts(
            title=info.full_name,
            description=str(info.description),
            licence="see the dataset's home page",
            attribution="\n".join(part for part in (str(info.homepage or ""), str(info.citation or "")) if part),
            parts=tuple(part for part in ("image", "text", "label") if part in self._features),
            grouped=False,
            values=(SPLIT, *columns),
            versions={"tensorflow-datasets": _quiet_tfds().__version__},
        )

    def fingerprint(self) -> str:
        """Of the builder's name, configuration and version, and the rows and bytes of its splits."""
        info = self._builder.info
        splits = {name: (split.num_examples, split.num_bytes) for name, split in sorted(info.splits.items())}
        return hashlib.sha256(json.dumps([info.full_name, splits]).encode()).hexdigest()

    def plan(self, rows_per_part: int) -> Ranges:
        """Ranges of each split. Raises JobFileError when no features fit."""
        self._features  # noqa: B018 - refuses before any task starts
        ranges = []
        for split in self._splits:
            rows = int(self._builder.info.splits[split].num_examples)
            for start in range(0, rows, rows_per_part):
                stop = min(start + rows_per_part, rows)
                ranges.append(Range(_Rows(split, start, stop), stop - start))
        if not ranges:
            raise DataRefusedError(
                f"the builder `{self.spec.builder}` has no rows",
                received=f"splits {', '.join(self._splits) or 'none'}",
                place=Place(key="import.source.builder"),
            )
        return Ranges(ranges)

    def read(self, what: Range) -> Iterator[SourceRow]:
        """Rows of one range, in the builder's order; only the features that are used are parsed."""
        tfds = _quiet_tfds()
        import tensorflow as tf

        rows: _Rows = what.ref
        instruction = tfds.core.ReadInstruction(rows.split, from_=rows.start, to=rows.stop, unit="abs")
        examples = self._builder.as_dataset(
            split=instruction, shuffle_files=False, decoders=self._decoders(tfds), read_config=_read_config(tfds)
        )
        try:
            for number, example in enumerate(tfds.as_numpy(examples), start=rows.start):
                yield self._row(rows.split, number, example)
        except tf.errors.OpError as error:
            raise DataRefusedError(
                f"the files of the builder `{self.spec.builder}` cannot be read",
                received=_first_line(error),
                place=Place(file=str(self._builder.data_dir)),
                remedy="delete that folder and have the builder prepared again",
            ) from error

    def _decoders(self, tfds: Any) -> Any:
        wanted: dict[str, Any] = {}
        for feature in self._features.values():
            inner = wanted
            for step in feature.path[:-1]:
                inner = inner.setdefault(step, {})
            inner[feature.path[-1]] = True
        image = self._features.get("image")
        if image is None or not isinstance(image.connector, tfds.features.Image) or image.in_sequence:
            return tfds.decode.PartialDecoding(wanted)
        skip: dict[str, Any] = {image.path[-1]: tfds.decode.SkipDecoding()}
        for step in reversed(image.path[:-1]):
            skip = {step: skip}
        return tfds.decode.PartialDecoding(wanted, decoders=skip)

    def _row(self, split: str, number: int, example: Any) -> SourceRow:
        name = f"{split}-{number:08d}"
        values: dict[str, str | None] = {"id": name, SPLIT: split}
        parts: dict[str, Any] = {}
        problem = None
        for role, feature in self._features.items():
            value = value_at(example, feature)
            try:
                if role == "image":
                    parts[role] = as_picture(value)
                elif role.startswith("column:"):
                    values[role.removeprefix("column:")] = as_string(value, feature.connector)
                else:
                    parts[role] = as_string(value, feature.connector)
            except ValueError as error:
                problem = problem or Problem(role.removeprefix("column:"), _first_line(error))
        values["label"] = parts.get("label")
        return SourceRow(RowKey(name, values), problem=problem, **parts)


def _quiet_tfds() -> Any:
    """tensorflow-datasets, without TensorFlow's start-up chatter and without a look at Google's cloud."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.getLogger("absl").setLevel(logging.ERROR)
    import tensorflow_datasets as tfds

    tfds.disable_progress_bar()
    return tfds


def _read_config(tfds: Any) -> Any:
    import tensorflow as tf

    # Autotuned pipelines may stall at the end of their data, and would fill memory with read-ahead.
    options = tf.data.Options()
    options.autotune.enabled = False
    options.threading.private_threadpool_size = READ_THREADS
    options.deterministic = True
    return tfds.ReadConfig(
        options=options,
        try_autocache=False,
        interleave_cycle_length=1,
        interleave_block_length=16,
        num_parallel_calls_for_decode=READ_THREADS,
        num_parallel_calls_for_interleave_files=1,
        override_buffer_size=1 << 20,
        skip_prefetch=True,
    )


def _unknown_builder(tfds: Any, written: str) -> JobFileError:
    name = written.partition("/")[0].partition(":")[0]
    known = tfds.list_builders()
    near = nearest(name, known)
    return JobFileError(
        f"tensorflow-datasets has no builder `{name}`{did_you_mean(name, known)}",
        expected=f"`{near}`, or another of its {len(known)} builders" if near else f"one of its {len(known)} builders",
        received=written,
        place=Place(key="import.source.builder"),
        remedy="for a builder of your own, set import.source.data_dir to where it is prepared",
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
