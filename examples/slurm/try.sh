#!/bin/sh
# Tries losses.sh on a Slurm of one node, which is this machine: one task is killed, another is
# requeued while it runs, and the report must be that of the same comparison in one process.
# For a Debian machine or container without Slurm, as root, with deno in the PATH:
#
#   apt-get install -y munge slurm-wlm
#   sh examples/slurm/try.sh
#
# It takes about three minutes, most of which Slurm waits before it starts a requeued task.
set -eu
cd "$(dirname "$0")/../.."
folder=$(mktemp -d)
options="--losses sft,msl --seeds 4 --layers 1 --epochs 8 --limit-users 400 --verify-users 10"
echo "Logs, runs and reports: $folder"

## One node with 2 CPUs. Without cgroups, so that it runs in a container.
cat > "$folder/slurm.conf" <<END
ClusterName=try
SlurmctldHost=$(hostname)
SlurmUser=root
NodeName=$(hostname) CPUs=2
PartitionName=all Nodes=ALL Default=YES
SlurmdParameters=config_overrides
SelectType=select/cons_tres
ProctrackType=proctrack/pgid
TaskPlugin=task/none
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
END
echo "CgroupPlugin=disabled" > "$folder/cgroup.conf"
export SLURM_CONF="$folder/slurm.conf"
stop() {
  for daemon in "$folder/slurmd" "$folder/slurmctld" /run/munge/munged; do
    kill "$(cat "$daemon.pid")" || true
  done
}
trap stop EXIT
install -d -o munge -g munge /run/munge
runuser -u munge -- munged
slurmctld
slurmd
until sinfo --noheader --format=%T | grep -q idle; do sleep 1; done

## What it must be.
# shellcheck disable=SC2086 # options are several words
deno task compare $options --out "$folder/whole" --threads 2 > "$folder/whole.log" 2>&1

## The array, and its report once all tasks have ended.
runs="$folder/runs"
log="$folder/task-%a.log"
# shellcheck disable=SC2086
job=$(sbatch --parsable --output="$log" examples/slurm/losses.sh "$runs" $options)
report=$(sbatch --parsable --output="$folder/report.log" --dependency="afterany:$job" \
  --wrap "deno task report $runs/part* --out $runs")
state() { squeue --noheader --array --jobs="$1" --format=%T 2> /dev/null || true; }

## Task 0 is killed once it has saved an epoch, and comes back as if on another node.
until [ -f "$runs/part0/sft-seed0/state.safetensors" ]; do sleep 0.1; done
lock="$runs/part0/sft-seed0/.lock"
kill -KILL "$(sed 's/.*"pid":\([0-9]*\).*/\1/' "$lock")"
while [ "$(state "${job}_0")" = RUNNING ]; do sleep 0.1; done
sed -i 's/"host":"[^"]*"/"host":"another"/' "$lock"
scontrol requeue "${job}_0"

## Task 1 is requeued while it runs, as when a node is needed for something else.
until [ -f "$runs/part1/msl-seed0/state.safetensors" ]; do sleep 0.1; done
scontrol requeue "${job}_1"

while [ -n "$(state "$report")" ]; do sleep 1; done

## The checks.
for task in 0 1; do grep "goes on after epoch" "$folder/task-$task.log"; done
for run in "$folder"/whole/*/; do
  name=$(basename "$run")
  cmp "$run/model.safetensors" "$runs"/part*/"$name/model.safetensors"
done
cmp "$folder/whole/report-metrics.csv" "$runs/report-metrics.csv"
echo "The report and the weights of all runs are those of one process: $runs/report.md"
