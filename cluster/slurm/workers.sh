#!/usr/bin/env bash
# SLURM: workers, one for each GPU. run.sh submits this; its argument is the scheduler file.
#
# An array of short jobs, of which four are at work: they fit into gaps of the queue, and when one ends the next takes
# its place; 32 of them in a row last as long as run.sh. A worker leaves before its walltime and hands back what it holds, so that no chunk counts as its victim.
#SBATCH --job-name=lensdask-workers
#SBATCH --array=1-128%4
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=4
#SBATCH --gpus-per-task=1
#SBATCH --cpus-per-task=4
#SBATCH --mem-per-cpu=4G
#SBATCH --time=01:00:00
#SBATCH --output=%x-%A_%a.log
set -euo pipefail

: "${1:?expected a scheduler file}"

# SLURM shows each task its own GPU, which is all that dask-cuda would do for lensdask; nor has its command a lifetime.
# --lifetime +- --lifetime-stagger ends within --time, and --memory-limit is below the 4 x 4G of the task.
# srun does not take --cpus-per-task from the job.
exec srun --cpus-per-task="$SLURM_CPUS_PER_TASK" dask worker --scheduler-file "$1" --protocol tls --host "$SLURMD_NODENAME" \
    --nworkers 1 --nthreads 1 --memory-limit 14GiB --local-directory "${TMPDIR:-/tmp}" \
    --lifetime 50m --lifetime-stagger 5m --death-timeout 120 \
    --no-dashboard --dashboard-address 127.0.0.1:0
