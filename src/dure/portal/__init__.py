"""The screens for people: pages and forms, Korean first.

Knows pages, forms, sessions and how to show what the services answer; each form works without
JavaScript. Must never know tables, drivers or arithmetic: it speaks to services only.
"""
