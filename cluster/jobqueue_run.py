"""A run on SLURM from Python, with the configuration of jobqueue.yaml: DASK_CONFIG must name the certificates."""

from pathlib import Path

from dask_jobqueue import SLURMCluster

from lensdask.shear import RunOptions, run_bias

if __name__ == "__main__":
    with SLURMCluster() as cluster:
        cluster.adapt(minimum_jobs=1, maximum_jobs=8)
        # The address rather than a client: lensdask then sets up the workers itself, for the same bits everywhere.
        options = RunOptions(cluster=cluster.scheduler_address, device="cuda", if_exists="resume")
        print(run_bias(Path("run"), galaxies=1_000_000, estimator="d4cnn", options=options).bias)
