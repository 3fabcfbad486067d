"""Stopping a run so that it can go on, and going on with it."""
