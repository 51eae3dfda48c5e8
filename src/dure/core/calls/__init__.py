"""A call's rules: what it says (``model``), whether it can be kept (``rules``), who is asked what
(``form``, ``eligibility``), where an application stands (``stages``), what it costs (``charges``).
"""
