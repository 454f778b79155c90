"""Importing: any source into Parquet shards with an index and a card."""

from mmdist.importing.checking import check_import
from mmdist.importing.importer import ImportProgress, ImportResult, is_imported, run_import

__all__ = ["ImportProgress", "ImportResult", "check_import", "is_imported", "run_import"]
