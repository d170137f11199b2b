"""What keeps a service from listening is told in one line, with exit code 1."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from oneword import query
from oneword.query.errors import CannotListen
from oneword.query.server.app import listen
from oneword.query.server.config import ServerConfig

ROOT = Path(query.__file__).parents[2]


def test_a_port_in_use() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "oneword", "serve", "--port", str(port)]
        told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert told.returncode == 1
    assert told.stderr.startswith(f"error: cannot listen on 127.0.0.1, port {port} (address already in use)")
    assert "Traceback" not in told.stderr


def test_a_model_that_there_cannot_be() -> None:
    command = [sys.executable, "-m", "oneword", "serve", "--port", "0", "--model", "nosuch"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert told.returncode == 1
    assert "error: no model is called 'nosuch'" in told.stderr


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_any_free_port(host: str) -> None:
    with listen(ServerConfig(host=host, port=0)) as door:
        assert door.getsockname()[1] > 0


@pytest.mark.parametrize("host", ["192.0.2.1", "no such host", "256.1.1.1"])
def test_an_address_of_another_machine(host: str) -> None:
    with pytest.raises(CannotListen, match="cannot listen on"):
        listen(ServerConfig(host=host, port=0, insecure=True))


def test_certificates_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(CannotListen, match=r"--tls-cert '.*nope.pem' is not a file"):
        listen(ServerConfig(port=0, tls_cert=tmp_path / "nope.pem"))
    (tmp_path / "cert.pem").write_text("")
    with pytest.raises(CannotListen, match="or neither"):
        listen(ServerConfig(port=0, tls_cert=tmp_path / "cert.pem"))
    with pytest.raises(CannotListen, match="expected a certificate chain"):
        listen(ServerConfig(port=0, tls_cert=tmp_path / "cert.pem", tls_key=tmp_path / "cert.pem"))
