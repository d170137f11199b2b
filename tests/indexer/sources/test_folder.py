import os
import tracemalloc
import unicodedata
from pathlib import Path
from urllib.parse import unquote

import fsspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oneword.indexer.entry import Entry, Reference, id_of, path_of
from oneword.indexer.errors import BadSource, SourceNotFound
from oneword.indexer.options import Captions, SourceOptions
from oneword.indexer.sources import open_sources
from oneword.indexer.sources.folder import FolderSource
from oneword.indexer.sources.globs import Patterns


def find(*paths: str | Path, **options: object) -> list[Entry]:
    (source,) = open_sources(paths, SourceOptions(**options))  # type: ignore[arg-type]
    assert isinstance(source, FolderSource)
    return list(source.entries())


def shown(entries: list[Entry], root: Path) -> list[str]:
    found = []
    for one in entries:
        assert one.id == id_of(one.uri)
        assert one.origin == one.uri
        kind = "problem" if one.problem else "image" if one.image else "text"
        assert one.problem or (one.image or one.text) == Reference(uri=one.uri)
        caption = f"+{one.text.uri.rpartition('/')[2]}" if one.image and isinstance(one.text, Reference) else ""
        found.append(f"{kind}:{one.uri.removeprefix(root.as_uri() + '/')}{caption}")
    return found


def test_folders_are_walked_in_order_and_strangers_counted(album: Path) -> None:
    (source,) = open_sources([album])
    for _ in range(2):  # from the start, each time
        assert shown(list(source.entries()), album) == [
            "image:blue.jpg",
            "image:noise.webp",
            "text:note.txt",
            "image:red.png+red.txt",
            "text:sub/diary.md",
            "image:sub/green.PNG",
        ]
        assert source.ignored == {".csv": 1, "hidden files": 1}
    assert source.total is None


NFC, NFD = "Müller Café", unicodedata.normalize("NFD", "Müller Café")


def test_a_caption_is_found_by_either_form_of_its_name_and_by_the_whole_name(tmp_path: Path) -> None:
    for name in (f"{NFD}.jpg", f"{NFC}.txt", "photo.jpg", "photo.png", "photo.jpg.txt", "photo.txt", "notes.txt"):
        (tmp_path / name).write_bytes(b"x")
    captions = {
        unquote(one.uri.rpartition("/")[2]): unquote(one.text.uri.rpartition("/")[2])
        for one in find(tmp_path)
        if isinstance(one.text, Reference)
    }
    assert captions == {
        f"{NFD}.jpg": f"{NFC}.txt",
        "photo.jpg": "photo.jpg.txt",
        "photo.png": "photo.txt",
        "notes.txt": "notes.txt",
    }


@pytest.mark.parametrize(("on_disk", "asked"), [(NFC, NFD), (NFD, NFC)])
def test_names_and_patterns_find_the_other_normal_form(tmp_path: Path, on_disk: str, asked: str) -> None:
    (tmp_path / on_disk).mkdir()
    (tmp_path / on_disk / f"{on_disk}.jpg").write_bytes(b"x")
    for path, include in ((asked, ()), (f"{asked}*", ()), (f"{asked}/*", ()), (".", (f"{asked}*",))):
        (found,) = find(tmp_path / path, include=include)
        assert path_of(found.uri) == tmp_path / on_disk / f"{on_disk}.jpg", "a URI stays as it is on disk"


OTHERS = ("._a.jpg", ".Trash-1000/e.jpg", "Thumbs.db", "x.zip", "old.tar.xz")


def test_bins_and_thumbnails_of_a_network_disk_are_passed_over_and_counted(tmp_path: Path) -> None:
    nas = tmp_path / "nas"
    for name in (
        "a.jpg",
        "@eaDir/a.jpg/THUMB.jpg",
        "#recycle/b.jpg",
        "$RECYCLE.BIN/S-1/c.jpg",
        "Android/d.jpg",
        *OTHERS,
    ):
        (nas / name).parent.mkdir(parents=True, exist_ok=True)
        (nas / name).write_bytes(b"x")
    (nas / ".nomedia").touch()
    (nas / "Android" / ".nomedia").touch()
    (source,) = open_sources([nas])
    assert [one.uri.rpartition("/")[2] for one in source.entries()] == ["a.jpg"]
    assert source.ignored == {
        "folders @eaDir": 1,
        "folders #recycle": 1,
        "folders $RECYCLE.BIN": 1,
        "folders with .nomedia": 1,
        "hidden files": 2,
        "hidden folders": 1,
        ".db": 1,
        "archives .zip": 1,
        "archives .tar.xz": 1,
    }
    for paths in ((nas, nas / "Android"), (nas / "Android", nas), (nas / "Android",)):
        assert any(one.uri.endswith("d.jpg") for one in find(*paths)), "so is this, in any order"
    for pattern in ("*.jpg", "**/*.jpg", "[a$#A@]*"):
        assert len(find(f"{nas}/{pattern}")) == 1, "a glob names nothing outright"
    assert len(find(nas / "#recycle")) == 1, "named outright, it is read"


