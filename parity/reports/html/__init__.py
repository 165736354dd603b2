"""`report.html`: the whole report as one page that needs nothing else, for people who were not there.

`page` renders it. What it shows comes from `cards` (why outputs fail), `tables` and `plots`, which take their
words and figures from where the other reports have theirs. The page is in `templates/`.
"""

from .page import render

__all__ = ["render"]
