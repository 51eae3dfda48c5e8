"""The hands of the pool, one thing each.

Knows how one backend starts, stops, drains, cleans and observes (local, Slurm, Kubernetes,
imagined), how meters are read, and clocks, mail and files. Must never know quotas, allocations,
the ledger or another driver: a plan leaves no choice to whoever carries it out.
"""
