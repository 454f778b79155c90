from pathlib import Path

from mmdist.spec.reference import job_reference

PAGE = Path(__file__).parents[3] / "docs/reference/job-file.md"


def test_page_is_up_to_date() -> None:
    assert PAGE.read_text() == job_reference(), "run: mmdist schema --markdown > docs/reference/job-file.md"


def test_every_kind_of_key_is_worded() -> None:
    page = job_reference()
    for row in (
        "| `epochs` | a whole number of at least 1 | `10` | Passes over the training split. |",
        "| `gpus_per_worker` | `auto` or a whole number of at least 0 | `auto` |",
        "| `share` | a number from 0 to 0.5 | `0.1` |",
        "| `name` | text | required |",
        "| `size` | a list of 2 values, each a whole number of at least 1 | `[64, 64]` |",
        "| `columns` | a mapping of text to text | `{}` |",
        "| `order` | a section with `type`: `lanes` or `global` | `{type: lanes}` |",
        "| `early_stopping` | a section | none |",
        "| `schedule` | a section with `type`: `cosine`, `step` or `plateau` | none |",
    ):
        assert row in page
