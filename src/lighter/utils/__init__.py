"""Helpers that configs name."""
