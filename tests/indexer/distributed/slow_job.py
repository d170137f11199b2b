"""A job on a cluster, in a process of its own: small shares and commits, and workers that take their time and tell what
they embed.

    python slow_job.py ADDRESS DB LOG SECONDS PATH...
"""

import json
import sys
from typing import Any

import ray

from oneword.indexer import RayConfig, RayRunner, index_paths, write
from oneword.indexer.distributed import shares

address, db, log, seconds, *paths = sys.argv[1:]


def slow() -> None:
    """Runs in every worker before anything else."""
    import os
    import time

    from oneword.indexer import embed

    begun = embed.Started

    def telling(contents: Any, *rest: Any) -> Any:
        with open(log, "a") as file:  # noqa: PTH123 - one write, which is whole
            file.write("".join(f"{os.getpid()} {one}\n" for one in contents))
        time.sleep(float(seconds))
        return begun(contents, *rest)

    embed.Started = telling


shares.WEIGHT, write.SECONDS = 64, 0.5
ray.init(address=address, log_to_driver=False, runtime_env={"worker_process_setup_hook": slow})
print("ready", flush=True)
report = index_paths(paths, db=db, model="hash", runner=RayRunner(RayConfig(address=address, workers=2, timeout=5)))
print(json.dumps(report.as_dict()), flush=True)
