#!/bin/bash
#SBATCH --job-name=vit_base
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=4
#SBATCH --time=24:00:00
#SBATCH --signal=B:USR1@300
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=runs/vit_base/submit/%j.log
#SBATCH --cpus-per-task=12
#SBATCH --gpus-per-node=4
#SBATCH --account=lab
#SBATCH --partition=gpu
#SBATCH --exclusive

# Starts job 'vit_base'; written by 'fujimi submit'. Run it where job.toml is found.

MASTER_ADDR=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
MASTER_PORT=$((10000 + SLURM_JOB_ID % 50000))
export MASTER_ADDR MASTER_PORT

srun --nodes=4 --ntasks=4 --ntasks-per-node=1 bash -c 'mkdir -p "/scratch/$SLURM_JOB_ID" && cp -R data/visualatom_1k "/scratch/$SLURM_JOB_ID"' || exit

# A warning goes on to all ranks as SIGUSR1: they write a checkpoint and stop. What starts the ranks passes that on, and
# would end them on SIGTERM.
warned=
run=
warn() {
    warned=$1
    interrupted=1
    [ -z "$run" ] || kill -USR1 "$run"
}
trap 'warn USR1' USR1
trap 'warn TERM' TERM

# A run that fails is started again from its last checkpoint; not so one that is warned, or whose job is wrong (2).
for attempt in $(seq 0 3); do
    [ "$attempt" -eq 0 ] || echo "fujimi submit: exit code $code; restart $attempt of 3" >&2
    srun --distribution=block --kill-on-bad-exit=1 --cpus-per-task=12 bash runs/vit_base/submit/rank.sh &
    run=$!
    [ -z "$warned" ] || kill -USR1 "$run"
    interrupted=1
    while [ -n "$interrupted" ]; do # a warning ends wait, not the run
        interrupted=
        wait "$run"
        code=$?
    done
    run=
    if [ -n "$warned" ] || [ "$code" -eq 0 ] || [ "$code" -eq 2 ]; then
        break
    fi
done

# Before the end of the time limit Slurm sends SIGUSR1: the job waits for another turn, and goes on from its checkpoint.
if [ "$warned" = USR1 ] && [ "${SLURM_RESTART_COUNT:-0}" -lt 3 ]; then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
