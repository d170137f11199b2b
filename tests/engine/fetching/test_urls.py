"""URLs: read strictly, shown without secrets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oneword.engine.errors import UrlRefused
from oneword.engine.fetching.urls import MAX_LENGTH, Url, read, redirected, shown


@pytest.mark.parametrize(
    ("url", "printed"),
    [
        ("https://example.org", "https://example.org/"),
        ("HTTP://Example.ORG:80/A?b=C", "http://example.org/A?b=C"),
        ("https://example.org:8443/a%20b", "https://example.org:8443/a%20b"),
        ("https://example.org/ü?q=ü#part", "https://example.org/%C3%BC?q=%C3%BC"),
        ("https://bücher.example/", "https://xn--bcher-kva.example/"),
        ("https://xn--bcher-kva.example/", "https://xn--bcher-kva.example/"),
        ("https://under_score.example/", "https://under_score.example/"),
        ("http://[2606:4700:0:0::1111]/", "http://[2606:4700::1111]/"),
        ("http://１２７.0.0.1/", "http://127.0.0.1/"),  # the address check sees it
        ("https://a.example/@user/x", "https://a.example/@user/x"),
        ("https://a.example/a[1]|b?c={d}^", "https://a.example/a[1]|b?c={d}^"),
    ],
)
def test_reads(url: str, printed: str) -> None:
    assert str(read(url)) == printed


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("ftp://example.org/a", "scheme is 'ftp'"),
        ("file:///etc/passwd", "scheme is 'file'"),
        ("gopher://example.org/", "scheme is 'gopher'"),
        ("data:image/png;base64,AAAA", "scheme is 'data'"),
        ("//example.org/a", "scheme is ''"),
        ("", "scheme is ''"),
        ("https://", "host is"),
        ("http:example.org", "host is"),
        ("https://user@example.org/", "credentials"),
        ("https://user:secret@example.org/", "credentials"),
        ("https://example.org@127.0.0.1/", "credentials"),
        ("https://example.org/a b", "character ' ' at 21"),
        ("https://example.org/\r\nX: y", "character '\\\\r'"),
        ("https://exam\tple.org/", "character '\\\\t'"),
        ("https://example.org/\udcff", "character '\\\\udcff'"),
        ("https://exa\u200bmple.org/", "character '\\\\u200b'"),
        ("https://example.org\\@127.0.0.1/", "backslash"),
        ("https://example.org:22/", "port 22"),
        ("https://example.org:6667/", "port 6667"),
        ("https://example.org:0/", "port 0"),
        ("https://example.org:99999/", "not a URL"),
        ("https://example.org:x/", "not a URL"),
        ("http://[::1/", "not a URL"),
        ("http://[fe80::1%25eth0]/", "(host is|not a URL)"),
        ("http://127.0.0.1%2f@example.org/", "credentials"),
        ("http://exa%6dple.org/", "host is"),
        ("http://a..b/", "host is"),
        ("http://" + "a" * 64 + ".example/", "host is"),
        ("http://" + "a." * 130 + "example/", "host is"),
        ("http://\u2100.example/", "(host is|not a URL)"),
        ("http://localhost/", "this machine"),
        ("http://LOCALHOST./", "this machine"),
        ("http://a.localhost/", "this machine"),
        ("https://example.org/" + "a" * MAX_LENGTH, "8,020 characters"),
    ],
)
def test_refuses(url: str, why: str) -> None:
    with pytest.raises(UrlRefused, match=why) as caught:
        read(url)
    assert caught.value.retryable is False
    assert "secret" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_localhost_where_private_is_allowed() -> None:
    assert read("http://localhost:8000/a", allow_private=True).host == "localhost"


@pytest.mark.parametrize(
    ("location", "to"),
    [
        ("/b", "https://a.example/b"),
        ("b?c", "https://a.example/x/b?c"),
        ("//b.example", "https://b.example/"),
        ("https://b.example/ü", "https://b.example/%C3%BC"),
    ],
)
def test_redirects(location: str, to: str) -> None:
    assert str(redirected(read("https://a.example/x/y"), location)) == to


@pytest.mark.parametrize("location", ["http://a.example/", "ftp://a.example/", "https://u:p@a.example/", "//[x"])
def test_redirects_that_lead_down(location: str) -> None:
    with pytest.raises(UrlRefused):
        redirected(read("https://a.example/x/y"), location)


def test_http_may_lead_to_http() -> None:
    assert redirected(read("http://a.example/"), "http://b.example/").scheme == "http"


@given(st.one_of(st.text(), st.text("htps:/[]@%.?#\\0123localhost é\n").map("http://".__add__)))
def test_a_url_or_one_error(text: str) -> None:
    assert shown(text).isprintable()
    try:
        url = read(text)
    except UrlRefused:
        return
    assert isinstance(url, Url)
    assert str(url).isascii()
    assert read(str(url)) == url


_WORD = st.text("abcdefghijklmnopqrstuvwxyz", min_size=6, max_size=6)


@given(_WORD, _WORD, _WORD, st.sampled_from(["http://", "https:///", "ftp://", "//", "http:"]))
def test_what_is_shown_has_no_secret(user: str, password: str, signature: str, scheme: str) -> None:
    text = shown(f"{scheme}{user}:1{password}@h.example/p?s=2{signature}#f")
    assert "1" + password not in text
    assert "2" + signature not in text
    assert text.endswith("h.example/p?...")
