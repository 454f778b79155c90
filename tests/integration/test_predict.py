"""predict() on a real Ray, with a real model: whole, resumed, over budget, refused, and with a worker killed."""

import contextlib
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import ray
from PIL import Image

from mmdist.data.collate import Collator
from mmdist.data.content import content_sums
from mmdist.data.dataset import open_dataset
from mmdist.data.index import RowGroupFacts, RowGroupIndex, write_index
from mmdist.data.stream import scan
from mmdist.data.tokenizer import learn_from_texts, read_tokenizer
from mmdist.errors import DataRefusedError, StopRequestedError, WorkerLostError
from mmdist.models import ArtifactInfo, load_artifact, save_artifact
from mmdist.prediction import PredictionResult, predict
from mmdist.prediction import ranges as ranges_module
from mmdist.runtime.failures import unwrap
from mmdist.spec import PredictJob
from mmdist.spec.data import ColumnsSpec, ImageSpec
from mmdist.spec.model import BiLSTMSpec, CNNSpec, ModelSpec
from mmdist.spec.task import ClassificationSpec
from mmdist.spec.text import TextSpec
from mmdist.storage import EventWriter, Store, open_store, read_events

WORDS = ("alpha", "beta", "gamma")
LABELS = ("blue", "green", "red")
ROWS, GROUP_ROWS, RANGE_ROWS, BROKEN = 200, 10, 50, 77
SHARDS = ROWS // RANGE_ROWS


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, _node_ip_address="127.0.0.1")
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """One shard with an index and content sums, as importing writes it, with one picture that is cut off."""
    store = open_store(str(tmp_path_factory.mktemp("dataset")))
    rng = np.random.default_rng(0)
    images = []
    for _ in range(ROWS):
        sink = io.BytesIO()
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).save(sink, "JPEG")
        images.append(sink.getvalue())
    images[BROKEN] = images[BROKEN][:150]
    texts = [" ".join(rng.choice(WORDS, 2)) for _ in range(ROWS)]
    table = pa.table({"id": [f"r{row}" for row in range(ROWS)], "image": pa.array(images, pa.binary()), "text": texts})
    path = Path(store.url) / "part-00000.parquet"
    pq.write_table(table, path, row_group_size=GROUP_ROWS, write_page_checksum=True)
    metadata = pq.ParquetFile(path).metadata
    facts = [
        RowGroupFacts(
            "part-00000.parquet",
            group,
            GROUP_ROWS,
            metadata.row_group(group).total_byte_size,
            content_sums(table.slice(group * GROUP_ROWS, GROUP_ROWS)),
        )
        for group in range(metadata.num_row_groups)
    ]
    write_index(store, RowGroupIndex.of(facts), table.schema)
    return store


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A model folder with fresh weights."""
    from mmdist.models.build import build_model
    from mmdist.models.facts import DataFacts
    from mmdist.models.tasks import build_task

    store = open_store(str(tmp_path_factory.mktemp("model")))
    image, text = ImageSpec(size=(8, 8)), TextSpec(tokens=4, vocabulary=10)
    tokenizer = learn_from_texts([" ".join(WORDS)], text)
    spec = ModelSpec(image=CNNSpec(filters=(4,), units=8), text=BiLSTMSpec(embedding=4, lstm_units=4, units=4))
    facts = DataFacts(image_size=image.size, text_tokens=4, vocabulary=tokenizer.size, labels=LABELS)
    task = build_task(ClassificationSpec(), facts, regularization=spec.regularization, seed=3)
    keras_model = build_model(spec, task, facts, seed=3)
    info = ArtifactInfo(
        run_id="the-run",
        step=1,
        epoch=1,
        columns=ColumnsSpec(id="id", image="image", text="text", label="label"),
        image=image,
        text=text,
        vocabulary=tokenizer.size,
        tokenizer_sha256=tokenizer.sha256,
        labels=LABELS,
        task=ClassificationSpec(),
        model=spec,
        seed=3,
    )
    save_artifact(
        store,
        "model",
        info,
        paths=[weight.path for weight in keras_model.weights],
        weights=[weight.numpy() for weight in keras_model.weights],
        tokenizer=tokenizer.to_bytes(),
    )
    return store.child("model")


@pytest.fixture
def run(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "run"))


@pytest.fixture
def submit(
    dataset: Store, model: Store, run: Store, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., PredictionResult]:
    monkeypatch.setattr(ranges_module, "_MIN_ROWS", RANGE_ROWS)

    def call(
        *, on_progress: Callable[..., None] = lambda **_: None, workers: int = 1, max_failures: int = 3, **data: Any
    ) -> PredictionResult:
        job = PredictJob(
            kind="predict",
            name="predictions",
            model="the-run",
            batch_size=16,
            resources={"max_failures": max_failures},
            data={"input": dataset.url, "max_bad_rows": 1, **data},
        )
        return predict(
            job,
            run,
            model,
            EventWriter(run, 1, "driver"),
            on_progress=on_progress,
            workers=workers,
            cpus_per_worker=1.0,
            gpus_per_worker=0,
        )

    return call


def contents(run: Store) -> dict[str, bytes]:
    folder = Path(run.url) / "predictions"
    return {path.name: path.read_bytes() for path in folder.glob("part-*.parquet")}


def kill_predictors() -> int:
    killed = 0
    for child in psutil.Process().children(recursive=True):
        # One that was killed before may be gone, or a zombie, by now.
        with contextlib.suppress(psutil.NoSuchProcess):
            if "Predictor" in " ".join(child.cmdline()):
                child.kill()
                killed += 1
    return killed


def test_every_row_is_predicted_once_and_again_is_nothing(
    submit: Callable[..., PredictionResult], run: Store, dataset: Store, model: Store
) -> None:
    steps: list[dict[str, Any]] = []
    result = submit(on_progress=lambda **facts: steps.append(facts))
    assert (result.rows, result.errors, result.shards, result.resumed_shards) == (ROWS, 1, SHARDS, 0)
    assert [step["rows"] for step in steps] == [0, 50, 100, 150, 200]

    table = pq.read_table(result.output_url)
    assert table.column("id").to_pylist() == [f"r{row}" for row in range(ROWS)]
    assert [row for row, error in enumerate(table.column("error").to_pylist()) if error] == [BROKEN]
    expected = probabilities_in_this_process(dataset, model)
    for row, values in enumerate(table.column("probabilities").to_pylist()):
        assert values is None if row == BROKEN else values == pytest.approx(expected[row].tolist(), abs=1e-6)
    assert len(set(table.column("predicted").to_pylist())) > 2, "a model that says one label for all tests little"

    card = json.loads(run.read_bytes("predictions/_predictions.json"))
    assert (card["rows"], card["errors"], card["labels"], len(card["shards"])) == (ROWS, 1, list(LABELS), SHARDS)
    assert card["model"]["run"] == "the-run"
    assert card["inputs"]["dataset_fingerprint"] == open_dataset(dataset.url).fingerprint
    quarantined = pq.read_table(f"{run.url}/quarantine").to_pylist()
    assert [(row["id"], row["column"]) for row in quarantined] == [(f"r{BROKEN}", "image")]

    before = contents(run)
    again = submit()
    assert (again.rows, again.resumed_shards) == (ROWS, SHARDS)
    assert contents(run) == before
    with pytest.raises(DataRefusedError, match=r"other inputs(.|\n)*columns: "):
        submit(columns={"id": "id", "text": "text"})
    assert contents(run) == before
    assert [event.kind for event in read_events(run)] == ["prediction-started", "prediction-finished"]


def probabilities_in_this_process(dataset: Store, model: Store) -> Any:
    from mmdist.models.build import make_predict_fn

    artifact = load_artifact(model, "")
    assert artifact.tokenizer is not None
    collator = Collator(
        ColumnsSpec(id="id", image="image", text="text"), (8, 8), tokenizer=read_tokenizer(artifact.tokenizer)
    )
    with scan(open_dataset(dataset.url), collator, ROWS) as batches:
        batch = next(iter(batches))
    inputs = {name: getattr(batch, name) for name in ("image", "image_present", "text", "text_present")}
    return make_predict_fn(artifact.build(), artifact.build_task())(inputs)["probabilities"]


def test_a_killed_worker_costs_no_row_and_doubles_none(submit: Callable[..., PredictionResult], run: Store) -> None:
    killed: list[int] = []

    def kill_once(**facts: Any) -> None:
        if facts["rows"] and not killed:
            killed.append(kill_predictors())

    result = submit(on_progress=kill_once)
    assert killed == [1]
    assert (result.rows, result.resumed_shards) == (ROWS, 0)
    assert pq.read_table(result.output_url).column("id").to_pylist() == [f"r{row}" for row in range(ROWS)]


def test_a_worker_that_is_lost_too_often_ends_the_job(submit: Callable[..., PredictionResult], run: Store) -> None:
    def kill_always(**facts: Any) -> None:
        if facts["rows"]:
            kill_predictors()

    with pytest.raises(ray.exceptions.RayError) as caught:
        submit(on_progress=kill_always, max_failures=0)
    assert isinstance(unwrap(caught.value), WorkerLostError)
    assert "part-00000.parquet" in contents(run)


def test_what_was_written_before_the_end_is_kept(submit: Callable[..., PredictionResult], run: Store) -> None:
    def stop_at_half(**facts: Any) -> None:
        if facts["rows"] >= ROWS // 2:
            raise StopRequestedError("stopped as asked")

    with pytest.raises(StopRequestedError):
        submit(on_progress=stop_at_half)
    assert not run.exists("predictions/_COMMITTED")
    kept = contents(run)
    (Path(run.url) / "predictions/part-00003.parquet").write_bytes(b"half a shard")
    result = submit(workers=2)
    assert 2 <= result.resumed_shards < SHARDS
    assert all(contents(run)[name] == kept[name] for name in ("part-00000.parquet", "part-00001.parquet"))
    assert pq.read_table(result.output_url).column("id").to_pylist() == [f"r{row}" for row in range(ROWS)]


def test_too_many_bad_rows_end_the_job_and_keep_what_was_computed(
    submit: Callable[..., PredictionResult], run: Store
) -> None:
    with pytest.raises(DataRefusedError, match=r"r?part-00000.parquet#77 image: (.|\n)*quarantine"):
        submit(max_bad_rows=0)
    assert "part-00001.parquet" in contents(run)
    result = submit(max_bad_rows=1)
    assert result.resumed_shards >= 2
    assert result.errors == 1


def test_a_damaged_shard_is_an_error_of_ours_from_the_worker(
    submit: Callable[..., PredictionResult], dataset: Store, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in Path(dataset.url).iterdir():
        data = bytearray(path.read_bytes())
        if path.name.startswith("part"):
            data[300] ^= 0xFF
        (copy / path.name).write_bytes(data)
    with pytest.raises(DataRefusedError, match="row group 0 of the shard is damaged"):
        submit(input=str(copy))
