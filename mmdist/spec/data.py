"""The data section: where rows lie, which columns are read, in which order and how they are prepared."""

from collections.abc import Collection
from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from mmdist.spec.audio import AudioSpec
from mmdist.spec.augment import AugmentSpec
from mmdist.spec.base import Spec
from mmdist.spec.text import TextSpec

__all__ = [
    "CacheSpec",
    "ColumnsSpec",
    "GlobalOrderSpec",
    "ImageSpec",
    "InputDataSpec",
    "LanesOrderSpec",
    "MODALITIES",
    "OrderSpec",
    "ReadingSpec",
    "TabularColumnsSpec",
    "TabularSpec",
    "TrainDataSpec",
]


MODALITIES = ("image", "text", "audio", "tabular")
"""What a model can read, by the names of columns, towers and inputs."""


class TabularColumnsSpec(Spec):
    """Columns with the fields of a record. A missing value is a null, a blank text or NaN."""

    numbers: tuple[str, ...] = ()
    """Columns with numbers, or with texts that are written as numbers."""
    categories: tuple[str, ...] = ()
    """Columns with names, integers or truth values that each stand for a kind."""


class ColumnsSpec(Spec):
    """Which column of the shards plays which part. A part left out is not read."""

    id: str | None = None
    """Column with the row's name; without it a row is named by its shard and number."""
    image: str | None = None
    """Column with encoded pictures (binary: JPEG, PNG, GIF, BMP or WebP)."""
    text: str | None = None
    """Column with text (string)."""
    audio: str | None = None
    """Column with encoded recordings (binary: WAV or FLAC)."""
    tabular: TabularColumnsSpec | None = None
    """Columns with the fields of a record."""
    label: str | None = None
    """Column with the label (string or integer)."""

    @property
    def modalities(self) -> tuple[str, ...]:
        """What a model reads of these columns."""
        return tuple(name for name in MODALITIES if getattr(self, name) is not None)

    def reading(self, modalities: Collection[str], *, label: bool) -> "ColumnsSpec":
        """The same columns, less those of other modalities and, without `label`, less the label's."""
        parts = {name: getattr(self, name) for name in MODALITIES if name in modalities}
        return ColumnsSpec(id=self.id, label=self.label if label else None, **parts)


class TabularSpec(Spec):
    """How the fields of records are prepared. Means, deviations and categories are the training split's."""

    vocabulary: Annotated[int, Field(ge=1)] = 1000
    """Most categories of a column that are told apart, the most frequent ones; all others share one."""


class ImageSpec(Spec):
    """How pictures are read and prepared."""

    size: tuple[PositiveInt, PositiveInt] = (64, 64)
    """Height and width, in pixels, that every picture is scaled to."""
    max_pixels: PositiveInt = 50_000_000
    """Largest picture, in pixels by its header, that is decoded; a larger one is a bad row."""
    augment: tuple[AugmentSpec, ...] = ()
    """Random changes of the training pictures, applied in this order."""


class LanesOrderSpec(Spec):
    """Row groups are permuted and dealt to lanes that are read side by side; see docs/design."""

    type: Literal["lanes"] = "lanes"
    lanes: PositiveInt | None = None
    """Streams that every batch takes equal parts of; must divide the global batch size and be a multiple of
    the workers. Default: the greatest common divisor of 32 and the global batch size."""
    window: PositiveInt = 1
    """Row groups of a lane that are shuffled together."""


class GlobalOrderSpec(Spec):
    """A full permutation of the rows, for local shards, whose pictures are read in place."""

    type: Literal["global"] = "global"


OrderSpec = Annotated[LanesOrderSpec | GlobalOrderSpec, Field(discriminator="type")]


class CacheSpec(Spec):
    """Keeps what was read from remote shards on a local disk, for later epochs and other workers of the machine."""

    path: str
    """Local folder of the cache, its alone. It is made on each machine."""
    max_bytes: Annotated[int, Field(ge=100_000_000)] = 10_000_000_000
    """Most bytes that it takes, at least 100 MB; a row group larger than 1/64 of it is not kept."""


class ReadingSpec(Spec):
    """What every job that reads rows has in common."""

    columns: ColumnsSpec = ColumnsSpec(id="id", image="image", text="text", label="label")
    """Which columns are read; given, it replaces the default as a whole."""
    on_bad_row: Literal["quarantine", "fail"] = "quarantine"
    """What a row that cannot be read does: it is set aside with its reason, or the job ends."""
    max_bad_rows: Annotated[int, Field(ge=0)] | Annotated[float, Field(ge=0.0, lt=1.0)] = 0.001
    """Bad rows that are borne: a share of the rows, rounded up (0.001), or a count (10)."""
    cache: CacheSpec | None = None
    """Local cache of remote shards; without it, each epoch reads them from storage."""


class TrainDataSpec(ReadingSpec):
    """The data of a train job."""

    train: str
    """Folder of Parquet shards to train on, local or remote."""
    validation: str
    """Folder of Parquet shards that choose the best checkpoint."""
    test: str | None = None
    """Folder of Parquet shards that the final report is made on; without it, the validation shards."""
    order: OrderSpec = LanesOrderSpec()
    """The order of the training rows."""
    image: ImageSpec = ImageSpec()
    text: TextSpec = TextSpec()
    audio: AudioSpec = AudioSpec()
    tabular: TabularSpec = TabularSpec()


class InputDataSpec(ReadingSpec):
    """The data of an evaluate or predict job. Sizes and vocabulary come with the model."""

    input: str
    """Folder of Parquet shards, local or remote."""
