"""A program that makes a run, for tests that kill it: driver.py FOLDER direct|local|ADDRESS."""

import sys
from contextlib import nullcontext
from pathlib import Path

from faults import start_run

from lensdask.compute import start_cluster

if __name__ == "__main__":
    folder, cluster = Path(sys.argv[1]), sys.argv[2]
    workers = 2 if cluster == "local" else None
    with nullcontext() if cluster == "direct" else start_cluster(cluster, workers=workers) as client:
        start_run(folder, {"sleep": 0.1}, client=client, show_progress=client is not None)
