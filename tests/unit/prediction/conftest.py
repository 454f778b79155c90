"""A small dataset of JPEGs and texts with one of everything that can be wrong with a row, and a model's facts."""

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from mmdist.data.tokenizer import Tokenizer, learn_from_texts
from mmdist.models import ArtifactInfo
from mmdist.spec.data import ColumnsSpec, ImageSpec
from mmdist.spec.model import ModelSpec
from mmdist.spec.task import ClassificationSpec
from mmdist.spec.text import TextSpec

LABELS = ("blue", "green", "red")
WORDS = ("alpha", "beta", "gamma", "delta")
ROWS = 60
GROUP_ROWS = 7
BROKEN_PICTURE, NOTHING_THERE, NO_PICTURE, NO_TEXT = 5, 23, 31, 44


@dataclass(frozen=True)
class Small:
    """Where the dataset lies, and what predicting it takes."""

    url: str
    ids: list[str]
    tokenizer: Tokenizer
    info: ArtifactInfo


def picture(row: int) -> bytes:
    values = np.random.default_rng(row).integers(0, 256, (16, 12, 3), np.uint8)
    sink = io.BytesIO()
    Image.fromarray(values).save(sink, "JPEG")
    return sink.getvalue()


def write_small_dataset(folder: Path, rows: int = ROWS) -> list[str]:
    """Two shards without labels; returns the ids in order."""
    folder.mkdir(parents=True)
    images: list[bytes | None] = [picture(row) for row in range(rows)]
    texts: list[str | None] = [f"{WORDS[row % 4]} {WORDS[row % 3]}" for row in range(rows)]
    images[BROKEN_PICTURE] = images[0][:100] if images[0] else None
    images[NOTHING_THERE], texts[NOTHING_THERE] = None, None
    images[NO_PICTURE], texts[NO_TEXT] = None, ""
    ids = [f"row {row}" for row in range(rows)]
    table = pa.table({"id": ids, "image": pa.array(images, pa.binary()), "text": texts})
    half = rows // 2
    for shard, start in enumerate((0, half)):
        piece = table.slice(start, half if shard == 0 else rows - half)
        pq.write_table(piece, folder / f"part-{shard:05d}.parquet", row_group_size=GROUP_ROWS, write_page_checksum=True)
    return ids


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Small:
    folder = tmp_path_factory.mktemp("small") / "data"
    ids = write_small_dataset(folder)
    spec = TextSpec(tokens=4, vocabulary=10)
    tokenizer = learn_from_texts([" ".join(WORDS)], spec)
    info = ArtifactInfo(
        run_id="small-model",
        step=1,
        epoch=1,
        columns=ColumnsSpec(id="id", image="image", text="text", label="label"),
        image=ImageSpec(size=(8, 8)),
        text=spec,
        vocabulary=tokenizer.size,
        tokenizer_sha256=hashlib.sha256(tokenizer.to_bytes()).hexdigest(),
        labels=LABELS,
        task=ClassificationSpec(),
        model=ModelSpec(),
        seed=0,
    )
    return Small(str(folder), ids, tokenizer, info)
