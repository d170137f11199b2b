from pathlib import Path

import pytest

from oneword.query.errors import Exposed
from oneword.query.server.app import check_exposed
from oneword.query.server.config import ServerConfig, is_loopback

OUTSIDE = ["0.0.0.0", "::", "", "192.168.1.5", "10.0.0.1", "2001:db8::1", "myhost", "localhost.example.org", "127.1"]


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "127.0.0.1", "127.8.9.1", "::1", "0:0:0:0:0:0:0:1"])
def test_this_machine_needs_no_keys(host: str) -> None:
    assert is_loopback(host)
    check_exposed(ServerConfig(host=host))


@pytest.mark.parametrize("host", OUTSIDE)
def test_others_do_unless_it_is_said(host: str) -> None:
    assert not is_loopback(host)
    with pytest.raises(Exposed, match=r"oneword keys create NAME.*--insecure") as caught:
        check_exposed(ServerConfig(host=host))
    assert repr(host) in str(caught.value)
    check_exposed(ServerConfig(host=host, insecure=True))
    check_exposed(ServerConfig(host=host, keys_file=Path("keys.toml")))
