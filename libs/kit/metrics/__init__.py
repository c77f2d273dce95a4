"""What our processes count: declared in tables, from which the page of metrics is written, too.

`measure` is one line of such a table; `parts` has those of the plumbing that services share, `readings` those that are
looked up when somebody asks. A service has its own table in its `metrics.py`.
"""
