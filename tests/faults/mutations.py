"""The guards against bad data, each with the change that takes it away and the test that must fail then.

    python tests/faults/mutations.py

runs every named test as the code is, then each again without its guard, and prints one line of JSON per guard.
"""

import contextlib
import io
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import FunctionType
from typing import Any

import numpy as np
import pytest

TESTS = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Mutation:
    """A guard, how it is taken away, and the test that holds it."""

    guard: str
    test: str
    remove: Callable[[pytest.MonkeyPatch], None]


def gut(patch: pytest.MonkeyPatch, function: Any, body: Any) -> None:
    """Gives a function another body, wherever it was imported to."""
    assert isinstance(function, FunctionType)
    patch.setattr(function, "__code__", body.__code__)


def page_checksums(patch: pytest.MonkeyPatch) -> None:
    import pyarrow.parquet as pq

    whole = pq.ParquetFile
    patch.setattr(pq, "ParquetFile", lambda file, **keys: whole(file, metadata=keys.get("metadata")))


def extensions_in_the_footer(patch: pytest.MonkeyPatch) -> None:
    from mmdist.data import schema_guard

    gut(patch, schema_guard._refuse_extensions, lambda footer, place: None)


def extensions_in_the_schema(patch: pytest.MonkeyPatch) -> None:
    from mmdist.data import schema_guard

    gut(patch, schema_guard._find_extension, lambda field: None)


def pixel_cap(patch: pytest.MonkeyPatch) -> None:
    from mmdist.data import decode

    whole = decode.read_header
    patch.setattr(decode, "read_header", lambda data: replace(whole(data), width=1, height=1))


def format_allowlist(patch: pytest.MonkeyPatch) -> None:
    from PIL import Image

    from mmdist.data import decode
    from mmdist.data.image_header import BadImage, ImageHeader

    whole = decode.read_header

    def careless(data: Any) -> ImageHeader:
        try:
            return whole(data)
        except BadImage:
            with Image.open(io.BytesIO(data)) as picture:
                return ImageHeader(picture.format, *picture.size)  # type: ignore[arg-type]

    patch.setattr(decode, "read_header", careless)


def samples_cap(patch: pytest.MonkeyPatch) -> None:
    from mmdist.data import recording

    whole = recording._header_of
    patch.setattr(recording, "_header_of", lambda file, kind, max_samples: whole(file, kind, 2**62))


def formats_and_length_of_recordings(patch: pytest.MonkeyPatch) -> None:
    from mmdist.data import recording

    gut(patch, recording._kind_and_end, lambda data: ("WAV", memoryview(data).nbytes))


def finite_samples(patch: pytest.MonkeyPatch) -> None:
    from mmdist.data import recording

    def careless(data: Any, *, max_samples: int) -> Any:
        with _opened(data, max_samples) as (file, header):  # type: ignore[name-defined] # noqa: F821
            return header, file.read(frames=header.frames, dtype="float32", always_2d=True)

    gut(patch, recording.read_audio, careless)


def judging_of_recordings(patch: pytest.MonkeyPatch) -> None:
    from mmdist.importing import judging

    patch.setattr(judging, "read_audio", lambda data, *, max_samples: None)


def content_ledger(patch: pytest.MonkeyPatch) -> None:
    from mmdist.data.ledger import EpochLedger

    gut(patch, EpochLedger.check, lambda self, index, *, recorded=None, where="": None)


def row_count_of_the_ledger(patch: pytest.MonkeyPatch) -> None:
    from mmdist.data.ledger import EpochLedger

    gut(patch, EpochLedger._check_rows, lambda self, expected, where: None)


def mask_of_bad_rows(patch: pytest.MonkeyPatch) -> None:
    from mmdist.data import collate

    whole = collate.Batch
    patch.setattr(collate, "Batch", lambda **keys: whole(**{**keys, "mask": (keys["row"] >= 0).astype(np.float32)}))


