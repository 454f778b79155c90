from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from job_texts import TRAIN

from mmdist.errors import JobFileError
from mmdist.spec import ImportJob, TrainJob
from mmdist.spec.load import LoadedJob, load_job, parse_resolved

JOBS = sorted((Path(__file__).parents[3] / "jobs").glob("*.yaml"))


@pytest.mark.parametrize("path", JOBS, ids=lambda path: path.name)
def test_jobs_of_the_repository_load(path: Path) -> None:
    spec = load_job(path).spec
    task = spec.task.type if isinstance(spec, TrainJob) else ""
    read = spec.data.columns.modalities if isinstance(spec, TrainJob) else ()
    names = (spec.kind, task, *read[: len(read) == 1], *(("pretrained",) if "weights:" in path.read_text() else ()))
    assert path.stem in names, "a job of jobs/ is named after its kind, its task, all that it reads, or its start"


TOKENS = [
    "!!x",
    "&a",
    "*a",
    "{",
    "}",
    "[",
    "]",
    ": ",
    "\n",
    "  ",
    "- ",
    "null",
    "\t",
    "3",
    "'",
    '"',
    "\x00",
    "? ",
    "#",
    "type",
    "{type: lanes}",
    "[]",
    "{}",
    "-1",
    ".nan",
    "%",
    "---",
    "...",
    "",
    "",
]


@settings(max_examples=150, deadline=None)
@given(
    path=st.sampled_from(JOBS),
    edits=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 12), st.sampled_from(TOKENS)), min_size=1, max_size=5),
)
def test_any_broken_file_is_refused_in_our_own_words(
    path: Path, edits: list[tuple[float, int, str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    text = path.read_text()
    for position, deleted, token in edits:
        at = int(position * len(text))
        text = text[:at] + token + text[at + deleted :]
    broken = tmp_path_factory.getbasetemp() / "broken.yaml"
    broken.write_text(text)
    message = str(broken)
    try:
        load_job(broken)  # some edits leave a job that is right
    except JobFileError as error:
        message = str(error)
    assert message.startswith(str(broken))


def test_relative_folders_lie_in_the_current_directory(load: Callable[..., LoadedJob], tmp_path: Path) -> None:
    spec = load(TRAIN + "  test: s3://bucket/test\nstorage: ~/runs\n").spec
    assert spec.data.train == str(tmp_path / "d/train")
    assert spec.data.test == "s3://bucket/test"
    assert spec.storage == str(Path.home() / "runs")


def test_import_folders(load: Callable[..., LoadedJob], tmp_path: Path) -> None:
    head = "kind: import\nname: x\nimport:\n  output: out\n  source: "
    folder = load(head + "{type: folder, path: pictures}\n").spec
    assert isinstance(folder, ImportJob)
    assert folder.import_.output == str(tmp_path / "out")
    assert folder.import_.source.path == str(tmp_path / "pictures")
    tfds = load(head + "{type: tfds, builder: mnist, data_dir: gs://b/d}\n").spec
    assert tfds.import_.source.data_dir == "gs://b/d"


def test_model_of_a_predict_job(load: Callable[..., LoadedJob], tmp_path: Path) -> None:
    text = "kind: predict\nname: x\noutput: o\nmodel: MODEL\ndata: {input: d}\n"
    (tmp_path / "runs/r1").mkdir(parents=True)
    assert load(text.replace("MODEL", "runs/r1")).spec.model == str(tmp_path / "runs/r1")
    assert load(text.replace("MODEL", "demo@latest")).spec.model == "demo@latest"
    assert load(text.replace("MODEL", "gone/r1")).spec.model == "gone/r1"
    assert load(text.replace("MODEL", "m")).spec.output == str(tmp_path / "o")


def test_lanes_are_filled_in(load: Callable[..., LoadedJob]) -> None:
    assert load(TRAIN + "train: {global_batch_size: 48}\n").spec.data.order.lanes == 16
    assert load(TRAIN + "train: {global_batch_size: 256}\n").spec.data.order.lanes == 32


def test_places_of_a_loaded_job(load: Callable[..., LoadedJob]) -> None:
    loaded = load(TRAIN)
    assert str(loaded.value_place("data", "train")) == "job.yaml:4:10"
    assert str(loaded.value_place("data", "columns", "label")) == "job.yaml:3:1"
    assert loaded.path == "job.yaml"


def test_missing_file(tmp_path: Path) -> None:
    (tmp_path / "train.yaml").write_text(TRAIN)
    with pytest.raises(
        JobFileError, match=r"no such job file\n  received: .*trian.yaml\n  to do: there are: .*train.yam"
    ):
        load_job(tmp_path / "trian.yaml")
    with pytest.raises(JobFileError, match="there is no folder"):
        load_job(tmp_path / "gone" / "train.yaml")


def test_folder_as_job_file(tmp_path: Path) -> None:
    with pytest.raises(JobFileError, match="cannot be read\n  received: Is a directory"):
        load_job(tmp_path)


def test_resolved_job_is_taken_as_it_stands() -> None:
    job = parse_resolved(TRAIN)
    assert isinstance(job, TrainJob)
    assert job.data.train == "d/train"
    with pytest.raises(JobFileError, match=r"^RUN/job\.yaml:1:1: unknown key `x`"):
        parse_resolved("x: 1\n" + TRAIN, "RUN/job.yaml")
