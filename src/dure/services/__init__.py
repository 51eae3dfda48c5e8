"""The use cases: read, decide, write, carry out; and who may.

Knows the steps of each use case and, in ``ports.py``, what it needs from outside: Clock, Chance,
Ledger, Driver, Post, Files, Meter, Forecast. Must never know SQL, HTTP, Slurm or an ``if`` about
policy: a rule belongs in the core. Ledgers and drivers are strangers; ``app`` introduces them.
"""
