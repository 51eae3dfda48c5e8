"""The door of interactive sessions: who comes in, and what passes between a browser and a job.

It listens beside the portal and speaks for other origins: what lies behind it is people's own code.
"""
