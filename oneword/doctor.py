"""`oneword doctor`: what is installed here, what is missing for what, and one remedy for each fault."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from oneword.storage.terminal import Db, Json, print_json, print_table, say

if TYPE_CHECKING:
    from packaging.requirements import Requirement

HIDDEN = frozenset({"bench", "demo", "dev"})
"""Extras of contributors."""

SECRET = ("KEY", "TOKEN", "SECRET")
"""Parts of the names of variables whose values are not shown."""

LEAST_FREE = 2**30
"""Free bytes below which a disk is reported: most models need more."""


@dataclass(frozen=True, kw_only=True)
class Extra:
    """An optional part. missing: the packages that it lacks, or has in another version than it needs."""

    name: str
    missing: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What is wrong, and what to do about it."""

    what: str
    remedy: str


@dataclass(frozen=True, kw_only=True)
class Checkup:
    """What `oneword doctor` finds.

    Args:
        places: folders that are written to, by what they hold, each with its free bytes; None: not writable.
        environment: the variables that Oneword and the hub's client read; secrets are not shown.
        devices: CPUs and GPUs that PyTorch sees; empty if it is not installed.
    """

    oneword: str
    python: str
    system: str
    packages: dict[str, str]
    extras: list[Extra]
    devices: list[str]
    places: dict[str, tuple[str, int | None]]
    environment: dict[str, str]
    faults: list[Fault]


def doctor(db: Db = ".oneword", json: Json = False) -> int:
    """Report what is installed, what is missing for what, and what is wrong. Exit code 1 if something is."""
    found = checkup(db)
    if json:
        print_json(asdict(found))
    else:
        _print(found)
    return 1 if found.faults else 0


def checkup(db: str) -> Checkup:
    """Looks at this installation and machine; loads no model and changes nothing."""
    import platform
    from importlib.metadata import version

    extras, faults = list(_extras()), []
    devices, broken = _devices()
    places = {name: (str(path), _free(path)) for name, path in _places(db).items()}
    if broken:
        faults.append(broken)
    if _installed("faiss-cpu") and _installed("faiss-gpu"):
        remedy = "pip uninstall faiss-cpu faiss-gpu, then install one of them again"
        faults.append(Fault(what="faiss-cpu and faiss-gpu are both installed, and write the same files", remedy=remedy))
    for name, (path, free) in places.items():
        if free is None:
            remedy = f"let this user write there, or {_MOVE[name]}"
            faults.append(Fault(what=f"{name}: {path} cannot be written", remedy=remedy))
        elif free < LEAST_FREE:
            remedy = f"free some space, or {_MOVE[name]}"
            faults.append(Fault(what=f"{name}: {path} has {free / 1e6:,.0f} MB left", remedy=remedy))
    shown = ["", *(one.name for one in extras)]
    needed = {one.name for one in _requirements() if any(_needs(extra, one) for extra in shown)}
    return Checkup(
        oneword=version("oneword"),
        python=f"{platform.python_version()} ({sys.executable})",
        system=platform.platform(),
        packages={name: found for name in sorted(needed - {"oneword"}) if (found := _installed(name))},
        extras=extras,
        devices=devices,
        places=places,
        environment=_environment(),
        faults=faults,
    )


def _extras() -> Iterator[Extra]:
    from importlib.metadata import distribution

    for name in distribution("oneword").metadata.get_all("Provides-Extra") or ():
        if name not in HIDDEN:
            yield Extra(name=name, missing=tuple(dict.fromkeys(missing(name, _requirements()))))


def _requirements() -> list[Requirement]:
    from importlib.metadata import distribution

    from packaging.requirements import Requirement

    return [Requirement(text) for text in distribution("oneword").requires or ()]


def _needs(extra: str, requirement: Requirement) -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": extra})


def missing(extra: str, requirements: list[Requirement]) -> Iterator[str]:
    """The packages of an extra, and of the extras that it names, that are not installed as they are required."""
    for one in requirements:
        if _needs("", one) or not _needs(extra, one):
            continue
        if one.name == "oneword":
            for other in sorted(one.extras):
                yield from missing(other, requirements)
        elif (there := _installed(one.name)) is None:
            yield one.name
        elif not one.specifier.contains(there, prereleases=True):
            yield f"{one.name} {there} (expected {one.specifier})"


def _installed(name: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _devices() -> tuple[list[str], Fault | None]:
    if _installed("torch") is None:
        return [], None
    try:
        import torch

        found = [f"cpu: {os.cpu_count()} cores"]
        for number in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
            about = torch.cuda.get_device_properties(number)
            found.append(f"cuda:{number}: {about.name}, {about.total_memory / 2**30:.0f} GiB")
    except (ImportError, OSError, RuntimeError) as error:  # a library that is not there, a driver that is too old
        remedy = "install PyTorch again as https://pytorch.org/get-started says for this machine"
        return [], Fault(what=f"PyTorch cannot be used: {' '.join(str(error).split())}", remedy=remedy)
    return found, None


_MOVE = {
    "store": "name another with --db or ONEWORD_DB",
    "models": "set HF_HOME to another folder",
    "temporary files": "set TMPDIR to another folder",
}


def _places(db: str) -> dict[str, Path]:
    home = os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface"
    places = {"models": Path(home), "temporary files": Path(tempfile.gettempdir())}
    return places if "://" in db else {"store": Path(db).expanduser().absolute(), **places}


def _free(path: Path) -> int | None:
    """Free bytes where a folder is or would be made; None if this user cannot write there."""
    there = next((one for one in (path, *path.parents) if one.exists()), None)
    if there is None or not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        return None
    return shutil.disk_usage(there).free


def _environment() -> dict[str, str]:
    names = sorted(name for name in os.environ if name.startswith(("ONEWORD_", "HF_", "CUDA_VISIBLE")))
    return {name: "(set)" if any(part in name for part in SECRET) else os.environ[name] for name in names}


def _print(found: Checkup) -> None:
    rows: list[tuple[str, ...]] = [("oneword", found.oneword), ("Python", found.python), ("system", found.system)]
    rows += [("device", one) for one in found.devices] or [("device", "PyTorch is not installed")]
    rows += [
        (name, f"{path}, {'not writable' if free is None else f'{free / 1e9:,.1f} GB free'}")
        for name, (path, free) in found.places.items()
    ]
    rows += [("variable", f"{name}={value}") for name, value in found.environment.items()]
    rows += [("packages", ", ".join(f"{name} {number}" for name, number in found.packages.items()))]
    print_table([], rows)
    say("")
    rows = [
        (one.name, "missing" if one.missing else "ready", ", ".join(one.missing), f'pip install "oneword[{one.name}]"')
        for one in found.extras
    ]
    print_table(["extra", "", "", ""], [row if row[2] else (*row[:3], "") for row in rows])
    say("")
    for fault in found.faults:
        say(f"{fault.what}: {fault.remedy}")
    if not found.faults:
        say("Nothing is wrong. `oneword models` lists the models that can be used here.")