def budget(patch: pytest.MonkeyPatch) -> None:
    from mmdist.data.quarantine import BadRowBudget

    gut(patch, BadRowBudget.add, lambda self, rows: None)


def relative_paths(patch: pytest.MonkeyPatch) -> None:
    from mmdist.importing import files

    gut(patch, files.relative_path, lambda written, place: written)


def links(patch: pytest.MonkeyPatch) -> None:
    from mmdist.importing import files

    gut(patch, files.inside, lambda store, path, place: None)


def marker_of_the_card(patch: pytest.MonkeyPatch) -> None:
    from mmdist.data import card

    gut(patch, card.read_card, lambda url: json.loads(open_store(f"{url}/..").read_bytes(CARD_FILE)))  # type: ignore[name-defined] # noqa: F821


def split_of_the_card(patch: pytest.MonkeyPatch) -> None:
    from mmdist.data import card

    gut(patch, card.check_split, lambda store, card, fingerprint: None)


def fingerprint(patch: pytest.MonkeyPatch) -> None:
    from mmdist.data import ledger

    gut(patch, ledger.check_fingerprint, lambda where, *, expected, received: None)


def label_that_is_null(patch: pytest.MonkeyPatch) -> None:
    from mmdist.data import labels

    whole = labels.name_values

    def careless(column: Any) -> Any:
        values, reasons = whole(column)
        return ["a" if value is None else value for value in values], reasons

    patch.setattr(labels, "name_values", careless)


def judging_of_an_import(patch: pytest.MonkeyPatch) -> None:
    from mmdist.importing import judging

    gut(patch, judging.judge, lambda row, *, parts, max_pixels, max_samples: row.problem)


