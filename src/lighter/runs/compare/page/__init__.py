"""The page of `lighter report`: one HTML file with everything in it, of use without a script too."""

from lighter.runs.compare.page.document import MARK, make_page

__all__ = ["MARK", "make_page"]
