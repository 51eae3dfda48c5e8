"""The memory of the pool: events in order.

Knows order, transactions, ``expect``, codec versions and rebuildable projections, in memory, in
SQLite or in PostgreSQL. Must never know any rule of the pool; services and drivers are strangers.
"""
