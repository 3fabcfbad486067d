"""The JSON Schema of a config, for editors."""

from lighter.schema.document import json_schema, text

__all__ = ["json_schema", "text"]
