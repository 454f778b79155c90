"""Recordings as spectrograms: what is heard, what is refused and why, and that the ledger looks at them."""

import io
import struct
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile

from mmdist.data.audio import AudioEncoder, BadAudio, decode_audio, log_mel, mel_weights
from mmdist.data.collate import Collator
from mmdist.data.content import HashedColumns
from mmdist.data.dataset import open_dataset
from mmdist.data.prepare import RowOrigin, prepare_rows
from mmdist.data.roles import check_columns
from mmdist.errors import DataRefusedError
from mmdist.spec.audio import AudioSpec
from mmdist.spec.data import ColumnsSpec

SPEC = AudioSpec(sample_rate=8000, seconds=0.5, mels=24, max_samples=100_000)
COLUMNS = ColumnsSpec(id="id", audio="sound")


def encoded(
    *, hertz: float = 1000, rate: int = 8000, seconds: float = 0.5, kind: str = "WAV", channels: int = 1, **keys: str
) -> bytes:
    samples = np.sin(2 * np.pi * hertz * np.arange(round(rate * seconds)) / rate) / 2
    out = io.BytesIO()
    soundfile.write(out, np.repeat(samples[:, None], channels, axis=1), rate, format=kind, **keys)
    return out.getvalue()


def raw(samples: np.ndarray, rate: int = 8000) -> bytes:
    out = io.BytesIO()
    soundfile.write(out, samples, rate, format="WAV", subtype="FLOAT")
    return out.getvalue()


def spectrogram(data: bytes, spec: AudioSpec = SPEC) -> np.ndarray:
    return log_mel(decode_audio(data, spec), spec)


@pytest.mark.parametrize("mels", [8, 40])
def test_bands_are_those_of_tensorflow(mels: int) -> None:
    import tensorflow as tf

    expected = tf.signal.linear_to_mel_weight_matrix(mels, 257, 16000, 20.0, 8000.0, tf.float64)
    np.testing.assert_allclose(mel_weights(mels, 257, 16000), expected, atol=1e-9)


def test_a_tone_is_in_the_band_of_its_pitch() -> None:
    found = spectrogram(encoded(hertz=1000))
    assert found.shape == SPEC.shape == (48, 24)
    assert found.dtype == np.float32
    expected = int(np.argmax(mel_weights(24, 129, 8000)[round(1000 / 4000 * 128)]))
    assert set(found.argmax(axis=1).tolist()) == {expected}
    assert -1 <= found.min() < found.max() <= 1
    assert found.max() == pytest.approx(1 + np.log10(0.25) / 4, abs=0.05)


@pytest.mark.parametrize(
    "other",
    [
        encoded(rate=44_100, kind="FLAC"),
        encoded(rate=11_025, channels=2),
        encoded(kind="FLAC", subtype="PCM_24"),
        encoded(subtype="PCM_U8"),
        encoded(subtype="DOUBLE"),
        encoded(seconds=3.0),
        encoded(kind="WAVEX", channels=2),
    ],
)
def test_the_same_tone_in_another_form_sounds_alike(other: bytes) -> None:
    inner = slice(2, -3)  # the ends ring where a recording is resampled
    loud = spectrogram(encoded())[inner] > 0.2
    assert loud.any()
    assert np.abs(spectrogram(other)[inner] - spectrogram(encoded())[inner])[loud].max() < 0.02


def test_a_short_recording_is_followed_by_silence() -> None:
    found = spectrogram(encoded(seconds=0.2))
    assert (found[:15].max(axis=1) > 0.5).all()
    np.testing.assert_array_equal(found[25:], -1.0)
    np.testing.assert_array_equal(decode_audio(encoded(seconds=0.01), SPEC)[80:], 0.0)


def test_channels_are_averaged() -> None:
    samples = np.stack([np.full(4000, 0.5), np.full(4000, -0.25)], axis=1)
    np.testing.assert_array_equal(decode_audio(raw(samples), SPEC), np.float32(0.125))


def lying_flac() -> bytes:
    """Its header claims 2^36 - 1 samples."""
    data = bytearray(encoded(kind="FLAC"))
    data[21] |= 0x0F
    data[22:26] = b"\xff" * 4
    return bytes(data)


def with_rate(data: bytes, rate: int) -> bytes:
    return data[:24] + struct.pack("<I", rate) + data[28:]


