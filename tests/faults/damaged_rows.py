"""The corruption matrix of rows: every kind of bad or unusual value, with the outcome that is stated for it.

docs/how-to/data.md says the same in words.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pictures import SIDE, jpeg, pixels
from recordings import encoded, tone
from test_audio import BAD as BAD_RECORDINGS
from test_audio import DECODED as RECORDINGS
from test_audio import SPEC as AUDIO
from test_decode import BAD as BAD_PICTURES
from test_decode import DECODED

from mmdist.data.audio import log_mel

LABELS = ("cat", "dog")
GROUP_ROWS = 7
TEN_MB = "word " * 2_097_152
GOOD: dict[str, Any] = {"image": jpeg(), "text": "a red cat", "audio": encoded(), "label": "cat"}
SOUND = log_mel(tone().astype(np.float32), AUDIO)
SILENCE = np.zeros(AUDIO.shape, np.float32)
"""What stands where there is no recording."""
UTF8 = "not valid UTF-8"


@dataclass(frozen=True)
class Case:
    """One row: what differs from a good one, and what must come of it. It is used where no reason is given."""

    name: str
    changes: dict[str, Any]
    column: str = ""
    reason: str | None = None
    """Regular expression."""
    pixels: Any = field(default=None, compare=False)
    sound: Any = field(default=None, compare=False)
    """The spectrogram; None where it is not looked at."""
    tolerance: int = 4
    at: dict[str, str | None] = field(default_factory=dict)
    """Reasons at paths where the outcome is another one; None: used."""

    def reason_at(self, path: str) -> str | None:
        """The reason that the path must give; None where the row is used."""
        return self.at.get(path, self.reason)


def _pictures() -> list[Case]:
    used = [
        Case(f"picture: {name}", {"image": data}, pixels=expected, tolerance=tolerance)
        for name, (data, expected, tolerance) in DECODED.items()
    ]
    bad = [Case(f"picture: {name}", {"image": data}, "image", reason) for name, (data, reason) in BAD_PICTURES.items()]
    return [*used, *bad]


def _texts() -> list[Case]:
    used = {
        "null": None,
        "empty": "",
        "blank": " \n\t\u3000",
        "NUL": "a\0cat\0",
        "NUL alone": "\0",
        "10 MB": TEN_MB,
        "10 MB without a blank": "x" * 10_485_760,
        "bidirectional": "\u202eabc\u202c \u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627",
        "astral": "cat \U0001f408 \U00020000 \U0001f468\u200d\U0001f469\u200d\U0001f467",
        "combining": "e\u0301\u0327" + "\u0301" * 500,
        "control characters": "\x01\x02\x1b[31mred\x7f",
        "noncharacters": "\ufffe \U0010ffff",
        "byte order mark": "\ufeffa cat",
        "markup": "<script>alert(1)</script> [PAD] [UNK]",
    }
    bad = {"Latin-1": b"caf\xe9", "cut in a character": "caf\u00e9".encode()[:-1], "lone surrogate": b"\xed\xa0\x80"}
    bad["overlong NUL"] = b"\xc0\x80"
    return [
        *(Case(f"text: {name}", {"text": text}, pixels=pixels()) for name, text in used.items()),
        *(Case(f"text: {name}", {"text": data}, "text", UTF8) for name, data in bad.items()),
    ]


def _recordings() -> list[Case]:
    return [
        *(Case(f"recording: {name}", {"audio": data}, sound=SOUND) for name, data in RECORDINGS.items()),
        *(
            Case(f"recording: {name}", {"audio": data}, "audio", reason)
            for name, (data, reason) in BAD_RECORDINGS.items()
        ),
        Case("recording: null", {"audio": None}, pixels=pixels(), sound=SILENCE),
        Case("recording alone", {"image": None, "text": None}, sound=SOUND),
        # Of two bad parts, the same one is named on all paths.
        Case("recording and picture: empty", {"audio": b"", "image": b""}, "audio", "empty: 0 bytes"),
    ]


BLACK = np.zeros((SIDE, SIDE, 3), np.uint8)
NOTHING = "no picture .* no text .* no recording|no image and no text and no audio"
ABSENT = {"image": None, "audio": None}
OTHERS = [
    Case("no picture", {"image": None}, pixels=BLACK, tolerance=0, sound=SOUND),
    Case("text alone", ABSENT, pixels=BLACK, tolerance=0, sound=SILENCE),
    Case("picture alone", {"text": None, "audio": None}, pixels=pixels(), sound=SILENCE),
    Case("nothing", {**ABSENT, "text": None}, "", NOTHING),
    Case("a blank text alone", {**ABSENT, "text": " \u00a0\n"}, "", NOTHING),
    Case("no picture and a text that is no UTF-8", {"image": None, "text": b"\xff"}, "text", UTF8),
    # A predict job reads no labels; an import learns them, so that none is unknown to it.
    Case("label: null", {"label": None}, "label", "no label", at={"predict": None}),
    Case("label: unknown", {"label": "bird"}, "label", "unknown label 'bird'", at={"predict": None, "import": None}),
    Case("label: nan", {"label": "nan"}, "label", "unknown label 'nan'", at={"predict": None, "import": None}),
    Case("label: empty", {"label": ""}, "label", "no label", at={"predict": None}),
    Case("label: no UTF-8", {"label": b"c\xe4t"}, "label", UTF8, at={"predict": None}),
    # An id decides on a row's split, so an import needs one for each row.
    Case("id: null", {"id": None}, "id", at={"import": "the row has no id"}),
    Case("id: as the row before", {"id": "id: null before"}, "id", at={"import": "a row before has the same id"}),
    Case("id: no UTF-8", {"id": b"\xff\xfe"}, "id", UTF8),
    Case("id: NUL", {"id": "a\0b"}, pixels=pixels()),
    Case("id: 1 MB", {"id": "i" * 1_048_576}, pixels=pixels()),
]

CASES = {case.name: case for case in [*_pictures(), *_texts(), *_recordings(), *OTHERS]}
ROWS = 2 * len(CASES)


def row_of(name: str) -> int:
    """The number of a case's row. Every other row is a good one: the cases' neighbours."""
    return 2 * list(CASES).index(name) + 1


def rows() -> list[dict[str, Any]]:
    """A good row before each case's."""
    found: list[dict[str, Any]] = []
    for case in CASES.values():
        found += [{"id": f"{case.name} before", **GOOD}, {"id": case.name, **GOOD, **case.changes}]
    return found


def table(records: list[dict[str, Any]]) -> pa.Table:
    """Strings as bytes say, valid or not: Arrow does not look."""
    columns: dict[str, Any] = {}
    for name in ("id", "image", "text", "label", "audio"):
        values = [record[name] for record in records]
        raw = [value.encode() if isinstance(value, str) else value for value in values]
        stored = pa.array(raw, pa.binary())
        columns[name] = stored if name in ("image", "audio") else stored.view(pa.string())
    return pa.table(columns)


def write_shard(path: Path, records: list[dict[str, Any]] | None = None) -> Path:
    """A shard of the cases, made by hand: with checksums, without an index."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table(records or rows()), path, row_group_size=GROUP_ROWS, write_page_checksum=True)
    return path
