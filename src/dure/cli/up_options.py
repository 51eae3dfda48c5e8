"""The options of ``dure up``."""

from pathlib import Path
from typing import Annotated

import typer

PortOption = Annotated[int, typer.Option(min=1, max=65_535, metavar="PORT", help="Where to serve.")]
ScenarioOption = Annotated[
    str,
    typer.Option(
        metavar="NAME", help="founding (an imagined nation beside this machine) or empty."
    ),
]
SpeedOption = Annotated[
    int,
    typer.Option(metavar="N", help="Seconds of the imagined pool in one of ours; 0 stands still."),
]
SlotsOption = Annotated[
    int | None, typer.Option(metavar="N", help="Count so many slots here, not GPUs or CPUs.")
]
BackendOption = Annotated[
    str,
    typer.Option(
        metavar="NAME", help="What runs the pool here: local (this machine), slurm or agents."
    ),
]
AllocateOption = Annotated[
    list[str] | None,
    typer.Option(metavar="PROJECT=SLOTS", help="A project's part of this machine; repeatable."),
]
QuotaOption = Annotated[str, typer.Option(metavar="SIZE", help="What a project's files may take.")]
RoleOption = Annotated[
    str,
    typer.Option(
        metavar="ROLE", help="all; portal or engine, beside others on the same --db; or agent."
    ),
]
MeterOption = Annotated[
    str,
    typer.Option(
        metavar="METER", help="built-in, or the address of a Prometheus with DCGM's names."
    ),
]
HostOption = Annotated[
    str, typer.Option(metavar="ADDRESS", help="Where to listen; beyond loopback with TLS only.")
]
CertificateOption = Annotated[
    Path | None, typer.Option("--certificate", metavar="FILE", help="Serve HTTPS with it (PEM).")
]
CertificateKeyOption = Annotated[
    Path | None, typer.Option("--certificate-key", metavar="FILE", help="Its key (PEM).")
]
ReachOption = Annotated[
    int, typer.Option(min=1, metavar="S", help="A site silent for so long is closed.")
]
ServerOption = Annotated[
    list[str] | None,
    typer.Option(
        "--server", metavar="URL", help="Of an agent: the centre; repeat it for engines on standby."
    ),
]
SiteOption = Annotated[
    str, typer.Option("--site", metavar="NAME", help="Of an agent: the site as enrolled.")
]
KeyFileOption = Annotated[
    Path | None, typer.Option("--key-file", metavar="FILE", help="Of an agent: the site's key.")
]
CaFileOption = Annotated[
    Path | None,
    typer.Option("--ca-file", metavar="FILE", help="Of an agent: certificates that count (PEM)."),
]
SmtpOption = Annotated[
    str, typer.Option(metavar="URL", help="A mail server: smtp+starttls://user@host:587.")
]
SmtpPasswordFileOption = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Holds the password of its user.")
]
MailFromOption = Annotated[str, typer.Option(metavar="ADDRESS", help="Where mail comes from.")]
SessionsPortOption = Annotated[
    int,
    typer.Option(
        min=0,
        max=65_535,
        metavar="PORT",
        help="Where to let people into sessions; 0: after --port.",
    ),
]
SessionsUrlOption = Annotated[
    str, typer.Option(metavar="URL", help="Where people reach sessions: https://*.example.kr.")
]
PublicUrlOption = Annotated[
    str, typer.Option(metavar="URL", help="Where people reach the pages, for links in mail.")
]
