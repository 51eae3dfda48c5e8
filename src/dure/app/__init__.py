"""The assembly: the only room that knows every concrete ledger, driver, clock and mail.

Knows settings, every concrete class and the order in which they start;
``assemble(settings, **ports)`` gives the services. Must never know a decision or a screen.
"""
