"""Routes of a collection: a request whose collection is replaced meanwhile is answered by the new one."""

from collections.abc import Callable, Coroutine
from inspect import signature
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

from oneword.query.server.registry import state_of
from oneword.storage import CollectionNotFound, SpaceMismatch

MOVED = (SpaceMismatch, CollectionNotFound)
"""What reading and writing raise once another collection has taken the name."""

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class CollectionRoute(APIRoute):
    """Handles a request once more, from its start, if its collection was replaced meanwhile.

    So every answer is of one collection: neither a vector of the old space nor half of a batch reaches the new one.
    """

    def _plain(self) -> Handler | None:
        """Calls an endpoint that takes the request and the collection's name alone, and returns a response; else None.

        FastAPI's own handler looks for parameters that are not there, which takes 0.1 ms.
        """
        declared = signature(self.endpoint)
        if list(declared.parameters) != ["request", "collection"] or declared.return_annotation is not Response:
            return None
        callers = [one.call for one in self.dependant.dependencies if one.call is not None]  # of `needs`

        async def handled(request: Request) -> Response:
            for caller in callers:
                await caller(request)
            response: Response = await self.endpoint(request, request.path_params["collection"])
            return response

        return handled

    def get_route_handler(self) -> Handler:
        """As `APIRoute.get_route_handler`."""
        handle = self._plain() or super().get_route_handler()

        async def handled(request: Request) -> Response:
            name, collections = request.path_params.get("collection"), state_of(request).collections
            if name is None:
                return await handle(request)
            before = collections.open.get(name)
            await request.body()  # is kept, to be read twice
            try:
                return await handle(request)
            except MOVED:
                if not await collections.replaced(name, before):
                    raise
            return await handle(request)

        return handled
