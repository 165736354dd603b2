"""Report -> text. Every reporter is a pure function of the report; `parity.registry` names them.

`results` the source of all others, `junit` for CI servers, `markdown` for pull requests, `console` for
people. They share `selection` (what to show, worst first), `verdict` (the one line and the exit status),
`wording` and `figures` (how records and numbers read) and `escaping` (hostile names).
"""