def test_what_a_place_says_becomes_metadata(album: Path) -> None:
    by_name = {one.metadata["name"]: one.metadata for one in find(album)}
    assert by_name["green.PNG"] == {"name": "green.PNG", "folder": "sub", "format": "png"}


def test_captions_separate_or_ignored(album: Path) -> None:
    separate = shown(find(album, captions=Captions.SEPARATE), album)
    assert "text:red.txt" in separate
    assert "image:red.png" in separate
    ignored = shown(find(album, captions=Captions.IGNORE), album)
    assert "image:red.png" in ignored
    assert "text:red.txt" not in ignored
    assert "text:note.txt" in ignored


def test_a_file_stands_once_however_it_is_reached(album: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(album.parent)
    once = find(album)
    again = find("album", album / "red.png", album / "sub", "album/../album/red.png", album.as_uri())
    assert again == once
    first = find(album / "sub", album / "red.png", album)
    assert sorted(one.uri for one in first) == sorted(one.uri for one in once)
    assert {one.uri for one in find(album / "red.png", album / "red.png")} == {(album / "red.png").as_uri()}


def test_captions_named_outright_find_their_pictures(album: Path) -> None:
    assert shown(find(album / "red.txt", album / "red.png"), album) == ["image:red.png+red.txt"]
    assert shown(find(album / "red.png"), album) == ["image:red.png"]
    assert shown(find(album / "red.png", album / "note.txt"), album) == ["image:red.png", "text:note.txt"]
    (album / "odd.dat").write_bytes(b"x")
    (album / "odd.txt").write_text("an odd one")
    assert "image:odd.dat+odd.txt" in shown(find(album, album / "odd.dat"), album)


def test_a_file_named_outright_is_taken_whatever_its_suffix(album: Path) -> None:
    (album / "photo.dat").write_bytes(b"")
    assert shown(find(album / "photo.dat"), album) == ["image:photo.dat"]
    assert shown(find(album / ".hidden.png"), album) == ["image:.hidden.png"]
    assert "image:.hidden.png" in shown(find(album, album / ".hidden.png"), album)


def test_a_hidden_folder_is_walked_where_it_is_named(album: Path) -> None:
    (album / ".secret").mkdir()
    (album / ".secret" / "a.png").write_bytes(b"x")
    assert "image:.secret/a.png" not in shown(find(album), album)
    assert "image:.secret/a.png" in shown(find(album, album / ".secret"), album)


def test_links_are_followed_and_loops_end(album: Path) -> None:
    (album / "loop").symlink_to(album, target_is_directory=True)
    (album / "sub" / "up").symlink_to(album, target_is_directory=True)
    (album / "link.png").symlink_to(album / "red.png")
    (album / "broken.png").symlink_to(album / "absent.png")
    (album / "self.png").symlink_to(album / "self.png")
    entries = find(album)
    problems = {one.uri.rpartition("/")[2]: one.problem for one in entries if one.problem}
    assert list(problems) == ["broken.png", "self.png"]
    assert problems["broken.png"] is not None
    assert problems["broken.png"].kind == "UnreadableFile"
    assert problems["broken.png"].reason == f"{album}/broken.png: cannot be read (No such file or directory)"
    assert len(entries) == 6 + 3


def test_pipes_are_never_opened(album: Path) -> None:
    os.mkfifo(album / "pipe.png")
    (pipe,) = [one for one in find(album) if one.uri.endswith("pipe.png")]
    assert pipe.problem
    assert "not a regular file" in pipe.problem.reason


def test_a_folder_that_cannot_be_listed_is_a_problem(album: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scandir = os.scandir

    def refusing(path: Path) -> object:
        if Path(path).name == "sub":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    last = find(album)[-1]
    assert last.problem
    assert last.problem.reason == f"{album}/sub: the folder cannot be listed (Permission denied)"


def test_names_that_are_no_utf8_have_uris(album: Path) -> None:
    name = os.fsdecode(b"caf\xe9.png")
    (album / name).write_bytes((album / "red.png").read_bytes())
    (odd,) = [one for one in find(album) if one.uri.endswith("/caf%E9.png")]
    assert odd.metadata["name"] == "caf\\udce9.png"
    (album / name).unlink()
    (album / name).symlink_to("nowhere")
    (odd,) = [one for one in find(album) if one.problem]
    assert odd.problem
    odd.problem.reason.encode()


def test_missing_paths_are_named() -> None:
    with pytest.raises(SourceNotFound, match="'absent' does not exist"):
        find("absent")
    with pytest.raises(SourceNotFound, match="no path given"):
        find()
    with pytest.raises(SourceNotFound, match=r"'absent/\*.png' matches nothing"):
        find("absent/*.png")
    with pytest.raises(SourceNotFound, match="memory://absent"):
        find("memory://absent")
    with pytest.raises(BadSource, match="no-such-scheme"):
        find("no-such-scheme://x")
    with pytest.raises(BadSource, match="another machine"):
        find("file://elsewhere/x")


def test_globs_and_names_that_look_like_them(album: Path) -> None:
    assert shown(find(f"{album}/*.jpg"), album) == ["image:blue.jpg"]
    assert shown(find(f"{album}/**/*.PNG"), album) == ["image:sub/green.PNG"]
    (album / "odd[1].png").write_bytes(b"x")
    (album / "odd{1,2}.png").write_bytes(b"x")
    assert shown(find(f"{album}/odd[1].png", f"{album}/odd{{1,2}}.png"), album) == [
        "image:odd%5B1%5D.png",
        "image:odd%7B1%2C2%7D.png",
    ]


@pytest.mark.parametrize(
    ("include", "exclude", "expected"),
    [
        (("*.jpg",), (), ["blue.jpg"]),
        (("*.PNG",), (), ["sub/green.PNG"]),
        (("sub/*",), (), ["sub/diary.md", "sub/green.PNG"]),
        (("sub/",), (), ["sub/diary.md", "sub/green.PNG"]),
        (("*/*",), (), ["sub/diary.md", "sub/green.PNG"]),
        (("**/*.png",), (), ["red.png+red.txt"]),
        (("*.png", "note.*"), (), ["note.txt", "red.png+red.txt"]),
        (("*.png",), ("*.txt",), ["red.png"]),
        ((), ("sub",), ["blue.jpg", "noise.webp", "note.txt", "red.png+red.txt"]),
        ((), ("sub/**", "n*"), ["blue.jpg", "red.png+red.txt"]),
        (("*.jpg",), ("*.jpg",), []),
    ],
)
def test_patterns_choose_files(
    album: Path, include: tuple[str, ...], exclude: tuple[str, ...], expected: list[str]
) -> None:
    found = shown(find(album, include=include, exclude=exclude), album)
    assert [one.partition(":")[2] for one in found] == expected


PARTS = st.lists(st.sampled_from(["a", "ab", "b.png"]), min_size=1, max_size=4)


@given(path=PARTS, pattern=st.lists(st.sampled_from(["a", "a*", "?", "**", "*"]), min_size=2, max_size=4))
def test_patterns_match_as_their_definition_says(path: list[str], pattern: list[str]) -> None:
    """The slow definition, part by part."""
    from fnmatch import fnmatchcase

    def matches(parts: list[str], wanted: list[str]) -> bool:
        if not wanted:
            return not parts
        if wanted[0] == "**":
            return any(matches(parts[at:], wanted[1:]) for at in range(len(parts) + 1))
        return bool(parts) and fnmatchcase(parts[0], wanted[0]) and matches(parts[1:], wanted[1:])

    expected = any(matches(path[:end], pattern) for end in range(1, len(path) + 1))
    assert Patterns(exclude=["/".join(pattern)]).excluded("/".join(path)) == expected


def test_an_object_store_is_walked_by_the_same_rules(album: Path) -> None:
    store = fsspec.filesystem("memory")
    store.rm("/", recursive=True) if store.ls("/") else None
    for file in album.rglob("*"):
        if file.is_file():
            store.pipe(f"/bucket/album/{file.relative_to(album)}", file.read_bytes())
    remote = find("memory://bucket/album", "memory://bucket/album/sub", "memory://bucket/album/red.png")
    root = "memory:///bucket/album" if remote[0].uri.startswith("memory:///") else "memory://bucket/album"
    here = [one.replace(album.as_uri(), root) for one in shown(find(album), album)]
    assert [one.uri.removeprefix(root + "/") for one in remote] == [
        one.partition(":")[2].partition("+")[0] for one in here
    ]
    assert [one.metadata for one in remote] == [one.metadata for one in find(album)]
    (red,) = [one for one in remote if one.uri.endswith("red.png")]
    assert red.text == Reference(uri=f"{root}/red.txt")
    assert [one.metadata["name"] for one in find("memory://bucket/**/*.PNG")] == ["green.PNG"]


def test_the_memory_holds_one_folder_at_a_time(tmp_path: Path) -> None:
    for folder in range(40):
        (tmp_path / "many" / f"{folder:03}").mkdir(parents=True)
        for file in range(50):
            (tmp_path / "many" / f"{folder:03}" / f"a_rather_long_name_of_a_file_{file}.png").touch()

    def peak(*paths: Path) -> int:
        source = FolderSource([place_of(one) for one in paths])
        tracemalloc.start()
        count = sum(1 for _ in source.entries())
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert count == 50 * (40 if len(paths) == 1 and paths[0].name == "many" else 1)
        return most

    from oneword.indexer.sources.place import place_of

    peak(tmp_path / "many" / "000")  # what is made once
    assert peak(tmp_path / "many") < 2 * peak(tmp_path / "many" / "000") + 50_000
