"""The image, built on this machine from its packages."""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from image import build, debian, wheels

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def archive(operator_image: Path) -> Iterator[tarfile.TarFile]:
    with tarfile.open(operator_image) as tar:
        yield tar


def content(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    assert file is not None
    return file.read()


def manifest(archive: tarfile.TarFile) -> dict[str, Any]:
    (one,) = json.loads(content(archive, "manifest.json"))
    return dict(one)


def files(archive: tarfile.TarFile) -> set[str]:
    found = set()
    for layer in manifest(archive)["Layers"]:
        with tarfile.open(fileobj=archive.extractfile(layer)) as tar:
            found |= set(tar.getnames())
    return found


def test_the_same_packages_and_sources_give_the_same_bytes(
    archive: tarfile.TarFile, packages: list[debian.Package]
) -> None:
    below = build.make_below(packages)
    again = build.image(below, wheels.ours()).tree.layer()
    digests = [hashlib.sha256(layer).hexdigest() for layer in (below, again)]
    assert [f"{digest}/layer.tar" for digest in digests] == manifest(archive)["Layers"]


def test_it_has_no_shell_no_package_manager_and_no_client_library(
    archive: tarfile.TarFile,
) -> None:
    there = files(archive)
    programs = {name for name in there if name.startswith("usr/bin/")}
    assert programs == {"usr/bin/python3", "usr/bin/python3.11"}
    site = wheels.SITE.lstrip("/")
    assert f"{site}/taskmill/app.py" in there
    assert not any(f"{site}/{name}" in there for name in ("kubernetes", "pip", "pytest", "rich"))


def test_all_of_it_is_compiled(archive: tarfile.TarFile) -> None:
    there = files(archive)
    folder = f"{wheels.SITE.lstrip('/')}/taskmill"
    ours = {name for name in there if name.startswith(folder) and name.endswith(".py")}
    compiled = {name for name in there if name.startswith(folder) and name.endswith(".pyc")}
    assert len(ours) == len(compiled) > 50


def test_a_build_of_what_is_built_does_nothing(
    operator_image: Path, packages: list[debian.Package]
) -> None:
    before = operator_image.stat().st_mtime_ns
    assert build.build(packages) == operator_image
    assert operator_image.stat().st_mtime_ns == before


def test_a_version_that_is_not_offered_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(debian.SupersededError, match=r"offer zlib1g 1:0 any more; `make image"):
        debian.fetch([debian.Package("zlib1g", "1:0", "")], tmp_path)
