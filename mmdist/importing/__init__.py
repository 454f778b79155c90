"""Importing: any source into Parquet shards with an index and a card."""

from mmdist.importing.importer import ImportProgress, ImportResult, is_imported, run_import

__all__ = ["ImportProgress", "ImportResult", "is_imported", "run_import"]
