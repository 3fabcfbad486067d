"""Runs read back: listed, compared, drawn. Nothing of it imports torch."""
