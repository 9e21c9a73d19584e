#!/bin/bash
# What each rank of job 'vit_base' runs; written by 'fujimi submit'.
set -e
source $HOME/venv/bin/activate
export OMP_NUM_THREADS="12"
export NCCL_DEBUG="WARN"
exec fujimi train job.toml --set "data.path=/scratch/$SLURM_JOB_ID/visualatom_1k"
