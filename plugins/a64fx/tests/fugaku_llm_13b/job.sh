#!/bin/bash
#PJM -N fugaku_llm_13b
#PJM -L "rscgrp=ppu2023"
#PJM -L "node=48x6x48:torus:strict-io"
#PJM -L "elapse=165:00:00"
#PJM -L "freq=2200,eco_state=0"
#PJM --mpi "proc=13824,max-proc-per-node=1"
#PJM -o "runs/fugaku_llm_13b/submit/%j.log"
#PJM -j
#PJM -S
#PJM -g hp000000
#PJM -L "throttling_state=0,issue_state=0,ex_pipe_state=0,retention_state=0"
#PJM --rsc-list "proc-openfd=65536"
#PJM -x PJM_LLIO_GFSCACHE=/vol0003:/vol0004:/vol0005:/vol0006
#PJM --llio localtmp-size=50Gi
#PJM --llio sio-read-cache=off

# Starts job 'fugaku_llm_13b'; written by 'fujimi submit'. Run it where examples/fugaku_llm_13b.toml is found.

llio_transfer examples/fugaku_llm_13b.toml runs/fugaku_llm_13b/submit/rank.sh
export PLE_MPI_STD_EMPTYFILE=off

(
    trap 'kill "$pause"; exit' TERM
    sleep 592200 &
    pause=$!
    wait "$pause" && kill -USR1 $$
) &
clock=$!

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
for attempt in $(seq 0 5); do
    [ "$attempt" -eq 0 ] || echo "fujimi submit: exit code $code; restart $attempt of 5" >&2
    mpiexec -n 13824 \
        --vcoordfile runs/fugaku_llm_13b/submit/ranks.txt \
        -x PATH \
        -std-proc runs/fugaku_llm_13b/submit/$PJM_JOBID/%/1000r/rank \
        bash runs/fugaku_llm_13b/submit/rank.sh &
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

kill "$clock" 2>/dev/null
[ -z "$warned" ] || echo "fujimi submit: stopped by a warning; submit runs/fugaku_llm_13b/submit/job.sh again to go on" >&2
exit "$code"