NAN = np.zeros(4000)
NAN[7] = np.nan
BAD = {
    "empty": (b"", "empty: 0 bytes"),
    "another type": (b"\x89PNG\r\n\x1a\n" + bytes(40), "not a recording of a known format: 48 bytes"),
    "MP3": (b"ID3\x04" + bytes(400), "not a recording of a known format"),
    "a header alone": (encoded()[:30], "WAV cut within the header: 30 bytes"),
    "WAV cut off": (encoded()[:4000], "WAV cut off: 3956 of 8000 bytes of samples"),
    "FLAC cut off": (encoded(kind="FLAC", hertz=777)[:-200], "FLAC"),
    "FLAC of noise": (b"fLaC" + bytes(range(256)), "FLAC that cannot be decoded"),
    "a lying header": (lying_flac(), "by its header, over the cap of 100000"),
    "NaN": (raw(NAN), "samples that are no finite numbers"),
    "infinite": (raw(np.full(10, np.inf)), "samples that are no finite numbers"),
    "no samples": (encoded(seconds=0), "WAV without samples"),
    "no channels": (encoded()[:22] + b"\0\0" + encoded()[24:], "WAV that cannot be decoded"),
    "too long": (encoded(seconds=13), "104000 x 1 samples by its header, over the cap of 100000"),
    "too many channels": (encoded(channels=65, seconds=0.01), "65 channels by its header, over the cap of 64"),
    "a rate beyond sense": (with_rate(encoded(), 2_000_000), "2000000 samples per second by its header"),
    "another coding": (encoded(subtype="ULAW"), "WAV with samples of type ULAW, which are not read"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_used_says_why(name: str) -> None:
    data, reason = BAD[name]
    with pytest.raises(BadAudio) as caught:
        decode_audio(data, SPEC)
    assert reason in str(caught.value)


def test_any_cut_of_a_recording_is_refused_or_whole() -> None:
    for kind in ("WAV", "FLAC"):
        data = encoded(kind=kind, hertz=777)
        for size in range(0, len(data) - 1, 97):
            with pytest.raises(BadAudio):
                decode_audio(data[:size], SPEC)


def test_the_cap_is_judged_before_anything_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **keys: object) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr(soundfile.SoundFile, "read", refuse)
    with pytest.raises(BadAudio, match="over the cap"):
        decode_audio(lying_flac(), SPEC)


def rows() -> pa.Table:
    values = [encoded(), None, *(data for data, _ in BAD.values()), encoded(hertz=500, kind="FLAC")]
    return pa.table({"id": [f"row-{n}" for n in range(len(values))], "sound": pa.array(values, pa.binary())})


def test_bad_rows_of_a_batch_are_named_and_masked() -> None:
    batch = Collator(COLUMNS, audio=SPEC).collate(rows(), origin=RowOrigin("part-0.parquet", 5, 50))
    assert [bad.reason.split(":")[0] for bad in batch.bad[:2]] == ["no recording (null)", "empty"]
    assert [(bad.shard, bad.row, bad.id, bad.column) for bad in batch.bad] == [
        ("part-0.parquet", 5 + n, f"row-{n}", "sound") for n in range(1, len(BAD) + 2)
    ]
    assert np.flatnonzero(batch.mask).tolist() == [0, len(BAD) + 2]
    sound, present = batch.inputs()["audio"], batch.inputs()["audio_present"]
    assert not sound[batch.mask == 0].any()
    np.testing.assert_array_equal(present, batch.mask > 0)


def test_a_row_does_not_depend_on_those_beside_it() -> None:
    encoder, table = AudioEncoder(SPEC), rows()
    last = len(table) - 1
    whole, _ = encoder.encode(table["sound"])
    alone, _ = encoder.encode(table["sound"].slice(last))
    np.testing.assert_array_equal(whole["audio"][last], alone["audio"][0])


def test_a_row_may_lack_its_recording_where_it_has_a_text() -> None:
    from mmdist.data.tokenizer import learn_from_texts
    from mmdist.spec.text import TextSpec

    tokenizer = learn_from_texts(["a word"], TextSpec(tokens=4))
    table = pa.table({"text": ["a word", None], "sound": pa.array([None, encoded()], pa.binary())})
    batch = Collator(ColumnsSpec(text="text", audio="sound"), audio=SPEC, tokenizer=tokenizer).collate(table)
    assert batch.bad == []
    assert batch.inputs()["audio_present"].tolist() == [False, True]


def test_the_ledger_sees_one_flipped_byte() -> None:
    def sums(data: bytes) -> np.ndarray:
        table = pa.table({"id": ["a"], "sound": pa.array([data], pa.binary())})
        block = prepare_rows(
            table,
            COLUMNS,
            RowOrigin(),
            tokenizer=None,
            tabular=None,
            audio=AudioEncoder(SPEC),
            target=None,
            hashed=HashedColumns("id", ("id", "sound")),
        )
        return block.sums

    data = encoded()
    flipped = bytearray(data)
    flipped[-1] ^= 1
    np.testing.assert_array_equal(sums(data), sums(data))
    assert (sums(data) != sums(bytes(flipped))).any(axis=1).tolist() == [False, True]


def test_a_column_of_another_type_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"sound": ["a.wav"]}), tmp_path / "part-00000.parquet")
    with pytest.raises(DataRefusedError, match="`sound` cannot be read as audio"):
        check_columns(open_dataset(str(tmp_path)), ColumnsSpec(audio="sound"))
    with pytest.raises(DataRefusedError, match="cannot be the audio"):
        Collator(ColumnsSpec(audio="sound"), audio=SPEC).collate(pa.table({"sound": ["a.wav"]}))
    with pytest.raises(ValueError, match="reads recordings"):
        Collator(ColumnsSpec(audio="sound"))
