"""Lightning callbacks that configs name: freeze parameters, write predictions."""

from lighter.callbacks.file_writer import FileWriter
from lighter.callbacks.freezer import Freezer
from lighter.callbacks.table_writer import TableWriter

__all__ = ["FileWriter", "Freezer", "TableWriter"]
