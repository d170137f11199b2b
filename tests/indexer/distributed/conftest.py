"""A real Ray cluster on loopback: two nodes, each with a raylet of its own. Jobs run in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from oneword import indexer
from tests.indexer import corpus

ROOT = Path(indexer.__file__).parents[2]
NODE = {"num_cpus": 2, "object_store_memory": 150 * 2**20}
QUIET = {"RAY_USAGE_STATS_ENABLED": "0"}


@pytest.fixture(scope="session")
def cluster() -> Iterator[Any]:
    os.environ.update(QUIET, PYTHONPATH=os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("ray")
        from ray.cluster_utils import Cluster

        made = Cluster(initialize_head=True, head_node_args={**NODE, "include_dashboard": False})
    add_node(made)
    yield made
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made.shutdown()


def add_node(cluster: Any) -> Any:
    """One more node. Starting it forks, which Lance warns of."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = cluster.add_node(**NODE)
        cluster.wait_for_nodes()
    return made


@pytest.fixture
def paths(tmp_path: Path) -> list[str]:
    """2 texts and 6 pictures cannot be indexed."""
    return corpus.write(tmp_path, texts=600, long=12, pictures=120, broken=20)


def wait_until(what: Callable[[], Any], seconds: float = 120) -> Any:
    end = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)
    return found


def start(*arguments: Any, errors: Any = None) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, *map(str, arguments)], stdout=subprocess.PIPE, stderr=errors, text=True)
