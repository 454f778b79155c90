"""The folder source: labels from sub-folders, texts beside pictures, and nothing from outside the folder."""

from pathlib import Path

import pytest
from importing_helpers import picture, read_all, recording

from mmdist.errors import DataRefusedError, JobFileError
from mmdist.importing.sources import Source, open_source
from mmdist.spec.importing import FolderSourceSpec


def source_of(path: Path) -> Source:
    return open_source(FolderSourceSpec(path=str(path)))


def test_gives_pictures_with_labels_and_texts(pictures: Path) -> None:
    rows = {row.key.id: row for row in read_all(source_of(pictures))}
    assert len(rows) == 12
    assert rows["dog/00.png"].label == "dog"
    assert rows["dog/00.png"].text == "number 0 é"
    assert rows["cat/01.png"].text is None
    assert rows["cat/01.png"].image == (pictures / "cat/01.png").read_bytes()
    assert source_of(pictures).facts().parts == ("image", "text", "label")


def test_recordings_are_rows_of_their_own(tmp_path: Path) -> None:
    for name, data in {
        "owl/a.wav": recording(1),
        "owl/deep/b.FLAC": recording(2, "FLAC"),
        "owl/a.txt": b"at dusk",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    (tmp_path / "owl" / "c.mp3").write_bytes(b"ID3")
    facts = source_of(tmp_path).facts()
    assert facts.parts == ("text", "audio", "label")
    assert facts.description.startswith("Recordings of the folder")
    assert facts.left_out == {"files that are no picture or recording of a label": 1}
    first, second = read_all(source_of(tmp_path))
    assert (first.key.id, first.audio, first.text, first.label) == ("owl/a.wav", recording(1), "at dusk", "owl")
    assert (second.key.id, second.audio, second.text) == ("owl/deep/b.FLAC", recording(2, "FLAC"), None)


def test_files_of_one_stem_are_one_row(tmp_path: Path) -> None:
    folder = tmp_path / "owl"
    folder.mkdir()
    files = {"a.png": picture(1), "a.wav": recording(1), "a.txt": b"one", "b.wav": recording(2), "c.jpg": picture(3)}
    # Which of two recordings is a picture's? The first: the other one is left out. Alone, each is a row.
    files |= {"a.flac": recording(4, "FLAC"), "d.wav": recording(5), "d.flac": recording(5, "FLAC")}
    for name, data in files.items():
        (folder / name).write_bytes(data)
    rows = {row.key.id: row for row in read_all(source_of(tmp_path))}
    assert list(rows) == ["owl/a.png", "owl/b.wav", "owl/c.jpg", "owl/d.flac", "owl/d.wav"]
    together = rows["owl/a.png"]
    assert (together.image, together.audio, together.text) == (picture(1), recording(4, "FLAC"), "one")
    assert (rows["owl/b.wav"].image, rows["owl/b.wav"].audio) == (None, recording(2))
    assert source_of(tmp_path).facts().parts == ("image", "text", "audio", "label")
    assert source_of(tmp_path).facts().left_out == {"files that are no picture or recording of a label": 1}
    (folder / "a.flac").unlink()
    (folder / "a.wav").unlink()
    assert read_all(source_of(tmp_path))[0].audio is None


def test_hidden_files_are_passed_over_and_others_counted(pictures: Path) -> None:
    (pictures / ".DS_Store").write_bytes(b"x")
    (pictures / "cat" / ".hidden.png").write_bytes(b"x")
    (pictures / ".git").mkdir()
    (pictures / ".git" / "a.png").write_bytes(b"x")
    (pictures / "cat" / "notes.pdf").write_bytes(b"x")
    (pictures / "README.txt").write_bytes(b"x")
    facts = source_of(pictures).facts()
    assert facts.left_out == {"files that are no picture or recording of a label": 2}
    assert len(read_all(source_of(pictures))) == 12


@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_link_that_leads_out_is_refused(pictures: Path, tmp_path: Path, what: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.png").write_bytes(b"secret")
    (pictures / "cat" / "link.png").symlink_to(outside / "secret.png" if what == "file" else outside)
    with pytest.raises(DataRefusedError, match=r"a link leads out of its folder[\s\S]*link.png -> .*outside"):
        source_of(pictures).plan(4)


def test_a_link_inside_the_folder_is_followed(pictures: Path) -> None:
    (pictures / "cat" / "again.png").symlink_to(pictures / "dog" / "00.png")
    rows = {row.key.id: row for row in read_all(source_of(pictures))}
    assert rows["cat/again.png"].image == rows["dog/00.png"].image


def test_what_cannot_be_read_is_a_problem_of_its_row(pictures: Path) -> None:
    (pictures / "dog" / "00.txt").write_bytes(b"\xff\xfe\xfa")
    source = source_of(pictures)
    keys = source.plan(4).keys
    (pictures / "cat" / "01.png").unlink()
    problems = {row.key.id: row.problem for row in source.read(keys) if row.problem}
    assert set(problems) == {"dog/00.png", "cat/01.png"}
    assert problems["dog/00.png"].reason == "the text is not UTF-8"
    assert "cannot be read" in problems["cat/01.png"].reason


def test_fingerprint_follows_the_files(pictures: Path) -> None:
    before = source_of(pictures).fingerprint()
    assert before == source_of(pictures).fingerprint()
    (pictures / "cat" / "01.png").write_bytes(b"changed")
    assert before != source_of(pictures).fingerprint()


def test_a_missing_and_an_empty_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(JobFileError, match="does not exist"):
        source_of(tmp_path / "nowhere").plan(4)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataRefusedError, match="holds neither pictures nor recordings"):
        source_of(tmp_path / "empty").plan(4)
