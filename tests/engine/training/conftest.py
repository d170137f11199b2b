"""A small base and a file of triples for all tests of `oneword.engine.training`."""

import csv
from pathlib import Path

import pytest

from oneword.engine.training import Recipe
from tests.tiny import make_checkpoint, sentences


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_checkpoint(tmp_path_factory.mktemp("base"), hidden=32, seed=3)


@pytest.fixture(scope="session")
def triples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """50 rows under SimCSE's names."""
    path = tmp_path_factory.mktemp("data") / "triples.csv"
    others = sentences(50, seed=2)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["sent0", "sent1", "hard_neg"])
        writer.writerows((said, said.replace("the ", "this "), others[i]) for i, said in enumerate(sentences(50)))
    return path


@pytest.fixture
def recipe() -> Recipe:
    return Recipe.named("small", steps=6, warm_up_steps=2, batch=12, micro_batch=12, save_every=2, lora={"rank": 4})
