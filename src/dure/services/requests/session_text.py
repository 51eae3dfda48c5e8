"""An interactive session as the text of a job, for screens that ask for one in a few words."""

import json


def session_text(
    kind: str,
    *,
    gpus: int,
    time: str,
    accelerator: str = "",
    preemptible: bool = False,
    image: str = "",
) -> str:
    """Return a job in YAML (JSON is YAML); whatever is wrong with a word is found when it is read.

    Args:
        time: how long it lasts at most, ``4h``.
        preemptible: it may run on lent GPUs, and be called away from them.
    """
    words: dict[str, object] = {
        "interactive": kind,
        "gpus": gpus,
        "estimate": time,
        "preemptible": preemptible,
    }
    told = {"accelerator": accelerator, "image": image}
    return json.dumps(
        {"name": kind, "dure": words | {name: word for name, word in told.items() if word}}
    )
