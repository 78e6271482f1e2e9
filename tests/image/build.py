"""The operator's image from Debian's packages and wheels: no engine, no registry, no root.

Two layers: what changes with a lock, kept from one build to the next, and taskmill itself. The
same locks and sources give the same bytes.
"""

from __future__ import annotations

import hashlib
import platform
import re
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path

from cluster import images
from cluster.images import FileTree, Image
from cluster.process import ClusterError
from cluster.settings import CHECKOUT
from image import debian, wheels
from image.debian import Package

DIST = CHECKOUT / "dist"
CACHE = DIST / "cache"
VERSION = metadata.version("taskmill")
NAME = f"docker.io/library/taskmill:{VERSION}"
"""In full; manifests say `taskmill:VERSION`."""
USER = "65532:65532"
ARCHIVE = DIST / f"taskmill-{VERSION}.tar"
_PYTHON = "/usr/bin/python3.11"
# Isolated: neither the working folder nor PYTHON* variables say what is imported.
ENTRYPOINT = (_PYTHON, "-I", "-m", "taskmill")
COMMAND = ("operator",)
_LIBRARIES = "/usr/lib/x86_64-linux-gnu"
_OWN_SOURCES = (Path(images.__file__), *sorted(Path(__file__).parent.glob("*.py")))


def build(packages: Sequence[Package], archive: Path = ARCHIVE, *, cache: Path = CACHE) -> Path:
    """Write the docker archive, unless it is there already, and say where it is."""
    if platform.machine() != "x86_64":
        raise ClusterError("it makes images for x86_64 only; elsewhere use operator/Dockerfile")
    own = wheels.ours()
    fingerprint = _digest(_below_fingerprint(packages).encode(), own)
    stamp = archive.with_suffix(".sha256")
    if not (archive.exists() and stamp.exists() and stamp.read_text() == fingerprint):
        stamp.unlink(missing_ok=True)
        archive.parent.mkdir(parents=True, exist_ok=True)
        image(_below(packages, cache), own).write(archive)
        stamp.write_text(fingerprint)
    return archive


def image(below: bytes, own_wheel: bytes, name: str = NAME) -> Image:
    """The image on that first layer."""
    tree = FileTree()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder, "root")
        wheel = Path(folder, "taskmill.whl")
        wheel.write_bytes(own_wheel)
        wheels.add([wheel], tree)
        root.mkdir()
        subprocess.run(["tar", "-x", "-C", str(root)], input=below, check=True, timeout=60)
        tree.unpack(root)
        _add_byte_code(root, f"{wheels.SITE}/taskmill", tree)
    return Image(
        (name,),
        tree,
        COMMAND,
        environment={"PATH": "/usr/bin", "LANG": "C.UTF-8"},
        below=(below,),
        details={
            "Entrypoint": list(ENTRYPOINT),
            "User": USER,
            "WorkingDir": "/",
            "Labels": {
                "org.opencontainers.image.title": "taskmill",
                "org.opencontainers.image.version": VERSION,
                "org.opencontainers.image.licenses": "Apache-2.0",
            },
        },
    )


def _below(packages: Sequence[Package], cache: Path) -> bytes:
    """The layer of everything that is not ours, kept under what it was made from."""
    kept = cache / f"layer-{_below_fingerprint(packages)[:16]}.tar"
    if not kept.exists():
        cache.mkdir(parents=True, exist_ok=True)
        layer = make_below(packages, cache)
        for former in cache.glob("layer-*.tar"):
            former.unlink()
        part = kept.with_suffix(".part")
        part.write_bytes(layer)
        part.rename(kept)
    return kept.read_bytes()


def make_below(packages: Sequence[Package], cache: Path = CACHE) -> bytes:
    """That layer anew, from files of the cache where it has them."""
    tree = debian.tree(debian.fetch(packages, cache / "debian"))
    wheels.add(
        wheels.fetch(cache / f"wheels-{_digest(wheels.REQUIREMENTS.read_bytes())[:16]}"), tree
    )
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        tree.unpack(root)
        _check_libraries(root)
        _add_byte_code(root, "/usr/lib/python3.11", tree)
        _add_byte_code(root, wheels.SITE, tree)
    return tree.layer()


def _below_fingerprint(packages: Sequence[Package]) -> str:
    made_from = (wheels.REQUIREMENTS, *_OWN_SOURCES)
    return _digest(repr(packages).encode(), *(file.read_bytes() for file in made_from))


def _digest(*parts: bytes) -> str:
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()


def _add_byte_code(root: Path, folder: str, to: FileTree) -> None:
    """Compiled by the image's own Python: with a read-only root nothing is compiled later.

    It is never compared with its source, whose time means nothing in an image.
    """
    where = str(root / folder.lstrip("/"))
    # One process: its children would start under this machine's loader.
    _own_program(
        *(root, _PYTHON, "-m", "compileall", "-q", "-j", "1", "-s", str(root), "-p", "/"),
        *("--invalidation-mode", "unchecked-hash", where),
    )
    for file in Path(where).rglob("*.pyc"):
        to.add(f"/{file.relative_to(root)}", file.read_bytes())


def _check_libraries(root: Path) -> None:
    """Each library that a file asks for is in the image; some modules would do without in silence.

    Raises ClusterError with what is missing.
    """
    missing = {
        f"{file.name}: {line.split()[0]}"
        for file in _elf_files(root)
        for line in _own_program(root, "--list", str(file)).splitlines()
        if (found := re.search(r"=> (not found|/\S+)", line)) and not found[1].startswith(str(root))
    }
    if missing:
        raise ClusterError(f"libraries are missing from the image: {', '.join(sorted(missing))}")


def _elf_files(root: Path) -> Iterator[Path]:
    for file in root.rglob("*.so*"):
        if file.is_file() and not file.is_symlink() and not file.name.startswith("ld-linux"):
            with file.open("rb") as content:
                if content.read(4) == b"\x7fELF":
                    yield file


def _own_program(root: Path, program: str, *args: str) -> str:
    """Run what the image has under its own loader, whatever this machine has."""
    loader = [f"{root}/usr/lib64/ld-linux-x86-64.so.2", "--inhibit-cache"]
    libraries = ["--library-path", f"{root}{_LIBRARIES}"]
    started = ["--list", *libraries] if program == "--list" else [*libraries, f"{root}{program}"]
    done = subprocess.run(
        [*loader, *started, *args],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
        env={"PYTHONHOME": f"{root}/usr", "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"},
    )
    if done.returncode and program != "--list":
        raise ClusterError(f"the image's {program} failed:\n{done.stdout}{done.stderr}")
    return done.stdout
