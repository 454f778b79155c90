"""The tfds source on a small builder of our own, prepared on disk, and on mocked data of real builders. Offline."""

import io
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from importing_helpers import picture, read_all
from PIL import Image

from mmdist.errors import DataRefusedError, JobFileError, ResourceError
from mmdist.importing.sources import Ranges, open_source
from mmdist.importing.sources.tfds import TfdsSource
from mmdist.spec.importing import TfdsSourceSpec

tfds: Any = pytest.importorskip("tensorflow_datasets")


class TinyZoo(tfds.core.GeneratorBasedBuilder):
    """Pictures with a caption, notes in a sequence, a class and a file name."""

    VERSION = tfds.core.Version("1.2.0")

    def _info(self) -> Any:
        features = {
            "picture": tfds.features.Image(shape=(None, None, 3), encoding_format="png"),
            "pixels": tfds.features.Tensor(shape=(4, 5, 3), dtype=np.uint8),
            "file_name": tfds.features.Text(),
            "notes": tfds.features.Sequence({"text": tfds.features.Text(), "score": np.int64}),
            "keeper": np.int64,
            "animal": tfds.features.ClassLabel(names=["cat", "dog"]),
        }
        return tfds.core.DatasetInfo(
            builder=self, features=tfds.features.FeaturesDict(features), description="A tiny zoo.", citation="Us."
        )

    def _split_generators(self, dl_manager: Any) -> Any:
        return {"train": self._generate_examples(25), "test": self._generate_examples(7)}

    def _generate_examples(self, rows: int = 0) -> Any:
        for number in range(rows):
            yield (
                number,
                {
                    "picture": io.BytesIO(picture(number)),
                    "pixels": np.full((4, 5, 3), number, np.uint8),
                    "file_name": f"cat-{number}.png",
                    "notes": [{"text": f"note {number} é", "score": 1}] * (number % 3),
                    "keeper": number % 4,
                    "animal": number % 2 if number else -1,
                },
            )


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("tfds")
    # tensorflow-datasets looks for the builder's metadata files beside its source file, which must not be a script.
    TinyZoo(data_dir=str(folder)).download_and_prepare()
    return str(folder)


def source_of(zoo: str, **keys: Any) -> TfdsSource:
    source = open_source(TfdsSourceSpec(**{"builder": "tiny_zoo", "data_dir": zoo, **keys}))
    assert isinstance(source, TfdsSource)
    return source


def test_picks_features_and_keeps_the_stored_bytes(zoo: str) -> None:
    source = source_of(zoo, columns={"keeper": "keeper"})
    rows = read_all(source, rows_per_part=6)
    assert len(rows) == 32
    assert len({row.key.id for row in rows}) == 32
    assert source.facts().parts == ("image", "text", "label")
    assert source.facts().values == ("split", "keeper")
    assert {row.key.values["split"] for row in rows} == {"train", "test"}
    assert {row.image for row in rows} == {picture(n) for n in range(25)}
    by_picture = {row.image: row for row in rows}
    assert by_picture[picture(4)].text == "note 4 é"
    assert by_picture[picture(4)].label == "cat"
    assert by_picture[picture(4)].key.values["keeper"] == "0"
    assert by_picture[picture(3)].text is None
    assert by_picture[picture(0)].label is None


def test_ranges_give_the_rows_of_one_whole_read(zoo: str) -> None:
    plan = source_of(zoo, split="train").plan(4)
    assert isinstance(plan, Ranges)
    assert [part.rows for part in plan.ranges] == [4] * 6 + [1]
    cut = [row.key.id + str(row.image) for row in read_all(source_of(zoo, split="train"), 4)]
    whole = [row.key.id + str(row.image) for row in read_all(source_of(zoo, split="train"), 1000)]
    assert cut == whole


def test_raw_pixels_become_png(zoo: str) -> None:
    rows = read_all(source_of(zoo, image="pixels", split="test"))
    with Image.open(io.BytesIO(rows[0].image or b"")) as drawn:
        assert (drawn.format, drawn.size, drawn.mode) == ("PNG", (5, 4), "RGB")


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"builder": "mnsit"}, "no builder `mnsit`; did you mean `mnist`"),
        ({"label": "anmial"}, "no feature `anmial`; did you mean `animal`"),
        ({"split": "tran"}, "no split `tran`; did you mean `train`"),
        ({"columns": {"who": "keepr"}}, "no feature `keepr`; did you mean `keeper`"),
    ],
)
def test_wrong_names_are_refused_with_the_nearest(zoo: str, keys: dict[str, Any], message: str) -> None:
    with pytest.raises(JobFileError, match=message):
        source_of(zoo, **keys).plan(4)


def test_a_builder_that_may_not_be_downloaded_says_what_to_do(zoo: str) -> None:
    with pytest.raises(ResourceError, match=r"not prepared, and may not be downloaded[\s\S]*data_dir"):
        source_of(zoo, builder="mnist", download=False).plan(4)


def test_a_failed_download_is_a_resource_error(zoo: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: Any, **__: Any) -> None:
        raise ConnectionError("no route to host")

    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", offline)
    with pytest.raises(ResourceError, match=r"received: ConnectionError: no route to host[\s\S]*check the network"):
        source_of(zoo, builder="mnist").plan(4)


def test_damaged_files_are_refused(zoo: str, tmp_path: Path) -> None:
    shutil.copytree(zoo, tmp_path / "copy")
    (record,) = (tmp_path / "copy").rglob("*-train.tfrecord-*")
    record.write_bytes(record.read_bytes()[:500])
    with pytest.raises(DataRefusedError, match="files of the builder `tiny_zoo` cannot be read"):
        read_all(source_of(str(tmp_path / "copy"), split="train"))


def test_mocked_builders() -> None:
    with tfds.testing.mock_data(num_examples=3):
        for name, parts in (("mnist", ("image", "label")), ("imdb_reviews", ("text", "label"))):
            source = open_source(TfdsSourceSpec(builder=name))
            assert source.facts().parts == parts
        with pytest.raises(JobFileError, match=r"more than one text[\s\S]*`title` or `description`"):
            open_source(TfdsSourceSpec(builder="ag_news_subset")).facts()
        with pytest.raises(DataRefusedError, match="has no rows"):
            open_source(TfdsSourceSpec(builder="mnist")).plan(4)
