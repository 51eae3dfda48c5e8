"""What the repository as a whole must be: free of addresses and of the machine it was made on."""

import re

from tests.architecture.source_tree import files, pyproject, text

# Written in pieces, so that this file does not name them either.
REGISTRY_HOSTS = (
    r"pypi\." + "org",
    r"python" + r"hosted\.org",
    r"npmjs\." + "(?:org|com)",
    r"(?:deb|security|snapshot)\.debian\." + "org",
    r"(?:static\.|index\.)?crates\." + "io",
)
MACHINE_PATHS = tuple(f"/{top}/" for top in ("work", "root"))


def lines_with(pattern: str) -> list[str]:
    found = re.compile(pattern)
    return [
        f"{name}:{number}: {line.strip()[:80]}"
        for name in files()
        for number, line in enumerate(text(name).splitlines(), start=1)
        if found.search(line)
    ]


def test_no_file_names_a_package_registry() -> None:
    assert lines_with("(?i)" + "|".join(REGISTRY_HOSTS)) == []


def test_no_file_names_a_path_of_the_machine_it_was_made_on() -> None:
    # Not preceded by a path: /api/v1/work/ would be one of ours.
    assert lines_with(r"(?<![\w.}>-])(?:" + "|".join(map(re.escape, MACHINE_PATHS)) + ")") == []


def test_requirements_pin_every_package_by_hash_and_name_no_address() -> None:
    for name in ("requirements.txt", "requirements-dev.txt"):
        entries = re.split(r"\n(?=\S)", text(name).strip())
        loose = [entry for entry in entries if not re.match(r"[\w.-]+==\S+.*--hash=", entry, re.S)]

        assert loose == []
        assert "://" not in text(name)


def test_requirements_hold_every_direct_dependency() -> None:
    project = pyproject()["project"]
    extras = project["optional-dependencies"]
    wanted = {
        "requirements.txt": project["dependencies"] + extras["build"],
        "requirements-dev.txt": project["dependencies"] + extras["build"] + extras["dev"],
    }
    missing = [
        f"{file}: {name}"
        for file, dependencies in wanted.items()
        for name in (re.split(r"[^\w.-]", one)[0].lower() for one in dependencies)
        if not re.search(rf"^{re.escape(name)}==", text(file), re.M)
    ]

    assert missing == []
