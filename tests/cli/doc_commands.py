"""Commands as docs/operate.md has them typed, for tests that type them."""

import re
from pathlib import Path

OPERATE = Path(__file__).resolve().parents[2] / "docs" / "operate.md"


def typed(section: str = "") -> list[str]:
    """Return the indented lines of a section (of all, if none is named), comments left out.

    A line that ends in a backslash goes on in the next; a synopsis, in which brackets stand for
    choices, is one too: its lines but the first are indented further.
    """
    text = OPERATE.read_text()
    if section:
        text = re.split(rf"^## {re.escape(section)}$", text, flags=re.MULTILINE)[1]
        text = re.split(r"^## ", text, flags=re.MULTILINE)[0]
    text = re.sub(r" *\\\n +", " ", text)
    found = re.findall(r"^    (\S.*(?:\n     +.*)*)$", text, flags=re.MULTILINE)
    return [re.sub(r"\s+# .*", "", line).strip() for line in found]
