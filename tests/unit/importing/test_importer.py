"""What makes two imports the same."""

from mmdist.importing.importer import _import_id
from mmdist.spec.importing import ImportSpec, TableSourceSpec


def identity(source: dict[str, str], **keys: int) -> str:
    return _import_id(ImportSpec(source=TableSourceSpec(path="t.csv", **source), output="out", **keys), "fingerprint")


def test_a_dataset_is_known_again_by_versions_that_can_be_told_more() -> None:
    first = "11bbf2e68237d9457808bd2ada2440bd98a9284e4f92cd0db7050ca9c2ba951d"
    assert identity({"image": "picture"}) == first
    others = [
        identity({"audio": "sound"}),
        identity({"audio_bytes": "sound"}),
        identity({"image": "picture"}, max_samples=1),
    ]
    assert len({first, *others}) == 4
