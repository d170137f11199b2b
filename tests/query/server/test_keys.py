import hmac
import logging
import os
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oneword.query.errors import KeyFileError
from oneword.query.server import keys
from oneword.query.server.keys import SCOPES, Key, Keys, changing, make, read, write

KEY, TEXT = make("the shop", "write", rate=20)
OTHER, OTHER_TEXT = make("reports", "read")
KEYS = Keys([KEY, OTHER])

HASH = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
GOOD = f'[[key]]\nid = "a1"\nname = "a"\nscopes = ["read"]\nsha256 = "{HASH}"\ncreated = 2026-01-31T12:00:00Z\n'


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "Bearer  "])
def test_a_key_lets_its_holder_in(scheme: str) -> None:
    assert KEYS.check(f"{scheme} {TEXT}") == KEY
    assert KEYS.check(None, TEXT) == KEY
    assert KEYS.check(f"{scheme} {TEXT}", TEXT) == KEY


@pytest.mark.parametrize("header", ["", "Bearer", "KEY", "Basic KEY", "BearerKEY", "Bearer KEY,KEY"])
def test_what_is_no_bearer_token_is_no_key(header: str) -> None:
    assert KEYS.check(header.replace("KEY", TEXT)) is None


def test_two_headers_that_disagree_are_no_key() -> None:
    assert KEYS.check(f"Bearer {TEXT}", OTHER_TEXT) is None
    assert KEYS.check(f"Bearer {TEXT}", "") is None
    assert KEYS.check("Basic x", TEXT) is None
    assert KEYS.check(None) is None


@st.composite
def altered(draw: st.DrawFn) -> str:
    """The key with a piece of it changed, left out or put in, in any characters, or with the other key's secret."""
    start = draw(st.integers(0, len(TEXT)))
    end = draw(st.integers(start, min(len(TEXT), start + 4)))
    return TEXT[:start] + draw(st.text(max_size=4) | st.just(OTHER.id) | st.characters()) + TEXT[end:]


@given(altered() | st.text() | st.just(TEXT.swapcase()) | st.just(TEXT.replace(KEY.id, OTHER.id)))
def test_no_other_key_will_do(key: str) -> None:
    expected = KEY if key.strip(" ") == TEXT else None
    assert KEYS.check(f"Bearer {key}") == expected
    assert KEYS.check(None, key) == expected


def test_each_character_of_a_key_counts() -> None:
    for place in range(len(TEXT)):
        before, one, after = TEXT[:place], TEXT[place], TEXT[place + 1 :]
        for key in (before + after, before + "~" + after, before + one.swapcase() + after, before + "a" + one + after):
            assert key == TEXT or KEYS.check(None, key) is None


def test_no_one_has_a_key_where_there_are_none() -> None:
    assert Keys([]).check(f"Bearer {TEXT}") is None


def test_an_unknown_id_is_compared_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[int, int]] = []

    def spy(one: str, other: str) -> bool:
        compared.append((len(one), len(other)))
        return hmac_compare(one, other)

    hmac_compare = hmac.compare_digest
    monkeypatch.setattr(keys.hmac, "compare_digest", spy)
    KEYS.check(f"Bearer {TEXT}")
    KEYS.check("Bearer ow_nobody_secret")
    KEYS.check("Bearer nonsense")
    assert compared == [(64, 64)] * 3


def test_a_secret_is_256_random_bits_and_is_stored_nowhere(tmp_path: Path) -> None:
    texts = [make("a", "read")[1] for _ in range(50)]
    assert len(set(texts)) == 50
    secret = TEXT.split("_", 2)[2]
    assert len(secret) == 43  # 6 bits each
    write(tmp_path / "keys.toml", [KEY])
    assert secret not in (tmp_path / "keys.toml").read_text(encoding="utf-8")
    assert secret not in repr(KEY) + repr(KEY)


def test_ids_that_are_taken_are_not_given_again(monkeypatch: pytest.MonkeyPatch) -> None:
    letters = iter("aaaaaaaa" + "bbbbbbbb")
    monkeypatch.setattr(keys.secrets, "choice", lambda _: next(letters))
    assert make("a", "read", taken=["aaaaaaaa"])[0].id == "bbbbbbbb"


@pytest.mark.parametrize("name", ["", " ", "two\nlines", "x" * 101, "\ud800", "bell\x07"])
def test_names_are_printable(name: str) -> None:
    with pytest.raises(ValueError, match="name is"):
        make(name, "read")


@pytest.mark.parametrize("rate", [0, -1, float("nan"), float("inf"), True])
def test_rates_are_above_zero(rate: float) -> None:
    with pytest.raises(ValueError, match="rate is"):
        make("a", "read", rate=rate)


def test_each_scope_includes_those_before_it() -> None:
    allowed = {held: [s for s in SCOPES if make("a", held)[0].may(s)] for held in SCOPES}
    assert allowed == {"read": ["read"], "write": ["read", "write"], "admin": ["read", "write", "admin"]}


printable = st.text(min_size=1, max_size=100).filter(lambda text: text.isprintable() and text.strip())


