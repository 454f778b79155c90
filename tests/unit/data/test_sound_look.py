"""What `mmdist data inspect` says of recordings."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pictures import jpeg
from recordings import encoded, wav_claiming
from small_datasets import write_shard

from mmdist.cli.data_facts import fact_lines
from mmdist.data.advice import find_problems
from mmdist.data.contact_sheet import render_contact_sheet
from mmdist.data.inspection import Inspection, inspect_dataset
from mmdist.data.sound_look import Sounds, spectrogram
from mmdist.spec.data import ColumnsSpec

SHARED = encoded(hertz=440, kind="FLAC")


def write_split(folder: Path, recordings: list[bytes | None], **further: list[Any]) -> None:
    folder.mkdir(parents=True)
    columns = {
        "id": [f"{folder.name}-{n}" for n in range(len(recordings))],
        "audio": pa.array(recordings, pa.binary()),
        "label": ["owl"] * len(recordings),
    }
    write_shard(folder / "part-00000.parquet", pa.table({**columns, **further}), group_rows=4)


@pytest.fixture(scope="module")
def inspection(tmp_path_factory: pytest.TempPathFactory) -> Inspection:
    folder = tmp_path_factory.mktemp("sounds")
    several = [encoded(hertz=300 + n, seconds=0.4) for n in range(5)]
    odd = [encoded(rate=44_100, channels=2, seconds=3.0), encoded(kind="FLAC", subtype="PCM_24", seconds=0.05), None]
    bad = [b"", wav_claiming(encoded(), 2**31), b"ID3" + bytes(50), encoded(kind="FLAC", hertz=777)[:-200]]
    write_split(folder / "train", [SHARED, *several, *odd, *bad, several[0]])
    write_split(folder / "test", [SHARED, encoded(hertz=2000)])
    return inspect_dataset(str(folder))


def test_counts_formats_rates_channels_and_lengths(inspection: Inspection) -> None:
    train = inspection.facts["splits"]["train"]
    assert train["recordings"] == {
        "looked_at": 14,
        "decoded": 10,
        "formats": {"WAV 16-bit": 7, "FLAC 16-bit": 2, "FLAC 24-bit": 1},
        "sample_rates": {"8000": 9, "44100": 1},
        "channels": {"1": 9, "2": 1},
        "milliseconds": {"least": 50, "median": 400, "p95": 3000, "most": 3000},
        "lengths": [
            {"most_s": 0.1, "rows": 1},
            {"most_s": 0.5, "rows": 8},
            {"most_s": 5, "rows": 1},
        ],
    }
    assert train["nulls"]["audio"] == 1
    lines = "\n".join(fact_lines(inspection.facts, None))
    assert "recordings  7 WAV 16-bit, 2 FLAC 16-bit, 1 FLAC 24-bit; 10 decoded to check them" in lines
    assert "rates       9 at 8,000 Hz, 1 at 44,100 Hz; 9 of 1 channel, 1 of 2 channels" in lines
    assert "lengths     median 0.4 s, 95% up to 3 s, most 3 s; 1 up to 0.1 s, 8 up to 0.5 s, 1 up to 5 s" in lines


def test_bad_recordings_have_the_reasons_of_training(inspection: Inspection) -> None:
    train = inspection.facts["splits"]["train"]
    assert train["bad_rows"] == 4
    found = [(row["row"], row["column"], row["reason"].split(":")[0]) for row in train["bad_rows_shown"]]
    assert found == [
        (9, "audio", "empty"),
        (10, "audio", "WAV cut off"),
        (11, "audio", "not a recording of a known format"),
        (12, "audio", "FLAC that cannot be decoded"),
    ]


def test_a_recording_in_two_splits_is_leakage(inspection: Inspection) -> None:
    assert [(entry["part"], entry["rows"], entry["examples"]) for entry in inspection.facts["shared"]] == [
        ("audio", 1, [{"id": "test-0", "with_id": "train-0"}])
    ]
    problems = [found["text"] for found in inspection.facts["findings"] if found["level"] == "problem"]
    assert any("test shares 1 of its 2 recordings with train (test-0 = train-0): leakage" in text for text in problems)
    advice = [found["text"] for found in inspection.facts["findings"] if found["level"] == "advice"]
    assert "train has 1 row with the recording of an earlier one" in advice


def test_the_page_shows_spectrograms(inspection: Inspection) -> None:
    shown = [sample.sound for sample in inspection.samples if sample.split == "test"]
    assert [sound.shape for sound in shown if sound is not None] == [(48, 96)] * 2
    page = render_contact_sheet(inspection)
    assert page.count("data:image/webp") == sum(sample.sound is not None for sample in inspection.samples) + 2
    assert "Length of the recordings" in page
    assert "Longer side of the pictures" not in page
    assert "test and train: the same recording" in page


def test_a_spectrogram_has_high_sounds_above_low_ones() -> None:
    low, high = (spectrogram(memoryview(encoded(hertz=hertz))) for hertz in (300, 3000))
    assert low is not None
    assert high is not None
    assert np.median(low.argmax(axis=0)) > np.median(high.argmax(axis=0)) + 10
    assert spectrogram(memoryview(b"no recording")) is None
    assert spectrogram(memoryview(encoded(seconds=0.001))) is not None


def test_pictures_and_recordings_of_one_dataset(tmp_path: Path) -> None:
    write_split(tmp_path / "train", [encoded(), None], image=pa.array([jpeg(), jpeg()], pa.binary()))
    found = inspect_dataset(str(tmp_path))
    (first, second) = sorted(found.samples, key=lambda sample: sample.id)
    assert first.picture is not None
    assert first.sound is not None
    assert second.sound is None
    facts = found.facts["splits"]["train"]
    assert (facts["pictures_decoded"], facts["recordings"]["decoded"]) == (2, 1)
    only = inspect_dataset(str(tmp_path), ColumnsSpec(image="image")).facts["splits"]["train"]
    assert only["recordings"]["looked_at"] == 0


def test_some_are_decoded_unless_asked_for_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recordings = [encoded(hertz=200 + n, kind="FLAC") for n in range(30)]
    recordings[7] = recordings[7][:-60]
    write_split(tmp_path / "train", recordings)  # type: ignore[arg-type]
    monkeypatch.setattr("mmdist.data.inspection._DECODED_UNITS", 0)
    monkeypatch.setattr("mmdist.data.inspection._LEAST_DECODED", 10)
    facts = inspect_dataset(str(tmp_path)).facts
    assert (facts["splits"]["train"]["recordings"]["decoded"], facts["splits"]["train"]["bad_rows"]) == (10, 0)
    assert any("10 of 30 recordings were decoded" in finding["text"] for finding in facts["findings"])
    facts = inspect_dataset(str(tmp_path), everything=True).facts
    assert (facts["splits"]["train"]["recordings"]["decoded"], facts["splits"]["train"]["bad_rows"]) == (30, 1)


def test_long_recordings_are_advice(inspection: Inspection) -> None:
    facts = {**inspection.facts, "shared": []}
    facts["splits"] = {
        "train": {**facts["splits"]["train"], "recordings": Sounds(milliseconds=[np.array([9000])]).facts()}
    }
    assert any("5% have more than 9.0 s" in finding["text"] for finding in find_problems(facts))
