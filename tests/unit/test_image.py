"""The image's locks, and that both ways to make it agree."""

import json
import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from image import build, debian, wheels

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "operator" / "Dockerfile").read_text()


def pins(lock: Path) -> dict[str, str]:
    """Each requirement of a lock with its version and digests, as written."""
    blocks = re.split(r"\n(?=[a-z0-9])", lock.read_text().partition("make lock\n")[2])
    return {block.partition("==")[0]: block.rstrip() for block in blocks}


@pytest.mark.parametrize("name", ["requirements.lock", "build.lock"])
def test_the_image_takes_the_versions_that_are_tested(name):
    everything, taken = pins(ROOT / "requirements.lock"), pins(ROOT / "operator" / name)
    assert taken
    assert taken.items() <= everything.items(), "run `make lock`"
    assert all("--hash=sha256:" in block for block in taken.values())


def test_the_image_has_what_the_operator_needs_and_no_extra():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = {canonicalize_name(Requirement(one).name) for one in project["dependencies"]}
    taken = pins(wheels.REQUIREMENTS).keys()
    assert needed <= taken
    assert not taken & {"kubernetes", "rich", "mkdocs", "pytest", "uv"}


def test_the_lock_of_debian_packages_pins_all_of_them_and_names_no_place():
    locked = debian.locked()
    assert tuple(one.name for one in locked) == debian.PACKAGES
    assert all(re.fullmatch("[0-9a-f]{64}", one.sha256) for one in locked)
    text = debian.LOCK.read_text()
    assert "://" not in text
    assert set(re.findall(r'"(\w+)":', text)) == {"name", "version", "sha256"}


def test_a_package_is_found_under_the_name_that_apt_gives_it():
    assert debian.Package("zlib1g", "1:1.2.13~a+b1", "").file == "zlib1g_1%3a1.2.13~a+b1_amd64.deb"


def test_the_dockerfile_says_the_same_of_what_is_started_and_as_whom():
    def said(instruction: str) -> str:
        return re.findall(rf"^{instruction} (.*)$", DOCKERFILE, re.MULTILINE)[-1]

    assert json.loads(said("ENTRYPOINT")) == list(build.ENTRYPOINT)
    assert json.loads(said("CMD")) == list(build.COMMAND)
    assert said("USER") == build.USER
    assert said("COPY --from=packages").split()[-1] == wheels.SITE
