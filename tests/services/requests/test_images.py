"""Names of images: what registries take is taken, nothing else reaches a command."""

import pytest

from dure.core.errors import InputError
from dure.services.requests import parse_job_yaml
from dure.services.requests.images import image_name

# The first ones stand in the tests of the reference grammar itself (distribution/reference).
GOOD = [
    "test_com", "test.com:tag", "test.com:5000", "test.com/repo:tag", "test:5000/repo",
    "test:5000/repo:tag", "test:5000/repo:tag@sha256:" + "f" * 64, "lowercase:Uppercase",
    "foo/foo_bar.com:8080", "xn--n3h.com/myimage:xn--n3h.com", "foo_bar.com:8080",
    "[2001:db8::1]:5000/repo:tag", "b.gcr.io/test.example.com/my-app", "aa/asdf$$^/aa"[:2],
    "nvcr.io/nvidia/pytorch:24.05-py3", "ubuntu", "a--b/c__d",
]  # fmt: skip
BAD = [
    "", ":justtag", "@sha256:" + "f" * 64, "repo@sha256:" + "f" * 31, "Uppercase:tag", "a" * 256,
    "aa/asdf$$^/aa", "-flag", "--bind=/", "a b", "a;b", "a\nb", "$(id)", "../x", "a//b", "a:b:c:d",
    "https://x/y", "a/-b", "가", "a@", "x:" + "t" * 129,
]  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("prefix", ["", "docker:", "docker://"])
def test_what_a_registry_takes_is_taken(name: str, prefix: str) -> None:
    assert image_name(prefix + name, "image") == name


@pytest.mark.parametrize("name", BAD)
def test_anything_else_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=r"expected an image such as docker:"):
        image_name(f"docker:{name}", "image")


def test_skypilots_field_and_ours_are_read_and_a_clouds_image_is_kept() -> None:
    theirs = parse_job_yaml("resources: {image_id: docker:ubuntu:22.04}\nrun: x", "j")
    ours = parse_job_yaml("dure: {image: ghcr.io/a/b}\nrun: x", "j")
    cloud = parse_job_yaml("resources: {image_id: ami-0b1}\nrun: x", "j")
    regions = parse_job_yaml("resources: {image_id: {us: ami-0b1}}\nrun: x", "j")

    assert (theirs.image, theirs.recipe().image) == ("ubuntu:22.04", "ubuntu:22.04")
    assert ours.image == "ghcr.io/a/b"
    for one in (cloud, regions):
        assert one.image == "" and [note.text for note in one.notes] == ["resources.image_id"]


def test_a_workdir_is_read_and_a_repository_is_kept() -> None:
    folder = parse_job_yaml("workdir: ~/code\nrun: x", "j")
    repository = parse_job_yaml("workdir: {url: https://x/y.git, ref: main}\nrun: x", "j")

    assert (folder.workdir, folder.notes) == ("~/code", ())
    assert repository.workdir == "" and [one.text for one in repository.notes] == ["workdir"]
