"""What a workflow on GitHub sees of a report; the only reader of ``GITHUB_*``.

`receiving` the results, which are untrusted; `context` where this runs; `workflow_commands` and `annotations`
lines that the runner turns into marks in the diff; `outputs` and `files` outputs and summary of the step;
`history` and `comment` the text of the pull request's comment; `api` GitHub's REST interface; `sticky` one
comment that is kept up to date. Nothing in here changes a verdict.

Results come from a job that runs the pull request's own code: every text in them is escaped on its way out.
"""
