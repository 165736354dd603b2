"""`report.html`: the whole report as one page that needs nothing else, for people who were not there.

`page` renders it. What it shows comes from `cards` (why outputs fail), `loops`, `costs`, `tables`,
`run_tables` and `plots`, with words and figures from where the other reports have theirs. The page itself is
in `templates/`.
"""

from .page import render

__all__ = ["render"]
