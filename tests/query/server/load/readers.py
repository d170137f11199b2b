"""Clients that read, and know what they must be told."""

from typing import Any

from client import Client
from words import BASE, base_id, text_of

SAME = 0.99  # cosine of a text to itself, stored in half precision; of two texts it is below 0.8


def found(hits: list[dict[str, Any]]) -> list[str]:
    """Their ids."""
    return [hit["id"] for hit in hits]


class Reader(Client):
    """Searches for texts of the base, one by one, in batches, filtered, by item; and reads items. Counts."""

    async def turn(self) -> None:
        """One request."""
        await self.draw.choice([self._search, self._search, self._search, self._filtered, self._batch, self._get])()

    async def _search(self) -> None:
        number = self.draw.randrange(self.size)
        told = await self.ask("search", "/search", {"text": text_of(base_id(number)), "limit": 5})
        self._check(told["hits"], number, 5)

    async def _filtered(self) -> None:
        number = self.draw.randrange(self.size)
        asked = {"text": text_of(base_id(number)), "limit": 5, "filter": f"kind = {BASE}"}
        told = await self.ask("filtered search", "/search", asked)
        self._check(told["hits"], number, 5)
        kinds = {hit["metadata"]["kind"] for hit in told["hits"]}
        self.expect(kinds == {BASE} and told["total"] == self.size, "filter let others through", (kinds, told["total"]))

    async def _batch(self) -> None:
        numbers = [self.draw.randrange(self.size) for _ in range(4)]
        queries = [{"text": text_of(base_id(number)), "limit": 3} for number in numbers]
        told = await self.ask("batch", "/search:batch", {"queries": queries})
        for number, result in zip(numbers, told["results"], strict=True):
            if "error" in result:
                self.expect(False, "a query of a batch failed", result)
                continue
            self._check(result["hits"], number, 3)
            self.expect(result["version"] == told["version"], "a batch of several versions", told["version"])

    async def _get(self) -> None:
        item = base_id(self.draw.randrange(self.size))
        if self.draw.random() < 0.5:
            told = await self.ask("get", f"/items/{item}", method="GET")
            self.expect((told["id"], told["text"]) == (item, text_of(item)), "another item", told)
        else:
            counted = await self.ask("count", "/items:count", {"filter": f"kind = {BASE}"})
            self.expect(counted["count"] == self.size, "the base was counted otherwise", counted)

    def _check(self, hits: list[dict[str, Any]], number: int, limit: int) -> None:
        item, scores = base_id(number), [hit["score"] for hit in hits]
        right = bool(hits) and hits[0]["id"] == item and scores[0] > SAME and hits[0]["text"] == text_of(item)
        self.expect(right, "not the nearest", (item, hits[:2]))
        self.expect(len(set(found(hits))) == limit, "not as many hits as asked for", (item, found(hits)))
        self.expect(scores == sorted(scores, reverse=True), "hits out of order", scores)


class Pager(Client):
    """Turns pages of one version: none has an item twice, together they are what one longer page has, also later."""

    async def turn(self) -> None:
        """Four pages, the same at once, and the first one again."""
        asked: dict[str, Any] = {"text": text_of(f"page {self.draw.randrange(self.size)}"), "limit": 10}
        first = await self.ask("page", "/search", asked)
        asked["version"] = version = first["version"]
        pages = [found(first["hits"])]
        for offset in (10, 20, 30):
            told = await self.ask("page", "/search", {**asked, "offset": offset}, newest=False)
            pages.append(found(told["hits"]))
            same = (told["version"], told["total"]) == (version, first["total"])
            self.expect(same, "a page of another version", (version, first["total"], told["version"], told["total"]))
        joined = [one for page in pages for one in page]
        self.expect(len(set(joined)) == 40, "pages with repeats or holes", joined)
        longer = await self.ask("page", "/search", {**asked, "limit": 40}, newest=False)
        self.expect(found(longer["hits"]) == joined, "pages that do not join", (joined, found(longer["hits"])))
        again = await self.ask("page", "/search", asked, newest=False)
        self.expect(found(again["hits"]) == pages[0], "another page at the same version", (pages[0], again))


class Scroller(Client):
    """Reads the whole collection by cursor: each item once, the whole base among them, and as many as were counted."""

    async def turn(self) -> None:
        """From the first page to the last."""
        seen: list[str] = []
        cursor, versions = None, set()
        while True:
            told = await self.ask(
                "scroll",
                "/items:scroll",
                {"limit": 500, "cursor": cursor} if cursor else {"limit": 500},
                newest=not cursor,
            )
            seen += found(told["items"])
            versions.add(told["version"])
            cursor = told["cursor"]
            if cursor is None:
                break
        self.expect(len(versions) == 1, "a scroll of several versions", versions)
        self.expect(len(set(seen)) == len(seen), "a scroll with repeats", len(seen) - len(set(seen)))
        base = {one for one in seen if one.startswith(f"{BASE}-")}
        self.expect(len(base) == self.size, "a scroll without all of the base", len(base))


class Checker(Client):
    """Looks for what others have written, perhaps through another replica, as soon as it was acknowledged."""

    async def turn(self) -> None:
        """One of the latest, by its text and by its id; while there is none, one of the base."""
        latest = self.tally.kept[-8:] or [(base_id(0), text_of(base_id(0)))]
        item, text = self.draw.choice(latest)
        told = await self.ask("search of others'", "/search", {"text": text, "limit": 1})
        self.expect(found(told["hits"]) == [item], "an acknowledged item is not found", (item, told))
        read = await self.ask("get of others'", "/items:get", {"ids": [item]})
        self.expect([one["text"] for one in read["items"]] == [text], "an acknowledged item is not there", read)
