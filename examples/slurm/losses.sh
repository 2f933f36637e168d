#!/bin/sh
# Compares losses as an array job of Slurm. From the folder of the project:
#
#   sbatch examples/slurm/losses.sh runs/office --data data/office --losses sft,msl,bear --seeds 8
#
#SBATCH --job-name=losses
#SBATCH --array=0-7
#SBATCH --cpus-per-task=2
#SBATCH --time=12:00:00
#SBATCH --signal=B:USR1@180
#SBATCH --requeue
#SBATCH --open-mode=append

# As many as the array has. SLURM_ARRAY_TASK_COUNT is 1 if one task is submitted again.
parts=8
out=${1:?name the folder of the runs}/part$SLURM_ARRAY_TASK_ID
shift

# Slurm ends a task before it starts it again, perhaps on another node: its locks are stale.
if [ "${SLURM_RESTART_COUNT:-0}" -gt 0 ]; then rm -f "$out"/*/.lock; fi

# Three minutes before the time limit the task goes back to the queue. SLURM_JOB_ID alone may be
# the id of the whole array.
trap 'scontrol requeue "${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID"' USR1

deno task compare "$@" --out "$out" --shard "$SLURM_ARRAY_TASK_ID/$parts" \
  --threads "$SLURM_CPUS_PER_TASK" &
wait $!
