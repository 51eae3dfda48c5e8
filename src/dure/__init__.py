"""Dure (두레): runs a nation's GPU pool, and plans it with a twin that is the same engine."""

__version__ = "0.1.0"