@given(
    name=printable | st.sampled_from(['"', "\\", '\\"""', "'", "#", "日本語 😀"]),
    scopes=st.lists(st.sampled_from(SCOPES), min_size=1, max_size=3),
    rate=st.none() | st.floats(1e-9, 1e300),
    created=st.datetimes(datetime(1970, 1, 1), datetime(9999, 1, 1)),
)
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, name, scopes, rate, created) -> None:
    path = tmp_path_factory.mktemp("keys") / "keys.toml"
    time = created.replace(microsecond=0, tzinfo=UTC)
    key = Key(id="a1", name=name, scopes=tuple(scopes), sha256=HASH, created=time, rate=rate)
    write(path, [key, KEY])
    assert read(path) == [key, KEY]


def test_load_sees_what_has_changed(tmp_path: Path) -> None:
    path = tmp_path / "keys.toml"
    write(path, [KEY, OTHER])
    assert len(before := Keys.load(path)) == 2
    assert before.check(f"Bearer {TEXT}") == KEY
    write(path, [OTHER])
    assert before.check(f"Bearer {TEXT}") is None
    write(path, [KEY])
    assert before.check(f"Bearer {TEXT}") == KEY


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
def test_the_file_is_its_owners(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "keys.toml"
    old = os.umask(0)
    try:
        write(path, [KEY])
    finally:
        os.umask(old)
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o640)  # read by a service through its group: that goes on
    write(path, [KEY, OTHER])
    assert path.stat().st_mode & 0o777 == 0o640
    Keys.load(path)
    assert not caplog.records
    path.chmod(0o644)
    with caplog.at_level(logging.WARNING):
        Keys.load(path)
    assert "can be read by anyone" in caplog.text
    write(path, [KEY])
    assert path.stat().st_mode & 0o777 == 0o640
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "link.toml").symlink_to(tmp_path / "keys.toml")
    write(tmp_path / "link.toml", [KEY])
    assert (tmp_path / "link.toml").is_symlink()
    assert read(tmp_path / "keys.toml") == [KEY]


def test_keys_made_at_once_are_all_kept(tmp_path: Path) -> None:
    def add(number: int) -> None:
        with changing(tmp_path / "keys.toml") as there:
            there.append(make(f"key {number}", "read")[0])

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(add, range(24)))
    assert {key.name for key in read(tmp_path / "keys.toml")} == {f"key {number}" for number in range(24)}


def test_a_change_that_fails_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "keys.toml"
    write(path, [KEY])
    with pytest.raises(KeyError), changing(path) as there:
        del there[:], {}["missing"]
    assert read(path) == [KEY]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[[key", "is not TOML"),
        ("\xff", "is not TOML"),
        ("keys = 3", r"has 'keys'; expected nothing but tables \[\[key\]\]"),
        (GOOD.replace("[[key]]", "[key]"), r"has a single \[key\]"),
        ("key = [1]", r"key number 1: expected a table"),
        (GOOD + GOOD, "has two keys with the id 'a1'"),
        (GOOD.replace('"read"', '"read", "root"'), "key number 1: unknown scope 'root'; there are read, write, admin"),
        (GOOD.replace('["read"]', "[]"), r"scopes is \[\]; expected a list"),
        (GOOD.replace('["read"]', '"read"'), "scopes is 'read'; expected a list"),
        (GOOD.replace('["read"]', "[[]]"), r"unknown scope \[\]"),
        (GOOD + "speed = 3", "unknown field 'speed'; there are created, id"),
        (GOOD.replace('name = "a"\n', ""), "'name' is missing"),
        (GOOD.replace('"a1"', '"a_1"'), "id is 'a_1'; expected 1 to 32 of a-z and 0-9"),
        (GOOD.replace('"a1"', "7"), "id is 7"),
        (GOOD.replace('name = "a"', 'name = ""'), "name is ''"),
        (GOOD.replace(HASH, HASH.upper()), "sha256 is not one"),
        (GOOD.replace("2026-01-31T12:00:00Z", "2026-01-31"), "created is"),
        (GOOD + "rate = 0", "rate is 0; expected requests a second, above 0"),
        (GOOD + "rate = nan", "rate is nan"),
        (GOOD + 'rate = "9"', "rate is '9'"),
    ],
)
def test_a_malformed_file_is_told_what_is_wrong(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "keys.toml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(KeyFileError, match=complaint) as caught:
        Keys.load(path)
    assert "keys.toml" in str(caught.value)


def test_a_secret_in_the_place_of_its_hash_is_not_repeated(tmp_path: Path) -> None:
    path = tmp_path / "keys.toml"
    path.write_text(GOOD.replace(HASH, TEXT), encoding="utf-8")
    with pytest.raises(KeyFileError) as caught:
        Keys.load(path)
    assert TEXT not in str(caught.value)


def test_a_missing_file_is_told_how_it_is_made(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="make one with `oneword keys create NAME --file"):
        Keys.load(tmp_path / "keys.toml")
    with pytest.raises(KeyFileError, match="cannot be read"):
        Keys.load(tmp_path)
    with pytest.raises(KeyFileError, match="there is no folder"), changing(tmp_path / "no" / "keys.toml"):
        pass
    with pytest.raises(KeyFileError, match="cannot be written"):
        write(tmp_path / "no" / "keys.toml", [])