def unfinished_import(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("mmdist.data.dataset.WRITER_FILE", "no such file")


def footer_of_the_import(patch: pytest.MonkeyPatch) -> None:
    from mmdist.data import dataset

    whole = dataset.read_index

    def careless(split: Any) -> Any:
        index, stated = whole(split)
        return replace(index, footer_sums=None), stated

    patch.setattr(dataset, "read_index", careless)


def footer_of_an_open_dataset(patch: pytest.MonkeyPatch) -> None:
    from mmdist.data import readers

    whole = readers.open_parquet
    patch.setattr(readers, "open_parquet", lambda store, path, *, expected_sum: whole(store, path))


def fingerprint_of_the_index(patch: pytest.MonkeyPatch) -> None:
    from mmdist.data.index import RowGroupIndex

    gut(patch, RowGroupIndex.fingerprint, lambda self, schema: "always the same")


def one_schema(patch: pytest.MonkeyPatch) -> None:
    from mmdist.data import dataset

    gut(patch, dataset._common_schema, lambda store, footers: footers[0].schema.remove_metadata())


def row_counts_of_the_footer(patch: pytest.MonkeyPatch) -> None:
    from mmdist.data import schema_guard

    gut(patch, schema_guard._check_row_counts, lambda metadata, place: None)


def places_of_the_footer(patch: pytest.MonkeyPatch) -> None:
    from mmdist.data import footers

    gut(patch, footers._measure, lambda metadata, number, file_bytes, where: 0)


def names_of_shards(patch: pytest.MonkeyPatch) -> None:
    from mmdist.data import index

    gut(patch, index.is_shard_name, lambda name: True)


def utf8(patch: pytest.MonkeyPatch) -> None:
    from mmdist.data import values

    gut(patch, values.text_values, lambda column: (column.to_pylist(), {}))


def ids_of_an_import(patch: pytest.MonkeyPatch) -> None:
    from mmdist.importing.sources.table import TableSource

    gut(patch, TableSource._problem, lambda self, row: None)


def inputs_of_a_prediction(patch: pytest.MonkeyPatch) -> None:
    from mmdist.prediction.output import PredictionFolder

    gut(patch, PredictionFolder.claim, lambda self, inputs: True)


def committed_folders(patch: pytest.MonkeyPatch) -> None:
    from mmdist.storage import commit

    def careless(store: Any, folder: str) -> Any:
        target = store.child(folder)
        return {name: target.read_bytes(name) for name in json.loads(target.read_bytes(MANIFEST))["files"]}  # type: ignore[name-defined] # noqa: F821

    gut(patch, commit.read_committed, careless)


def links_to_nothing(patch: pytest.MonkeyPatch) -> None:
    from mmdist.data import dataset

    gut(patch, dataset._refuse_no_files, lambda store: None)


DATA, FAULTS = "unit/data", "faults"
SAYS_WHY = f"{DATA}/test_audio.py::test_what_cannot_be_used_says_why"
MUTATIONS = (
    Mutation(
        "checksums of pages", f"{DATA}/test_dataset.py::test_bit_flips_in_pages_are_never_used_silently", page_checksums
    ),
    Mutation(
        "extension types, before pyarrow sees the schema",
        f"{DATA}/test_schema_guard.py::test_extension_types_are_refused_before_pyarrow_builds_them",
        extensions_in_the_footer,
    ),
    Mutation(
        "extension types, in the schema",
        f"{DATA}/test_schema_guard.py::test_extension_types_that_nobody_registered_are_refused",
        extensions_in_the_schema,
    ),
    Mutation("pixel cap", f"{FAULTS}/test_safety.py::test_the_cap_holds_on_every_path", pixel_cap),
    Mutation("allowlist of formats", f"{DATA}/test_decode.py::test_refuses_with_the_reason[tiff]", format_allowlist),
    Mutation("cap of samples", f"{SAYS_WHY}[too long]", samples_cap),
    Mutation("allowlist of formats of recordings", f"{SAYS_WHY}[Ogg Vorbis]", formats_and_length_of_recordings),
    Mutation("bytes that a WAV claims", f"{SAYS_WHY}[WAV cut off]", formats_and_length_of_recordings),
    Mutation("samples that are numbers", f"{SAYS_WHY}[NaN]", finite_samples),
    Mutation(
        "judging of an import's recordings",
        "unit/importing/test_task.py::test_bad_recordings_are_set_aside_with_the_reasons_of_training",
        judging_of_recordings,
    ),
    Mutation(
        "content ledger",
        f"{FAULTS}/test_shards.py::test_content_altered_under_an_unchanged_layout_is_seen_by_the_ledger",
        content_ledger,
    ),
    Mutation("row count of the ledger", f"{DATA}/test_ledger.py::test_a_dropped_row_is_seen", row_count_of_the_ledger),
    Mutation(
        "mask of bad rows",
        f"{DATA}/test_collate.py::test_a_bad_row_is_masked_with_its_reason_and_takes_no_other_with_it",
        mask_of_bad_rows,
    ),
    Mutation(
        "budget of bad rows",
        f"{FAULTS}/test_rows.py::test_a_budget_bears_so_many_bad_rows_and_no_more[borne1-True-train]",
        budget,
    ),
    Mutation(
        "paths below the table's folder",
        f"{FAULTS}/test_safety.py::test_a_table_that_names_urls_is_refused_and_nothing_is_fetched",
        relative_paths,
    ),
    Mutation(
        "links below the table's folder",
        f"{FAULTS}/test_safety.py::test_a_table_whose_paths_lead_out_by_a_linked_folder_is_refused",
        links,
    ),
    Mutation(
        "marker of the card",
        f"{DATA}/test_dataset.py::test_the_card_is_read_where_it_is_committed",
        marker_of_the_card,
    ),
    Mutation(
        "split against its card",
        f"{DATA}/test_dataset.py::test_a_split_that_its_card_describes_otherwise_is_refused",
        split_of_the_card,
    ),
    Mutation(
        "fingerprint of the data that a run goes on with",
        f"{FAULTS}/test_shards.py::test_a_shard_replaced_between_attempts_is_refused[plain]",
        fingerprint,
    ),
    Mutation(
        "fingerprint of the data that a prediction's worker opens",
        f"{FAULTS}/test_shards.py::test_a_prediction_worker_refuses_other_data_than_its_driver_saw",
        fingerprint,
    ),
    Mutation(
        "null labels",
        f"{DATA}/test_collate.py::test_a_bad_row_is_masked_with_its_reason_and_takes_no_other_with_it[label null]",
        label_that_is_null,
    ),
    Mutation(
        "judging of an import's rows",
        "unit/importing/test_task.py::test_bad_rows_are_set_aside_with_their_reasons",
        judging_of_an_import,
    ),
    Mutation("unfinished imports", f"{DATA}/test_dataset.py::test_an_unfinished_import_is_refused", unfinished_import),
    Mutation(
        "footer against the import",
        f"{DATA}/test_dataset.py::test_a_footer_that_is_not_the_imported_one_is_refused",
        footer_of_the_import,
    ),
    Mutation(
        "footer against the open dataset",
        f"{DATA}/test_dataset.py::test_a_shard_replaced_while_it_is_open_is_refused",
        footer_of_an_open_dataset,
    ),
    Mutation(
        "fingerprint of the index",
        f"{DATA}/test_dataset.py::test_an_index_that_was_altered_is_refused",
        fingerprint_of_the_index,
    ),
    Mutation(
        "one schema for all shards",
        f"{FAULTS}/test_shards.py::test_shards_of_different_columns_are_refused",
        one_schema,
    ),
    Mutation(
        "a footer's row counts",
        f"{FAULTS}/test_shards.py::test_a_footer_that_disagrees_with_itself_is_refused",
        row_counts_of_the_footer,
    ),
    Mutation(
        "a footer's places in the file",
        f"{DATA}/test_dataset.py::test_a_footer_that_points_outside_the_file_is_refused",
        places_of_the_footer,
    ),
    Mutation(
        "names of shards in the index",
        f"{FAULTS}/test_safety.py::test_an_index_that_names_files_elsewhere_is_refused",
        names_of_shards,
    ),
    Mutation("texts that are no UTF-8", f"{DATA}/test_collate.py::test_an_id_that_is_no_utf8_is_bad", utf8),
    Mutation(
        "ids of an import",
        "unit/importing/test_table_source.py::test_bad_values_are_problems_of_their_rows",
        ids_of_an_import,
    ),
    Mutation(
        "inputs of a prediction that is taken up again",
        "unit/prediction/test_output.py::test_other_inputs_are_refused_by_name",
        inputs_of_a_prediction,
    ),
    Mutation(
        "content of committed folders", "unit/storage/test_commit.py::test_any_damage_is_noticed", committed_folders
    ),
    Mutation(
        "broken links among shards",
        f"{FAULTS}/test_safety.py::test_a_broken_link_or_a_pipe_beside_whole_shards_is_refused",
        links_to_nothing,
    ),
)


def run(tests: list[str]) -> int:
    """pytest's exit code: 0 all passed, 1 some failed, else something is wrong with the list."""
    said = io.StringIO()
    ids = [f"{TESTS}/{test}" for test in dict.fromkeys(tests)]
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = pytest.main(["-q", "-x", "-p", "no:cacheprovider", "-p", "no:randomly", *ids])
    if code not in (0, 1):
        sys.stderr.write(said.getvalue())
    return int(code)


def main() -> int:
    whole = run([mutation.test for mutation in MUTATIONS])
    sys.stdout.write(json.dumps({"guard": None, "test": "all of them", "exit_code": whole}) + "\n")
    for mutation in MUTATIONS:
        with pytest.MonkeyPatch.context() as patch:
            mutation.remove(patch)
            code = run([mutation.test])
        sys.stdout.write(json.dumps({"guard": mutation.guard, "test": mutation.test, "exit_code": code}) + "\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
