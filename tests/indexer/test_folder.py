import os
from pathlib import Path

import pytest

from indexer.captions import Captions
from indexer.errors import SourceNotFound
from indexer.folder import Entry, find


def shown(entries: list[Entry], root: Path) -> list[str]:
    return [
        f"{one.kind}:{one.path.relative_to(root)}" + (f"+{one.caption.name}" if one.caption else "") for one in entries
    ]


def test_folders_are_walked_in_order_and_strangers_counted(album: Path) -> None:
    listing = find([album])
    assert shown(listing.entries, album) == [
        "image:blue.jpg",
        "image:noise.webp",
        "text:note.txt",
        "image:red.png+red.txt",
        "text:sub/diary.md",
        "image:sub/green.PNG",
    ]
    assert listing.ignored == {".csv": 1}


def test_captions_separate_or_ignored(album: Path) -> None:
    separate = shown(find([album], Captions.SEPARATE).entries, album)
    assert "text:red.txt" in separate
    assert "image:red.png" in separate
    ignored = shown(find([album], Captions.IGNORE).entries, album)
    assert "image:red.png" in ignored
    assert "text:red.txt" not in ignored
    assert "text:note.txt" in ignored


def test_a_file_stands_once_however_it_is_reached(album: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(album.parent)
    once = find([album]).entries
    again = find(["album", album / "red.png", album / "sub", "album/../album/red.png"]).entries
    assert {one.uri for one in once} == {one.uri for one in again}
    assert len(again) == len(once)


def test_ids_come_from_uris(album: Path) -> None:
    ids = [one.id for one in find([album]).entries]
    assert len(set(ids)) == len(ids)
    assert ids == [one.id for one in find([album]).entries]
    assert all(len(one) == 16 and int(one, 16) >= 0 for one in ids)


def test_a_file_named_outright_is_taken_whatever_its_suffix(album: Path) -> None:
    (album / "photo.dat").write_bytes(b"")
    assert shown(find([album / "photo.dat"]).entries, album) == ["image:photo.dat"]


def test_links_are_followed_and_loops_end(album: Path) -> None:
    (album / "loop").symlink_to(album, target_is_directory=True)
    (album / "sub" / "up").symlink_to(album, target_is_directory=True)
    (album / "link.png").symlink_to(album / "red.png")
    (album / "broken.png").symlink_to(album / "absent.png")
    listing = find([album])
    problems = {one.path.name: one.problem for one in listing.entries if one.problem}
    assert list(problems) == ["broken.png"]
    assert "No such file" in str(problems["broken.png"])
    assert len(listing.entries) == 6 + 2


def test_pipes_are_never_opened(album: Path) -> None:
    os.mkfifo(album / "pipe.png")
    (pipe,) = [one for one in find([album]).entries if one.path.name == "pipe.png"]
    assert pipe.problem == "not a regular file"


def test_names_that_are_no_utf8_have_uris(album: Path) -> None:
    name = os.fsdecode(b"caf\xe9.png")
    (album / name).write_bytes((album / "red.png").read_bytes())
    (odd,) = [one for one in find([album]).entries if one.path.name == name]
    assert odd.uri.endswith("/caf%E9.png")


def test_missing_paths_are_named() -> None:
    with pytest.raises(SourceNotFound, match="'absent' does not exist"):
        find(["absent"])
    with pytest.raises(SourceNotFound, match="no path given"):
        find([])
