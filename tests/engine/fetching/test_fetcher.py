"""The fetcher against real servers: what it gives, what it refuses, and when it stops."""

import gzip
import pickle
from dataclasses import replace

import pytest

from oneword.engine.errors import FetchError, FetchFailed, FetchTooLarge, InputError, UrlRefused
from oneword.engine.fetching import FetchConfig, Fetcher

from .conftest import HERE, failure, fetch, send


def test_fetches(serve):
    server = serve(lambda handler: send(handler, body=b"a picture", Content_Type="image/png"))
    got = fetch(f"{server.url}/a%20b?c=d#e")
    assert (got.data, got.url, got.content_type) == (b"a picture", f"{server.url}/a%20b?c=d", "image/png")
    (path, headers), *_ = server.asked
    assert path == "/a%20b?c=d"
    assert headers["Host"] == f"127.0.0.1:{server.port}"
    assert headers["Accept-Encoding"] == "identity"
    assert headers["User-Agent"].startswith("oneword/")
    assert not {"Authorization", "Cookie", "Referer"} & set(headers)


def test_a_body_of_unknown_length(serve):
    def answer(handler):
        handler.send_response(200)
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.wfile.write(b"x" * 1000)

    got = fetch(serve(answer).url)
    assert (len(got.data), got.content_type) == (1000, None)


