"""The corruption matrix of rows over the four paths: one outcome each, and never a neighbour lost."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from damaged_rows import CASES, GOOD, ROWS, SOUND, row_of, rows, write_shard
from paths import TOKENIZER, Seen, evaluate, import_table, predict, train
from pictures import pixels
from recordings import sounds_alike

from mmdist.errors import DataRefusedError

PATHS = ("import", "train", "evaluate", "predict")


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Seen]:
    """All cases in one shard, read once by each path."""
    folder = tmp_path_factory.mktemp("rows")
    shard = write_shard(folder / "shards" / "part-00000.parquet")
    return {
        "import": import_table(shard, folder / "imported"),
        "train": train(shard.parent, folder / "train"),
        "evaluate": evaluate(shard.parent, folder / "evaluate"),
        "predict": predict(shard.parent, folder / "predict"),
    }


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", CASES)
def test_each_row_has_its_stated_outcome(seen: dict[str, Seen], name: str, path: str) -> None:
    case, row, found = CASES[name], row_of(name), seen[path]
    reason = case.reason_at(path)
    if reason is not None:
        assert row not in found.pixels
        column, said = found.bad[row]
        assert column == case.column
        assert re.search(reason, said), said
        assert "\n" not in said
        return
    assert row not in found.bad
    if case.pixels is not None:
        assert np.abs(found.pixels[row].astype(int) - case.pixels.astype(int)).max() <= case.tolerance
    if case.sound is not None:
        sound = found.sounds[row]
        assert sounds_alike(sound, case.sound) if case.sound.any() else not sound.any()
    text = case.changes.get("text", GOOD["text"]) or ""
    assert found.tokens[row].tolist() == TOKENIZER.encode([text])[0].tolist()


@pytest.mark.parametrize("path", PATHS)
def test_no_neighbour_is_lost_or_altered(seen: dict[str, Seen], path: str) -> None:
    found = seen[path]
    tokens = TOKENIZER.encode([GOOD["text"]])[0].tolist()
    for row in range(0, ROWS, 2):
        assert np.abs(found.pixels[row].astype(int) - pixels()).max() <= 4
        assert found.tokens[row].tolist() == tokens
        assert sounds_alike(found.sounds[row], SOUND)
    assert sorted([*found.pixels, *found.bad]) == list(range(ROWS))


@pytest.mark.parametrize("path", ["train", "evaluate", "predict"])
def test_rows_are_named_as_their_ids_say_or_by_their_place(seen: dict[str, Seen], path: str) -> None:
    place = "part-00000.parquet#{}".format
    nameless = {row_of(name): place(row_of(name)) for name in ("id: null", "id: no UTF-8")}
    expected = {row: nameless.get(row, record["id"]) for row, record in enumerate(rows())}
    assert seen[path].ids == expected
    assert seen[path].shards == {"part-00000.parquet"}


def test_train_evaluate_and_predict_give_the_same_reasons(seen: dict[str, Seen]) -> None:
    assert seen["train"].bad == seen["evaluate"].bad
    unlabelled = {row: said for row, said in seen["train"].bad.items() if said[0] != "label"}
    assert seen["predict"].bad == unlabelled


def test_an_import_gives_the_reasons_of_training_where_both_refuse(seen: dict[str, Seen]) -> None:
    both = seen["import"].bad.keys() & seen["train"].bad.keys()
    for column in ("image", "audio"):
        files = {row for row in both if seen["train"].bad[row][0] == column}
        assert len(files) > 20
        assert {row: seen["import"].bad[row] for row in files} == {row: seen["train"].bad[row] for row in files}


BAD_ROWS = [dict(id=f"bad {number}", **{**GOOD, "image": b""}) for number in range(3)]
GOOD_ROWS = [dict(id=f"good {number}", **GOOD) for number in range(27)]


@pytest.mark.parametrize("path", ["train", "evaluate", "predict"])
@pytest.mark.parametrize(
    ("borne", "is_refused"),
    [
        ({"max_bad_rows": 3}, False),
        ({"max_bad_rows": 2}, True),
        ({"max_bad_rows": 0.1}, False),
        ({"max_bad_rows": 0.06}, True),
        ({"max_bad_rows": 0}, True),
        ({"max_bad_rows": 3, "on_bad_row": "fail"}, True),
    ],
)
def test_a_budget_bears_so_many_bad_rows_and_no_more(
    tmp_path: Path, path: str, borne: dict[str, Any], is_refused: bool
) -> None:
    drive = {"train": train, "evaluate": evaluate, "predict": predict}[path]
    write_shard(tmp_path / "shards" / "part-00000.parquet", [*GOOD_ROWS, *BAD_ROWS])
    if not is_refused:
        assert len(drive(tmp_path / "shards", tmp_path / "run", **borne).bad) == 3
        return
    with pytest.raises(DataRefusedError, match=r"too many rows|on_bad_row is `fail`") as refused:
        drive(tmp_path / "shards", tmp_path / "run", **borne)
    assert refused.value.exit_code == 3
    assert "part-00000.parquet#2" in str(refused.value), "the first rows are named in the message"
    assert list((tmp_path / "run" / "quarantine").glob("*.parquet")), "and all of them in the quarantine"
