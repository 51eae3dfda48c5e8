"""Other people's traces become our tables: what the source has, and nothing else.

A reader takes a source as it is published and returns its rows as ``Sifted``. A malformed row is
refused by file, row and column; a row that cannot be a job (no GPU, never started) is set aside and
counted. ``import_trace`` chooses the reader and writes what it read.
"""

from dure.twin.importers.imported import FORMATS, ImportSummary, import_trace, write_table

__all__ = ["FORMATS", "ImportSummary", "import_trace", "write_table"]
