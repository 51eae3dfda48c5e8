"""The backend ``agents``: sites whose agents pull their orders and push what became of them.

Nothing here calls a site. What is kept lies in ``ROOT/sites/SITE``.
"""
