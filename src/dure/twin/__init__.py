"""The digital twin: the same engine in virtual time.

Knows virtual time, imagined people and faults, traces and workload models; it replaces ports only,
through the same ``app.assemble``, and answers the services' Forecast port. Must never hold a second
scheduler: what the pool decides, the core decides.
"""
