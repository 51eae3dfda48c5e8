"""``dure twin exporter``: imagined GPUs in the DCGM exporter's words, for Prometheus to scrape."""

from typing import Annotated

import typer

from dure.cli.twin import twin


def register(_app: typer.Typer) -> None:
    """Add the command to the group ``twin``, which is registered before."""
    twin.command("exporter")(exporter)


def exporter(
    nodes: Annotated[int, typer.Option("--nodes", min=1, max=10_000, help="How many.")] = 4,
    gpus: Annotated[int, typer.Option("--gpus", min=1, max=64, help="Of each node.")] = 8,
    port: Annotated[int, typer.Option("--port", min=0, max=65_535, help="Where to serve.")] = 9400,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of their utilisation.")] = 1,
) -> None:
    """Serve imagined GPUs on this machine until it is stopped."""
    from threading import Event

    from dure.twin.exporter import Exporter, ImaginedGpus

    names = [f"node-{place:04}" for place in range(1, nodes + 1)]
    server = Exporter(ImaginedGpus(names, gpus=gpus, seed=seed), port=port)
    server.start()
    typer.echo(f"http://127.0.0.1:{server.port}/metrics")
    try:
        Event().wait()
    except KeyboardInterrupt:
        server.close()
