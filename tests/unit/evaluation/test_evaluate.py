import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from mmdist.data.batches import BadRow
from mmdist.data.collate import Collator
from mmdist.data.dataset import Dataset, open_dataset
from mmdist.data.labels import LabelEncoder
from mmdist.data.tokenizer import learn_from_texts
from mmdist.errors import DataRefusedError, JobFileError, StopRequestedError
from mmdist.evaluation.evaluate import dataset_facts, evaluate_model
from mmdist.evaluation.paths import EVALUATION, MISTAKES, NEIGHBOURS, PREDICTIONS
from mmdist.evaluation.report import render_report
from mmdist.spec.data import ColumnsSpec
from mmdist.spec.evaluation import EvaluationSpec
from mmdist.spec.task import ClassificationSpec, RetrievalSpec
from mmdist.spec.text import TextSpec
from mmdist.storage import Store, open_store

LABELS = ("blue", "green", "red")
COLORS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}
COLUMNS = ColumnsSpec(id="id", image="image", text="text", label="label")
SPEC = EvaluationSpec(bootstrap_samples=100, batch_size=4, mistakes=2)


def png(color: str) -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (8, 8), COLORS[color]).save(data, format="PNG")
    return data.getvalue()


def write_dataset(folder: Path, rows: list[dict[str, Any]], rows_per_group: int = 3) -> Dataset:
    folder.mkdir()
    schema = pa.schema({"id": pa.string(), "image": pa.binary(), "text": pa.string(), "label": pa.string()})
    pq.write_table(pa.Table.from_pylist(rows, schema), folder / "part-00000.parquet", row_group_size=rows_per_group)
    return open_dataset(str(folder))


def colored_rows() -> list[dict[str, Any]]:
    """Ten rows: pictures tell the label, apart from row 5's; row 7's picture is broken; row 8 has no text."""
    rows = []
    for number in range(10):
        label = LABELS[number % 3]
        shown = "red" if number == 5 else label
        rows.append({"id": f"row-{number}", "image": png(shown), "text": f"a {label} thing", "label": label})
    rows[5]["label"] = "blue"
    rows[7]["image"] = b"\x89PNG broken"
    rows[8]["text"] = None
    return rows


class ColorReader:
    """Stands for a model that reads the picture's colour, and nothing without a picture."""

    def __init__(self) -> None:
        self.calls: list[dict[str, npt.NDArray[Any]]] = []

    def __call__(self, arrays: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[np.float32]]:
        self.calls.append(dict(arrays))
        size = len(arrays["text"])
        if "image" not in arrays:
            return {"probabilities": np.full((size, 3), 1 / 3, np.float32)}
        shares = arrays["image"].reshape(size, -1, 3).mean(axis=1)[:, ::-1] + 1.0
        weights = np.array([shares[:, 0], shares[:, 1], shares[:, 2]]).T
        return {"probabilities": (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)}


@pytest.fixture
def collator() -> Collator:
    tokenizer = learn_from_texts(["a red thing", "a green thing"], TextSpec(tokens=4, vocabulary=10))
    return Collator(COLUMNS, image_size=(8, 8), tokenizer=tokenizer, target=LabelEncoder(LABELS))


@pytest.fixture
def run(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "run"))


def evaluate(dataset: Dataset, collator: Collator, run: Store, **more: Any) -> dict[str, Any]:
    facts = {"split": "test", "seed": 0, "model": {"epoch": 3}}
    settings = {"task": ClassificationSpec(), "labels": LABELS, "spec": SPEC, **facts, **more}
    return evaluate_model(settings.pop("predict_fn", ColorReader()), dataset, collator, run=run, **settings)


