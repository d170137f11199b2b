"""Links that are swapped under a job's root while the job reads: nothing from outside is ever indexed."""

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

SECRET = "the secret that lies outside"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose folder `jobs` jobs may read."""
    place = tmp_path_factory.mktemp("place")
    (place / "jobs").mkdir()
    return place


@pytest.fixture
def root(place: Path) -> Iterator[Path]:
    """The folder for jobs, beside one that is none of theirs; each has the same names."""
    for where, text in (("jobs", "what anyone may read"), ("outside", SECRET)):
        (place / where / "album").mkdir(parents=True)
        for number in range(20):
            (place / where / "album" / f"{number:02}.txt").write_text(f"{text} {number}", encoding="utf-8")
        (place / where / "note.txt").write_text(f"{text} note", encoding="utf-8")
        (place / where / "rows.csv").write_text(f"id,text\nr,{text} row\n", encoding="utf-8")
    yield place / "jobs"
    for one in place.iterdir():
        shutil.rmtree(one)
    (place / "jobs").mkdir()


class Swapper:
    """Puts links to the outside where files and folders were, and back, over and over."""

    def __init__(self, root: Path, name: str) -> None:
        self._mine, self._away = root / name, root.parent / f"away-{name}"
        self._outside = root.parent / "outside" / name
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Swapper":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.is_set():
            self._mine.rename(self._away)
            self._mine.symlink_to(self._outside)
            time.sleep(0.002)
            self._mine.unlink()
            self._away.rename(self._mine)
            time.sleep(0.002)


@pytest.fixture(scope="module")
def target(attack: Callable[..., Any], place: Path) -> Any:
    return attack("--job-root", place / "jobs")


def done(target: Any, *paths: Path | str) -> Any:
    document = {"collection": "jobs", "model": "hash", "paths": list(map(str, paths))}
    job = target.call("POST", "/v1/jobs", json=document)
    assert job.status_code in (201, 422), job.text
    while job.status_code == 201:
        found = target.call("GET", f"/v1/jobs/{job.json()['id']}").json()
        if found["state"] not in ("starting", "running"):
            return found
        time.sleep(0.05)
    return job.json()


def texts(target: Any) -> str:
    return str(target.call("POST", "/v1/collections/jobs/items:scroll", json={"limit": 1000}).json()["items"])


@pytest.fixture(autouse=True)
def _dropped(target: Any) -> Iterator[None]:
    yield
    assert target.call("DELETE", "/v1/collections/jobs").status_code == 204


@pytest.mark.parametrize("name", ["album", "note.txt", "rows.csv", "album/07.txt"])
def test_what_is_swapped_for_a_link_is_not_followed(target: Any, root: Path, name: str) -> None:
    if "/" in name:
        (root.parent / "away-album").mkdir()
    with Swapper(root, name):
        done(target, root)
        done(target, root / name)
    assert SECRET not in texts(target)
    done(target, root)
    assert "what anyone may read" in texts(target)


def test_links_and_names_that_lead_out(target: Any, root: Path) -> None:
    outside = root.parent / "outside"
    (root / "linked").symlink_to(outside / "album")
    (root / "linked.txt").symlink_to(outside / "note.txt")
    (root / "twice").symlink_to("linked")
    (root / "up.csv").write_text(f"id,path\na,{outside / 'note.txt'}\nb,../outside/note.txt\n", encoding="utf-8")
    (root / "urls.txt").write_text(f"file://{outside / 'note.txt'}\n", encoding="utf-8")
    for paths in (
        [root],
        [root / "linked"],
        [root / "twice"],
        [root / "linked.txt"],
        [root / ".." / "outside"],
        [outside],
        [f"file://{outside}"],
        [root / "up.csv"],
        [f"{root}/../outside/*.txt"],
        [root / "linked" / "*.txt"],
    ):
        done(target, *paths)
    assert SECRET not in texts(target)
