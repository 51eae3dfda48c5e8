"""The arithmetic of the pool: equal in, equal out.

Knows units, words, devices and topology as columns, demand, reviews, awards, quotas, placement,
lending, faults, energy, events, state, plans and what must always hold. Must never know files,
clocks, chance of its own (a seeded generator may come as an argument), people's names, sentences,
backends, or that a twin exists.
"""