def test_every_row_is_predicted_once_and_bad_rows_are_told(tmp_path: Path, collator: Collator, run: Store) -> None:
    bad: list[BadRow] = []
    progress: list[tuple[int, int]] = []
    dataset = write_dataset(tmp_path / "data", colored_rows())
    result = evaluate(dataset, collator, run, on_bad_rows=bad.extend, on_progress=lambda *rows: progress.append(rows))
    predictions = pq.read_table(io.BytesIO(run.read_bytes(PREDICTIONS)))
    assert predictions["row"].to_pylist() == [0, 1, 2, 3, 4, 5, 6, 8, 9]
    assert predictions["id"].to_pylist()[5] == "row-5"
    assert predictions["text"].to_pylist()[-2:] == [None, "a blue thing"]
    assert predictions["predicted"].to_pylist()[5] == "red"
    probabilities = np.array(predictions["probabilities"].to_pylist())
    np.testing.assert_allclose(probabilities.max(axis=1), predictions["confidence"].to_numpy(), rtol=1e-6)
    assert json.loads(predictions.schema.metadata[b"mmdist"])["labels"] == list(LABELS)
    assert [row.id for row in bad] == ["row-7"]
    assert progress[-1] == (10, 10)
    rows = result["rows"]
    assert (rows["expected"], rows["evaluated"], rows["quarantined"]) == (10, 9, 1)
    assert rows["present"] == {"image": 9, "text": 8}
    assert rows["reasons"][0]["column"] == "image"
    assert result["metrics"]["headline"]["accuracy"]["value"] == pytest.approx(8 / 9)
    assert json.loads(run.read_bytes(EVALUATION)) == result


def test_a_withheld_modality_is_gone_and_not_only_marked(tmp_path: Path, collator: Collator, run: Store) -> None:
    model = ColorReader()
    result = evaluate(write_dataset(tmp_path / "data", colored_rows()), collator, run, predict_fn=model)
    shown, no_image, no_text = model.calls[:3]
    assert not no_image["image_present"].any()
    assert not no_image["image"].any()
    np.testing.assert_array_equal(no_image["text"], shown["text"])
    assert not no_text["text_present"].any()
    assert not no_text["text"].any()
    np.testing.assert_array_equal(no_text["image"], shown["image"])
    ablation = {entry["withheld"]: entry for entry in result["metrics"]["ablation"]}
    assert ablation["text"]["accuracy_difference"]["value"] == 0.0
    assert ablation["image"]["accuracy_difference"]["value"] < 0.0


class ColorFinder:
    """Stands for a model whose pictures and texts of one colour have one vector."""

    def __init__(self, tokens: Mapping[str, int]) -> None:
        self.calls = 0
        self._tokens = tokens

    def __call__(self, arrays: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[np.float32]]:
        self.calls += 1
        named = [(arrays["text"] == self._tokens[color]).any(axis=1) for color in COLORS]
        return {
            "image_embedding": (arrays["image"][:, 0, 0] / 255).astype(np.float32),
            "text_embedding": np.stack(named, axis=1).astype(np.float32),
            **{name: arrays[name].astype(np.float32) for name in ("image_present", "text_present")},
        }


def test_a_retrieval_needs_no_label_and_shows_the_pictures_that_it_found(tmp_path: Path, run: Store) -> None:
    tokenizer = learn_from_texts([f"a {color} thing" for color in COLORS], TextSpec(tokens=4, vocabulary=10))
    columns = ColumnsSpec(id="id", image="image", text="text")
    model = ColorFinder({color: int(tokenizer.encode([color])[0, 0]) for color in COLORS})
    result = evaluate(
        write_dataset(tmp_path / "data", colored_rows()),
        Collator(columns, image_size=(8, 8), tokenizer=tokenizer),
        run,
        predict_fn=model,
        task=RetrievalSpec(width=3),
        labels=(),
        spec=SPEC.model_copy(update={"mistakes": 6}),
    )
    assert model.calls == 3, "each row once: no modality is withheld"
    assert result["metrics"]["rows"] == 8, "without the broken picture, and the row without a text"
    assert result["metrics"]["headline"]["mean_recall"]["value"] == 1.0
    predictions = pq.read_table(io.BytesIO(run.read_bytes(PREDICTIONS)))
    assert predictions["row"].to_pylist() == [0, 1, 2, 3, 4, 5, 6, 8, 9]
    assert predictions["image_rank"].to_pylist() == [1] * 7 + [None, 1]
    assert predictions["nearest_image"].to_pylist()[:4] == [0, 1, 2, 0], "equal pictures are one candidate"
    queries = pq.read_table(io.BytesIO(run.read_bytes(NEIGHBOURS))).to_pylist()
    assert {query["asked"] for query in queries} == {"image", "text"}
    for query in queries:
        assert (query["rank"], query["candidates"], len(query["found"])) == (1, 3, 3)
        picture = query["image"] if query["asked"] == "image" else query["found"][0]["image"]
        shown = Image.open(io.BytesIO(picture)).convert("RGB").getpixel((4, 4))
        assert query["text"] == f"a {next(name for name, color in COLORS.items() if color == shown)} thing"
    assert "mean recall" in render_report(run)["verdict"]


