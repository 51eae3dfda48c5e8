"""The command line: arguments in, text out.

Knows arguments and printing, and starts what a role asks for (portal, engine, agent); it hands the
twin to ``assemble`` as Forecast. Must never know everything else: no rule, no table, no page.
"""
