#!/usr/bin/env bash
# SLURM: the job that leads a run. It starts the scheduler, asks for the GPU workers (workers.sh), and runs lensdask:
#
#   sbatch run.sh shear bias RUN_DIR --galaxies 40000000 --estimator d4cnn
#
# and likewise any other command of lensdask that takes --cluster. Submit it from the folder that holds both scripts, with
# lensdask on the PATH and DASK_CONFIG exported (../make_certificates.py). That folder, what the command reads and writes,
# and lensdask itself must be on a file system that all nodes see.
#SBATCH --job-name=lensdask
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=2
#SBATCH --mem-per-cpu=4G
#SBATCH --time=24:00:00
# Two minutes before the end this script is told, and puts itself into the queue again.
#SBATCH --signal=B:USR1@120
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x-%j.log
set -euo pipefail

: "${DASK_CONFIG:?expected the dask.yaml that make_certificates.py wrote}"
: "${1:?expected a command of lensdask and its arguments, such as shear bias RUN_DIR --galaxies N}"

# It holds addresses, and is of no use tomorrow. One left by this job before it was requeued would mislead.
scheduler_file=$PWD/lensdask-$SLURM_JOB_ID.scheduler.json
rm -f "$scheduler_file"

# SLURM names each node as the others reach it. The dashboard stays on loopback, since it asks for no certificate.
dask scheduler --protocol tls --host "$SLURMD_NODENAME" --port 0 \
    --dashboard-address 127.0.0.1:0 --scheduler-file "$scheduler_file" &
scheduler=$!
workers=$(sbatch --parsable workers.sh "$scheduler_file")

finish() {
    scancel "$workers" || true
    jobs -p | xargs -r kill || true
    rm -f "$scheduler_file"
}
trap finish EXIT
trap 'scontrol requeue "$SLURM_JOB_ID"' USR1

until [[ -s $scheduler_file ]]; do
    kill -0 "$scheduler"
    sleep 1
done

# --resume starts a run that is not there, and continues one that was cut off; results are bit-identical. In the background,
# because bash handles signals only between commands and while it waits.
[[ " $* " == *" --device "* ]] || set -- "$@" --device cuda
lensdask "$@" --cluster "$scheduler_file" --resume &
wait "$!"
