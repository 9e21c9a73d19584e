#!/bin/bash
# What each rank of job 'fugaku_llm_13b' runs; written by 'fujimi submit'.
set -e
mkdir -p /local/fujimi
tar -xf $HOME/fujimi.tar -C /local/fujimi
source /local/fujimi/bin/activate
export OMP_NUM_THREADS="48"
export XOS_MMM_L_PAGING_POLICY="demand:demand:demand"
export TMPDIR="$PJM_LOCALTMP"
export LD_PRELOAD="/local/fujimi/lib/libtcmalloc.so"
exec numactl -N 4-7 -m 4-7 fujimi train examples/fugaku_llm_13b.toml
