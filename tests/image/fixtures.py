"""pytest fixtures for what needs the operator's image."""

from __future__ import annotations

from pathlib import Path

import pytest

from image import build, debian

__all__ = ["operator_image", "packages"]


@pytest.fixture(scope="session")
def packages() -> list[debian.Package]:
    """The Debian packages of the lock, or what is offered where that has been superseded.

    A test of the operator is none of whether Debian has had a security update since.
    """
    locked = debian.locked()
    try:
        debian.fetch(locked, build.CACHE / "debian")
    except debian.SupersededError as error:
        print(f"not as locked: {error}")
        return debian.offered(build.CACHE / "debian")
    return locked


@pytest.fixture(scope="session")
def operator_image(packages: list[debian.Package]) -> Path:
    """The operator's image as a docker archive."""
    return build.build(packages)
