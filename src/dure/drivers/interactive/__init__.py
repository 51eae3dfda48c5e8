"""Interactive sessions: the programs that jobs run for them, and the way to where they listen."""
