"""Send one batch of each mode through the parts of a config, and show what each of them received and made."""

from lighter.trace.table import make_console, show_head, show_ways
from lighter.trace.tracer import Tracer

__all__ = ["Tracer", "make_console", "show_head", "show_ways"]