def test_one_modality_is_not_withheld(tmp_path: Path, collator: Collator, run: Store) -> None:
    text_only = Collator(
        ColumnsSpec(id="id", text="text", label="label"), tokenizer=collator.tokenizer, target=LabelEncoder(LABELS)
    )
    result = evaluate(write_dataset(tmp_path / "data", colored_rows()), text_only, run)
    assert result["metrics"]["ablation"] == []
    assert set(result["rows"]["present"]) == {"text"}


def test_the_most_confident_mistakes_are_kept_with_their_pictures(
    tmp_path: Path, collator: Collator, run: Store
) -> None:
    rows = colored_rows()
    for number in range(0, 10, 3):
        rows[number]["label"] = "green"  # shown in blue
    evaluate(write_dataset(tmp_path / "data", rows), collator, run)
    mistakes = pq.read_table(io.BytesIO(run.read_bytes(MISTAKES))).to_pylist()
    assert [mistake["row"] for mistake in mistakes] == [0, 3]
    assert mistakes[0]["label"] == "green"
    assert mistakes[0]["predicted"] == "blue"
    assert mistakes[0]["text"] == "a blue thing"
    picture = Image.open(io.BytesIO(mistakes[0]["image"]))
    assert picture.getpixel((4, 4)) == (0, 0, 255)


def test_a_report_can_be_made_of_it(tmp_path: Path, collator: Collator, run: Store) -> None:
    run.write_bytes("job.yaml", b"kind: evaluate\nname: colours\n")
    evaluate(write_dataset(tmp_path / "data", colored_rows()), collator, run)
    report = render_report(run)
    assert report["verdict"].startswith("Test accuracy 0.89 [")
    assert report["evaluation"]["dataset"]["rows"] == 10


def test_the_facts_of_a_dataset_without_a_card(tmp_path: Path) -> None:
    facts = dataset_facts(write_dataset(tmp_path / "data", colored_rows()))
    assert facts["rows"] == 10
    assert facts["licence"] is None
    assert len(facts["fingerprint"]) == 64


def test_a_job_without_labels_is_refused(tmp_path: Path, collator: Collator, run: Store) -> None:
    dataset = write_dataset(tmp_path / "data", colored_rows())
    unlabelled = Collator(COLUMNS, image_size=(8, 8), tokenizer=collator.tokenizer)
    with pytest.raises(JobFileError, match="the job reads none"):
        evaluate(dataset, unlabelled, run)


def test_data_of_which_no_row_can_be_used_is_refused(tmp_path: Path, collator: Collator, run: Store) -> None:
    rows = [{**row, "label": "purple"} for row in colored_rows()]
    with pytest.raises(DataRefusedError, match="10 rows, 10 of them set aside"):
        evaluate(write_dataset(tmp_path / "data", rows), collator, run)
    assert not run.exists(EVALUATION)


def test_an_evaluation_that_is_stopped_leaves_none_behind(tmp_path: Path, collator: Collator, run: Store) -> None:
    dataset = write_dataset(tmp_path / "data", colored_rows())
    evaluate(dataset, collator, run)

    def stop(rows: int, total_rows: int) -> None:
        raise StopRequestedError("stopped as asked")

    with pytest.raises(StopRequestedError):
        evaluate(dataset, collator, run, on_progress=stop)
    assert not run.exists(EVALUATION)
