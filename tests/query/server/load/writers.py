"""Clients that write items of their own, and read each write back as soon as it was acknowledged."""

from collections import deque
from typing import Any

from client import Client, Lost
from readers import SAME, found
from words import text_of

MOST = 40  # items of a client that may be changed: beyond, it deletes, so that the collection does not grow for ever
KEPT = 100  # items of a client that others look for: the oldest may be changed again


class Writer(Client):
    """Stores, changes and deletes items that nobody else writes, so that it knows what the store must say of them."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._made = 0
        self._editions: dict[str, int] = {}  # of the items that are there for certain, and may be changed or deleted
        self._kept: deque[str] = deque()

    async def turn(self) -> None:
        """One write, and what it must have changed."""
        does = self.draw.random()
        if (does < 0.5 and len(self._editions) < MOST) or not self._editions:
            await self._store()
        elif 0.5 <= does < 0.75:
            await self._change(self.draw.choice(list(self._editions)))
        else:
            await self._delete(self.draw.choice(list(self._editions)))

    async def _store(self) -> None:
        ids = [f"{self.prefix}-{self.number}-{self._made + place}" for place in range(self.draw.choice([1, 1, 2, 5]))]
        self._made += len(ids)
        await self._upsert({item: text_of(item) for item in ids}, "added")
        self._editions |= dict.fromkeys(ids, 0)
        if self.draw.random() < 0.3:
            del self._editions[ids[0]]
            self.tally.kept.append((ids[0], text_of(ids[0])))
            self._kept.append(ids[0])
            if len(self._kept) > KEPT:
                self._editions[self._kept.popleft()] = 0
        await self._found(ids[0], text_of(ids[0]))

    async def _change(self, item: str) -> None:
        before, edition = text_of(item, self._editions[item]), self._editions[item] + 1
        await self._upsert({item: text_of(item, edition)}, "updated")
        self._editions[item] = edition
        await self._found(item, text_of(item, edition))
        told = await self.ask("search for what was changed", "/search", {"text": before, "limit": 3})
        scores = {hit["id"]: hit["score"] for hit in told["hits"]}
        self.expect(scores.get(item, 0) < SAME, "an item is found by its old text", (item, before))

    async def _delete(self, item: str) -> None:
        text, one = text_of(item, self._editions.pop(item)), self.draw.random() < 0.5
        self.tally.uncertain.add(item)
        try:
            if one:
                await self.ask("delete", f"/items/{item}", method="DELETE", expect=204)
            else:
                told = await self.ask("delete", "/items:delete", {"ids": [item]})
                self.expect(told["deleted"] == 1, "a delete of another count", (item, told))
                self.tally.version = max(self.tally.version, told["version"])
        except Lost:
            raise
        except Exception:  # told to wait, or nobody was there to take it
            self.tally.uncertain.discard(item)
            raise
        self.tally.uncertain.discard(item)
        self.tally.alive.pop(item)
        self.tally.deleted.add(item)
        told = await self.ask("search for what was deleted", "/search", {"text": text, "limit": 3})
        self.expect(item not in found(told["hits"]), "a deleted item is found", (item, told["version"]))
        read = await self.ask("get of what was deleted", "/items:get", {"ids": [item]})
        self.expect(read["missing"] == [item], "a deleted item is there", read)

    async def _upsert(self, texts: dict[str, str], becomes: str) -> None:
        items = [{"id": item, "text": text, "metadata": {"kind": self.prefix}} for item, text in texts.items()]
        self.tally.uncertain |= set(texts)
        try:
            told = await self.ask("upsert", "/items", {"items": items})
        except Lost:
            for item in texts:  # whatever it is now, it is left alone
                self._editions.pop(item, None)
            raise
        except Exception:
            self.tally.uncertain -= set(texts)
            raise
        self.tally.uncertain -= set(texts)
        self.tally.alive |= texts
        self.tally.version = max(self.tally.version, told["version"])
        became = [(one["id"], one["status"]) for one in told["items"]]
        self.expect(became == [(item, becomes) for item in texts], f"not {becomes}", (list(texts), told))

    async def _found(self, item: str, text: str) -> None:
        told = await self.ask("search for what was written", "/search", {"text": text, "limit": 2})
        best = told["hits"][0]
        right = best["id"] == item and best["score"] > SAME and best["text"] == text
        self.expect(right, "a write is not found", (item, text, told))
        read = await self.ask("get of what was written", f"/items/{item}", method="GET")
        self.expect(read["text"] == text, "a write is not there", read)
