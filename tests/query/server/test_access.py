import asyncio
from typing import Annotated

import httpx
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import Response

from oneword.query.server.app import protected
from oneword.query.server.auth import needs
from oneword.query.server.config import ServerConfig
from oneword.query.server.keys import SCOPES, Key, Keys, make
from oneword.query.server.problem import Problem

MADE = {scope: make(scope, scope) for scope in SCOPES}


@pytest.fixture
def app() -> FastAPI:
    one = FastAPI()

    @one.exception_handler(Problem)
    async def tell(request: Request, problem: Problem) -> Response:
        return problem.response(request.scope["state"]["request_id"])

    for scope in SCOPES:

        @one.get(f"/v1/{scope}", dependencies=[needs(scope)])
        async def route() -> str:
            return "ok"

    @one.get("/v1/me")
    async def me(caller: Annotated[Key, needs("read")]) -> str:
        return caller.name

    @one.get("/web/admin", dependencies=[needs("admin")])
    async def mistaken() -> str:
        return "ok"

    return one


def ask(app: FastAPI, path: str, key: str, keys: bool = True) -> httpx.Response:
    guard = protected(app, ServerConfig(), Keys(key for key, _ in MADE.values()) if keys else None)

    async def main() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(guard), base_url="http://localhost") as http:
            return await http.get(path, headers={"api-key": key})

    return asyncio.run(main())


@pytest.mark.parametrize("held", SCOPES)
@pytest.mark.parametrize("needed", SCOPES)
def test_a_route_lets_in_who_has_its_scope(app: FastAPI, held: str, needed: str) -> None:
    answer = ask(app, f"/v1/{needed}", MADE[held][1])
    if SCOPES.index(held) >= SCOPES.index(needed):
        assert answer.json() == "ok"
    else:
        assert (answer.status_code, answer.json()["code"]) == (403, "scope_missing")
        assert f"needs the scope {needed!r}" in answer.json()["detail"]


def test_a_route_may_ask_who_it_is(app: FastAPI) -> None:
    assert ask(app, "/v1/me", MADE["write"][1]).json() == "write"
    assert ask(app, "/v1/me", "", keys=False).json() == "anyone"
    assert ask(app, "/v1/admin", "", keys=False).json() == "ok"


def test_a_public_path_that_needs_a_scope_is_shut(app: FastAPI) -> None:
    answer = ask(app, "/web/admin", MADE["admin"][1])
    assert (answer.status_code, answer.json()["code"]) == (401, "key_missing")
