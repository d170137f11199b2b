import pytest

from oneword.engine.errors import BadText, BlankText, EmptyFile, UnreadableFile
from oneword.engine.texts import MAX_BYTES, decode_text, read_text_file


@pytest.mark.parametrize(
    "data",
    [
        "naïve café 🦉\n".encode(),
        "naïve café 🦉".encode("utf-8-sig"),
        "naïve café 🦉".encode("utf-16"),
        b"\xfe\xff" + "naïve café 🦉".encode("utf-16-be"),
    ],
)
def test_unicode_in_its_common_files(tmp_path, data: bytes) -> None:
    (tmp_path / "a.txt").write_bytes(data)
    assert read_text_file(tmp_path / "a.txt") == "naïve café 🦉"


def test_line_ends_are_one(tmp_path) -> None:
    (tmp_path / "a.txt").write_bytes(b"one\r\ntwo\rthree\n")
    assert read_text_file(tmp_path / "a.txt") == "one\ntwo\nthree"


@pytest.mark.parametrize(
    ("data", "error", "complaint"),
    [
        (b"", EmptyFile, "empty"),
        (b" \n\t", BlankText, "blank"),
        (b"caf\xe9", BadText, "not UTF-8 at byte 3"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", BadText, "not UTF-8"),
        (b"a\x00b", BadText, "zero byte"),
        (b"a" * (MAX_BYTES + 1), BadText, "longer than"),
    ],
)
def test_what_is_no_text(tmp_path, data: bytes, error: type[Exception], complaint: str) -> None:
    (tmp_path / "a.txt").write_bytes(data)
    with pytest.raises(error, match=complaint):
        read_text_file(tmp_path / "a.txt")
    with pytest.raises(error, match=f"^the caption: .*{complaint}"):
        decode_text(data, name="the caption")


def test_unreadable(tmp_path) -> None:
    with pytest.raises(UnreadableFile):
        read_text_file(tmp_path / "absent.txt")
    with pytest.raises(UnreadableFile):
        read_text_file(tmp_path)
