"""The import section: where a dataset comes from, where it goes, and how it is split."""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from mmdist.spec.base import Spec

__all__ = [
    "ColumnSplitsSpec",
    "FolderSourceSpec",
    "ImportSpec",
    "OpenMojiSourceSpec",
    "ShareSplitsSpec",
    "SourceSpec",
    "SplitsSpec",
    "TableSourceSpec",
    "TfdsSourceSpec",
]


class OpenMojiSourceSpec(Spec):
    """OpenMoji's drawings with their Unicode names, in eight groups (art: CC BY-SA 4.0)."""

    type: Literal["openmoji"] = "openmoji"
    size: PositiveInt = 64
    """Side of the drawn pictures, in pixels."""
    columns: tuple[Literal["colors", "version"], ...] = ()
    """Further columns: `colors`, the hues of a drawing with `;` between them, and `version`, the Emoji version that
    an emoji came with, such as 0.6 or 15.1."""


class TfdsSourceSpec(Spec):
    """A builder of tensorflow-datasets."""

    type: Literal["tfds"] = "tfds"
    builder: str
    """Name of the builder, with its configuration and version if need be: `mnist`, `coco_captions/2014`."""
    data_dir: str | None = None
    """Folder that tensorflow-datasets keeps prepared builders in; without it, its own default."""
    split: str | None = None
    """Splits to read, joined by `+` (`train+test`); without it, all of them."""
    image: str | None = None
    """Feature with the picture; without it, the builder's only image feature."""
    text: str | None = None
    """Feature with the text, dotted for nested ones; without it, the builder's only text feature."""
    label: str | None = None
    """Feature with the label; without it, the builder's only class label."""
    download: bool = True
    """Whether a builder that is not prepared yet is downloaded and prepared."""
    columns: dict[str, str] = {}
    """Further columns, by the feature that each is read from (for splits by group, say)."""


class FolderSourceSpec(Spec):
    """A folder with one sub-folder of pictures or recordings per label; files of one stem are one row."""

    type: Literal["folder"] = "folder"
    path: str
    """The folder."""


class TableSourceSpec(Spec):
    """A CSV, JSON Lines or Parquet table that names or holds pictures and recordings."""

    type: Literal["table"] = "table"
    path: str
    """The table: `.csv`, `.jsonl` or `.parquet`."""
    id: str | None = None
    """Column with the row's name; without it, the row's number."""
    image: str | None = None
    """Column with the path of a picture, relative to the table's folder."""
    image_bytes: str | None = None
    """Column with the picture itself (Parquet: binary; CSV and JSON Lines: Base64)."""
    audio: str | None = None
    """Column with the path of a recording, relative to the table's folder."""
    audio_bytes: str | None = None
    """Column with the recording itself (Parquet: binary; CSV and JSON Lines: Base64)."""
    text: str | None = None
    """Column with the text."""
    label: str | None = None
    """Column with the label."""
    columns: tuple[str, ...] = ()
    """Further columns to keep (for splits by column or group, say)."""


SourceSpec = Annotated[
    OpenMojiSourceSpec | TfdsSourceSpec | FolderSourceSpec | TableSourceSpec, Field(discriminator="type")
]


class ShareSplitsSpec(Spec):
    """Splits by share: a row's split is drawn by a hash of its group, or of its id where it has none."""

    type: Literal["share"] = "share"
    train: Annotated[float, Field(ge=0.0, le=1.0)] = 0.7
    validation: Annotated[float, Field(ge=0.0, le=1.0)] = 0.1
    test: Annotated[float, Field(ge=0.0, le=1.0)] = 0.2
    group: str | None = None
    """Column whose equal values stay in one split; without it, the source's own grouping where it has one."""


class ColumnSplitsSpec(Spec):
    """Splits by a column of the source that names each row's split."""

    type: Literal["column"] = "column"
    column: str = "split"
    """The column; for `tfds`, `split` is the builder's own split."""
    train: tuple[str, ...] = ("train",)
    """Values that go to the training split."""
    validation: tuple[str, ...] = ("validation",)
    """Values that go to the validation split."""
    test: tuple[str, ...] = ("test",)
    """Values that go to the test split."""


SplitsSpec = Annotated[ShareSplitsSpec | ColumnSplitsSpec, Field(discriminator="type")]


class ImportSpec(Spec):
    """A dataset to bring into Parquet shards. With the same inputs, running it again does nothing."""

    source: SourceSpec
    output: str
    """Folder that gets `train`, `validation`, `test` and the card `dataset.json`."""
    splits: SplitsSpec = ShareSplitsSpec()
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    """Root of the splits and of the order in the shards. It is not the job's seed, so that trainings with other seeds
    read the same dataset."""
    rows_per_shard: PositiveInt = 10_000
    """Most rows in one shard file."""
    rows_per_group: PositiveInt | None = None
    """Rows in one row group, the unit that is read and shuffled. Default: a 128th of all rows, at least 16
    and at most 1,024, and less where the rows come to more than 4 MiB."""
    on_bad_row: Literal["quarantine", "fail"] = "quarantine"
    """What a source row that cannot be read does: it is set aside with its reason, or the job ends."""
    max_bad_rows: Annotated[int, Field(ge=0)] | Annotated[float, Field(ge=0.0, lt=1.0)] = 0.001
    """Bad rows that are borne: a share of the rows, rounded up (0.001), or a count (10)."""
    max_pixels: PositiveInt = 50_000_000
    """Largest picture, in pixels by its header, that is accepted."""
    max_samples: PositiveInt = 20_000_000
    """Largest recording, in samples of all channels by its header, that is accepted."""
