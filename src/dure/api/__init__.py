"""The screens for machines: JSON under ``/api/v1``, and tokens.

Knows paths, schemas, tokens, paging and the event stream. Must never know tables, drivers or
arithmetic: it speaks to services only.
"""
