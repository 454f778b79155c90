"""A sample of the bit-flip campaign; all of it by `pytest -m campaign` or `python tests/faults/bitflips.py`."""

from pathlib import Path

import pytest
from bitflips import FAULTS, JOBS, REFUSED_AT_OPEN, REFUSED_AT_READ, campaign, import_dataset, regions


@pytest.mark.parametrize(
    ("flips", "seed"), [(300, 1), pytest.param(10_000, 0, marks=[pytest.mark.campaign, pytest.mark.timeout(7200)])]
)
def test_no_flipped_bit_is_used_silently(tmp_path: Path, flips: int, seed: int) -> None:
    counts, faults = campaign(tmp_path, flips=flips, seed=seed)
    assert faults == []
    assert sum(count.total() for count in counts.values()) == flips
    assert not any(count[fault] for count in counts.values() for fault in FAULTS)
    # What a flip can reach is refused; only bytes that carry nothing, or columns that are not read, read back.
    assert set(counts["shard, footer"]) == {REFUSED_AT_OPEN}
    assert set(counts["shard, pages: pictures"]) == {REFUSED_AT_READ}
    assert set(counts["shard, pages: dictionary"]) == {REFUSED_AT_READ}
    assert counts["dataset.json"].keys() | counts["COMMITTED"].keys() == {REFUSED_AT_OPEN}


def test_the_campaign_sees_what_is_used_silently(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the checksums of pages and the ledger, flips are used, and counted so."""
    import pyarrow.parquet as pq

    from mmdist.data.ledger import EpochLedger

    whole = pq.ParquetFile

    class Careless(whole):
        def __init__(self, *args: object, **options: object) -> None:
            super().__init__(*args, **{**options, "page_checksum_verification": False})

    monkeypatch.setattr(pq, "ParquetFile", Careless)
    monkeypatch.setattr(EpochLedger, "check", lambda *_, **__: None)
    _, faults = campaign(tmp_path, flips=60, seed=1)
    assert any("USED SILENTLY" in fault for fault in faults)


def test_the_campaign_reaches_every_kind_of_byte(tmp_path: Path) -> None:
    split = import_dataset(tmp_path)
    found = regions(split)
    shard = split / "part-00000.parquet"
    reached = sum(stop - start for region in found if region.path == shard for start, stop in region.ranges)
    assert reached == shard.stat().st_size
    assert {region.path.name for region in found if region.path != shard} == {
        *("_index.parquet", "_mmdist.json", "dataset.json", "COMMITTED")
    }
    assert set(JOBS) == {"text", "author"}
