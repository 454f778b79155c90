"""Pictures and recordings, and sources read or imported in this process."""

import io

import numpy as np
import soundfile
from PIL import Image

from mmdist.importing.plan import plan_import
from mmdist.importing.shards import GroupSize
from mmdist.importing.sources import Source, SourceRow, open_source
from mmdist.importing.splits import split_columns
from mmdist.importing.task import PartResult, PartTask
from mmdist.spec.importing import ImportSpec


def picture(number: int, kind: str = "PNG", size: tuple[int, int] = (12, 10)) -> bytes:
    sink = io.BytesIO()
    Image.new("RGB", size, (number * 37 % 256, number * 91 % 256, number % 256)).save(sink, kind)
    return sink.getvalue()


def recording(number: int, kind: str = "WAV", frames: int = 40) -> bytes:
    sink = io.BytesIO()
    soundfile.write(sink, np.full(frames, number / 100), 8000, format=kind)
    return sink.getvalue()


def read_all(source: Source, rows_per_part: int = 4) -> list[SourceRow]:
    plan = source.plan(rows_per_part)
    if hasattr(plan, "keys"):
        return list(source.read(plan.keys))
    return [row for part in plan.ranges for row in source.read(part)]


def import_here(spec: ImportSpec, *, seed: int = 0, grouped: bool = False) -> list[PartResult]:
    """Runs every part in this process, as tasks would."""
    source = open_source(spec.source, split_columns=split_columns(spec.splits))
    plan = plan_import(source.plan(spec.rows_per_shard), spec, seed=seed)
    task = PartTask(spec, seed=seed, size=GroupSize(4), facts=source.facts(), grouped=grouped)
    return [task.run(part) for part in plan.parts]