def test_connections_are_kept_and_proxies_ignored(serve, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    clients = []
    server = serve(lambda handler: (clients.append(handler.client_address), send(handler, body=b"x")))
    with Fetcher(HERE) as fetcher:
        for _ in range(3):
            fetcher.fetch(server.url)
    assert len(clients) == 3
    assert len(set(clients)) == 1


class TestAddresses:
    FORMS = (
        *("127.0.0.1", "127.1", "127.0.1", "127.127.127.127", "2130706433", "0x7f000001", "0x7f.1", "017700000001"),
        *("0177.0.0.1", "0x7f.0.0.0x1", "127.0.0.1.", "0", "0.0.0.0", "１２７.0.0.1", "127。0。0。1", "①②⑦.0.0.1"),
        *("[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]", "[0:0:0:0:0:0:0:1]"),
        *("[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[2001:0:7f00:1::]", "[fe80::1]", "[fd00:ec2::254]", "[fc00::1]"),
        *("10.0.0.1", "172.16.0.1", "192.168.0.1", "169.254.169.254", "2852039166", "100.64.0.1", "198.18.0.1"),
        *("224.0.0.1", "255.255.255.255", "localhost", "LocalHost.", "a.localhost"),
    )

    @pytest.mark.parametrize("host", FORMS)
    def test_forms_that_lead_inside(self, serve, world, host):
        server = serve(lambda handler: send(handler, body=b"secret"))
        with pytest.raises((UrlRefused, FetchFailed)) as caught:
            fetch(f"http://{host}:{server.port}/", FetchConfig(tries=1), getaddrinfo=world.getaddrinfo)
        if not host.startswith("127.0.0.1."):  # some resolvers take this for a name, and it has no address
            assert isinstance(caught.value, UrlRefused)
        assert not server.asked
        assert not world.connected

    @pytest.mark.parametrize(
        "addresses",
        [["127.0.0.1"], ["93.184.216.34", "10.0.0.1"], ["::ffff:192.168.0.1"], ["2606:4700::1111", "fe80::1%eth0"]],
    )
    def test_public_names_that_lead_inside(self, world, addresses):
        world.add("rebind.example", addresses)
        why = r"rebind\.example/: rebind\.example leads to an address that .*expected public .*allow_private"
        failure(UrlRefused, why, "https://rebind.example/", FetchConfig(), getaddrinfo=world.getaddrinfo)
        assert not world.connected

    def test_a_name_that_answers_otherwise_the_next_time(self, serve, world):
        server = serve(lambda handler: send(handler, body=b"fine", Connection="close"))
        world.add("rebind.example", ["93.184.216.34"], ["127.0.0.1"])
        url = f"http://rebind.example:{server.port}/"
        with Fetcher(FetchConfig(), getaddrinfo=world.getaddrinfo) as fetcher:
            assert fetcher.fetch(url).data == b"fine"
            assert world.resolved == ["rebind.example"]  # once: what was checked is what was connected to
            assert world.connected == ["93.184.216.34"]
            with pytest.raises(UrlRefused):
                fetcher.fetch(url)
        assert world.connected == ["93.184.216.34"]
        assert server.paths == ["/"]

    def test_metadata_stays_closed_where_private_is_open(self, world):
        url = "http://169.254.169.254/latest/meta-data/"
        failure(UrlRefused, "metadata", url, HERE, getaddrinfo=world.getaddrinfo)
        assert not world.connected

    def test_the_next_address_is_tried(self, serve, world, monkeypatch):
        server = serve(lambda handler: send(handler, body=b"x"))
        monkeypatch.undo()  # the world's names, but real connections: nobody listens on ::1
        world.add("two.test", ["::1", "127.0.0.1"])
        assert fetch(f"http://two.test:{server.port}/", getaddrinfo=world.getaddrinfo).data == b"x"


class TestRedirects:
    def test_followed_at_most_so_often(self, serve):
        def answer(handler):
            left = int(handler.path[1:])
            send(handler, 302, Location=f"/{left - 1}") if left else send(handler, body=b"end")

        server = serve(answer)
        assert fetch(f"{server.url}/5").url == f"{server.url}/0"
        server.asked.clear()
        assert not failure(FetchFailed, "more than 5 times", f"{server.url}/6").retryable
        assert len(server.asked) == 6

    @pytest.mark.parametrize(
        "location",
        [
            *("http://127.0.0.1:{port}/secret", "http://[::1]:{port}/secret", "http://2130706433:{port}/secret"),
            *("//localhost:{port}/secret", "http://inside.example:{port}/secret", "file:///etc/passwd"),
            *("http://user:pw@open.example:{port}/secret", "gopher://open.example/", "http://169.254.169.254/"),
        ],
    )
    def test_inside(self, serve, world, location):
        server = serve(lambda handler: send(handler, 301, Location=location.format(port=server.port)))
        world.add("open.example", ["93.184.216.34"])
        world.add("inside.example", ["10.1.2.3"])
        url = f"http://open.example:{server.port}/start"
        failure(UrlRefused, f"redirected to from {url}", url, FetchConfig(), getaddrinfo=world.getaddrinfo)
        assert server.paths == ["/start"]

    def test_to_another_public_host(self, serve, world):
        def answer(handler):
            if handler.path == "/start":
                return send(handler, 307, Location=f"http://other.example:{server.port}/end")
            return send(handler, body=b"end")

        server = serve(answer)
        world.add("open.example", ["93.184.216.34"])
        world.add("other.example", ["93.184.216.35"])
        got = fetch(f"http://open.example:{server.port}/start", FetchConfig(), getaddrinfo=world.getaddrinfo)
        assert (got.data, got.url) == (b"end", f"http://other.example:{server.port}/end")
        assert world.connected == ["93.184.216.34", "93.184.216.35"]


class TestSize:
    def test_told_beforehand(self, serve):
        def answer(handler):
            send(handler, Content_Length=str(10**9))

        why = r"1,000,000,000 bytes, expected at most 1,000"
        failure(FetchTooLarge, why, serve(answer).url, replace(HERE, max_bytes=1000))

    @pytest.mark.parametrize("chunked", [False, True])
    def test_endless(self, serve, chunked):
        def answer(handler):
            handler.send_response(200)
            handler.send_header(*(("Transfer-Encoding", "chunked") if chunked else ("Connection", "close")))
            handler.end_headers()
            while True:
                handler.wfile.write(b"400\r\n%b\r\n" % bytes(1024) if chunked else bytes(1024))

        small = replace(HERE, max_bytes=100_000)
        assert not failure(FetchTooLarge, "more than 100,000 bytes", serve(answer).url, small).retryable

    def test_a_length_that_lies(self, serve):
        def answer(handler):
            send(handler, Content_Length="10")
            while True:
                handler.wfile.write(bytes(1024))

        server = serve(answer)
        assert fetch(server.url, replace(HERE, max_bytes=1000)).data == bytes(10)

    def test_at_the_cap(self, serve):
        server = serve(lambda handler: send(handler, body=bytes(1000)))
        assert len(fetch(server.url, replace(HERE, max_bytes=1000)).data) == 1000
        with pytest.raises(FetchTooLarge):
            fetch(server.url, replace(HERE, max_bytes=999))

    def test_compressed(self, serve):
        bomb = gzip.compress(bytes(10_000_000))
        server = serve(lambda handler: send(handler, body=bomb, Content_Encoding="gzip"))
        assert not failure(FetchFailed, r"compressed .'gzip'.*identity", server.url).retryable
        assert len(server.asked) == 1


class TestTls:
    def test_signed_by_itself(self, serve, world):
        server = serve(lambda handler: send(handler, body=b"x"), tls=True)
        world.add("pictures.test", ["127.0.0.1"])
        url, options = f"https://pictures.test:{server.port}/", {"getaddrinfo": world.getaddrinfo, "ssl_context": None}
        error = failure(FetchFailed, r"certificate is not trusted .self", url, **options)
        assert not server.asked
        assert (error.tries, error.retryable) == (1, False)

    def test_trusted_for_the_name_asked_for(self, serve, world, trusting):
        server = serve(lambda handler: send(handler, body=b"x"), tls=True)
        world.add("pictures.test", ["127.0.0.1"])
        world.add("other.test", ["127.0.0.1"])
        options = {"getaddrinfo": world.getaddrinfo, "ssl_context": trusting}
        assert fetch(f"https://pictures.test:{server.port}/", **options).data == b"x"
        why = r"certificate is not trusted .*other.test"
        failure(FetchFailed, why, f"https://other.test:{server.port}/", **options)

    def test_no_way_down(self, serve, world, trusting):
        plain = serve(lambda handler: send(handler, body=b"x"))
        server = serve(lambda handler: send(handler, 302, Location=plain.url), tls=True)
        world.add("pictures.test", ["127.0.0.1"])
        with pytest.raises(UrlRefused, match="expected https; redirected to from https"):
            fetch(f"https://pictures.test:{server.port}/", getaddrinfo=world.getaddrinfo, ssl_context=trusting)
        assert not plain.asked


def test_close_ends_waits(serve):
    fetcher = Fetcher(replace(HERE, longest_wait=60.0))
    server = serve(lambda handler: (send(handler, 503, Retry_After="15"), fetcher.close()))
    with pytest.raises(FetchFailed):
        fetcher.fetch(server.url)
    assert len(server.asked) == 1


@pytest.mark.parametrize("error", [UrlRefused("a"), FetchTooLarge("b"), FetchFailed("c", retryable=True, tries=3)])
def test_errors_are_of_one_input_and_travel(error):
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))
    assert isinstance(error, FetchError)
    assert issubclass(FetchError, InputError)


@pytest.mark.parametrize(
    "options", [{"tries": 0}, {"deadline": -1.0}, {"max_bytes": 0}, {"interval": float("nan")}, {"user_agent": "a\nb"}]
)
def test_limits_that_make_no_sense(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        FetchConfig(**options)
