"""The backend ``slurm``: jobs as held, pinned, released batch jobs of a Slurm site.

Knows Slurm's commands and what its daemons say. Must never know quotas, allocations, the ledger.
"""
