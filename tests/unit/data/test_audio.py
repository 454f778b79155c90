"""Recordings as spectrograms: what is heard, what is refused and why, and that the ledger looks at them."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
from recordings import RATE, chunk, claiming, encoded, raw, sounds_alike, tone, wav, wav_claiming, wav_of, with_rate

from mmdist.data.audio import AudioEncoder, decode_audio, log_mel, mel_weights
from mmdist.data.collate import Collator
from mmdist.data.content import HashedColumns
from mmdist.data.dataset import open_dataset
from mmdist.data.prepare import RowOrigin, prepare_rows
from mmdist.data.recording import AudioHeader, BadAudio, read_audio, read_audio_header
from mmdist.data.roles import check_columns
from mmdist.errors import DataRefusedError
from mmdist.spec.audio import AudioSpec
from mmdist.spec.data import ColumnsSpec

SPEC = AudioSpec(sample_rate=RATE, seconds=0.5, mels=24, max_samples=100_000)
COLUMNS = ColumnsSpec(id="id", audio="sound")


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


TONE, STEREO = tone(), np.stack([tone() * 1.5, tone() * 0.5], axis=1)
JUNK = b"TAG" + bytes(range(256))
DECODED = {
    "8-bit WAV": wav_of(TONE, 8),
    "16-bit WAV": wav_of(TONE, 16),
    "24-bit WAV": wav_of(TONE, 24),
    "32-bit WAV": wav_of(TONE, 32),
    "32-bit float WAV": wav(TONE.astype("<f4").tobytes(), 32, is_float=True),
    "64-bit float WAV": wav(TONE.astype("<f8").tobytes(), 64, is_float=True),
    "extensible WAV": encoded(kind="WAVEX", channels=2),
    "16-bit FLAC": encoded(kind="FLAC"),
    "24-bit FLAC": encoded(kind="FLAC", subtype="PCM_24"),
    "stereo": wav_of(STEREO, 16, channels=2),
    "8 channels": encoded(channels=8, kind="FLAC"),
    "a higher rate": encoded(rate=44_100, kind="FLAC"),
    "another rate": encoded(rate=11_025, channels=2),
    "longer than is heard": encoded(seconds=3.0),
    "chunks before the samples": (lambda data: data[:36] + chunk(b"LIST", b"INFOodd") + data[36:])(encoded()),
    "junk after a WAV": encoded() + JUNK,
    "junk after a FLAC": encoded(kind="FLAC") + JUNK,
    "a second WAV after the first": encoded() + encoded(hertz=500),
    "a second chunk of samples": encoded() + chunk(b"data", bytes(16)),
}
"""By name, recordings of one tone."""


@pytest.mark.parametrize("name", DECODED)
def test_the_same_tone_in_another_form_sounds_alike(name: str) -> None:
    assert sounds_alike(spectrogram(DECODED[name]), log_mel(TONE.astype(np.float32), SPEC))
    assert not sounds_alike(spectrogram(encoded(hertz=1500)), log_mel(TONE.astype(np.float32), SPEC))


@pytest.mark.parametrize(("bits", "steps"), [(8, 7), (16, 15), (24, 23), (32, 31)])
def test_integers_become_shares_of_full_scale(bits: int, steps: int) -> None:
    samples = np.array([0.0, 0.5, -0.5, -1.0, 1.0 - 2.0**-steps, 2.0**-7])
    header, found = read_audio(wav_of(samples, bits), max_samples=10)
    assert header == AudioHeader("WAV", f"{bits}-bit", RATE, 1, 6)
    np.testing.assert_array_equal(found[:, 0], samples.astype(np.float32))


def test_a_header_is_read_without_the_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(soundfile.SoundFile, "read")
    found = read_audio_header(encoded(rate=44_100, kind="FLAC", channels=2, seconds=0.25), max_samples=50_000)
    assert found == AudioHeader("FLAC", "16-bit", 44_100, 2, 11_025)
    assert found.milliseconds == 250


def test_a_short_recording_is_followed_by_silence() -> None:
    found = spectrogram(encoded(seconds=0.2))
    assert (found[:15].max(axis=1) > 0.5).all()
    np.testing.assert_array_equal(found[25:], -1.0)
    np.testing.assert_array_equal(decode_audio(encoded(seconds=0.01), SPEC)[80:], 0.0)


def test_channels_are_averaged() -> None:
    samples = np.stack([np.full(4000, 0.5), np.full(4000, -0.25)], axis=1)
    np.testing.assert_array_equal(decode_audio(raw(samples), SPEC), np.float32(0.125))


NAN = np.zeros(4000)
NAN[7] = np.nan
BAD = {
    "empty": (b"", "empty: 0 bytes"),
    "another type": (b"\x89PNG\r\n\x1a\n" + bytes(40), "not a recording of a known format: 48 bytes"),
    "MP3": (b"ID3\x04" + bytes(400), "not a recording of a known format"),
    "MP3 without tags": (encoded(kind="MP3"), "not a recording of a known format"),
    "Ogg Vorbis": (encoded(kind="OGG"), "not a recording of a known format"),
    "another RIFF": (b"RIFF" + bytes(4) + b"WEBP" + bytes(40), "not a recording of a known format"),
    "a header alone": (encoded()[:30], "WAV cut within the header: 30 bytes"),
    "WAV cut off": (encoded()[:4000], "WAV cut off: 3956 of 8000 bytes of samples"),
    "FLAC cut off": (encoded(kind="FLAC", hertz=777)[:-200], "FLAC"),
    "FLAC of noise": (b"fLaC" + bytes(range(256)), "FLAC that cannot be decoded: File contains data"),
    "FLAC that claims 2^36 samples": (
        claiming(encoded(kind="FLAC"), 2**36 - 1),
        "by its header, over the cap of 100000",
    ),
    "FLAC that claims 2^31 samples": (claiming(encoded(kind="FLAC"), 2**31), "2147483648 x 1 samples by its header"),
    "FLAC that claims a few more samples": (
        claiming(encoded(kind="FLAC"), 90_000),
        "FLAC that cannot be decoded",
    ),
    "FLAC that claims no length": (claiming(encoded(kind="FLAC"), 0), "FLAC whose header does not say how long it is"),
    "WAV that claims 2^31 bytes": (wav_claiming(encoded(), 2**31), "WAV cut off: 8000 of 2147483648 bytes of samples"),
    "WAV that claims the most bytes": (wav_claiming(encoded(), 2**32 - 1), "WAV cut off: 8000 of 4294967295 bytes"),
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
    said = str(caught.value)
    assert reason in said
    assert "\n" not in said
    assert "0x" not in said, "a reason is the same in each process"


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
        decode_audio(BAD["FLAC that claims 2^31 samples"][0], SPEC)


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
