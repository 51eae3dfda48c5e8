"""Rows to documents, and the words of every screen.

Knows tables, charts, letters, PDF, XLSX and CSV, and the message catalogues (Korean and English)
that every screen uses. Must never know where rows come from or today's date: both are arguments.
"""
