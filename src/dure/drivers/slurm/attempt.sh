#!/bin/bash
# What Slurm runs for one attempt of a job of Dure, on the first of its nodes; and what cleans up
# after it on every one. Only checked ids, paths of ours and numbers come as arguments: a word of a
# user reaches this file as data, between NULs, and is never read by a shell of ours.
#
#   attempt.sh run   ROOT JOB ATTEMPT MARK SCRATCH GRACE_S SIGNAL FIRST_ONLY NODES GROUPS
#   attempt.sh clean ROOT JOB ATTEMPT MARK SCRATCH GRACE_S
#
# Written under ROOT (shared by all nodes): control/JOB/attempt-N.lock (this attempt has begun, so it
# can never begin again), attempt-N.clean.NODE (what was found there), done/JOB~N (it is over).
set -u
what=$1 root=$2 job=$3 attempt=$4 mark=$5 scratch=$6 grace_s=$7
signal=${8-0} first_only=${9-0} nodes=${10-1} groups=${11-1}
control=$root/control/$job/attempt-$attempt
node=${SLURMD_NODENAME:-unknown}
memory=of-the-node
FENCE_S=15
GPU_MIB_MAX=1024

# A command on every node of the attempt, once each.
everywhere() {
    local spread=(--nodes="$nodes" --ntasks="$nodes")
    ((groups > 1)) && spread=(--het-group="0-$((groups - 1))")
    srun --overlap "${spread[@]}" --ntasks-per-node=1 --mem=0 "$@" </dev/null >/dev/null 2>&1
}

# Told so by others, who have lost this node: an end that we write ourselves is written last.
is_over() {
    [[ -e $root/done/$job~$attempt || -e $control.exit ]]
}

# Processes of the attempt, wherever they went: by the mark in the environment they began with.
marked() {
    local path
    pids=()
    while IFS= read -r path; do
        path=${path#/proc/}
        pids+=("${path%/environ}")
    done < <(grep -lzxF -- "DURE_ACTION=$mark" /proc/[0-9]*/environ 2>/dev/null)
}

# Signal each process that has a handler, once; without one it would die of the signal.
tell() {
    local pid status
    ((signal)) || return 0
    if ((first_only)); then pids=("$child"); else marked; fi
    for pid in "${pids[@]}"; do
        [[ -n ${told[$pid]-} ]] && continue
        mapfile -t status 2>/dev/null <"/proc/$pid/status" || continue
        [[ "${status[*]}" =~ SigCgt:[[:space:]]*([0-9a-f]+) ]] || continue
        ((16#${BASH_REMATCH[1]} >> (signal - 1) & 1)) && kill "-$signal" "$pid" 2>/dev/null &&
            told[$pid]=1
    done
}

# End what is left of it: asked first, then by force.
end_all() {
    local from=$SECONDS number=TERM
    killed=0
    marked
    while ((${#pids[@]})); do
        ((SECONDS - from >= grace_s)) && number=KILL
        ((SECONDS - from >= grace_s + 5)) && break
        ((killed < ${#pids[@]})) && killed=${#pids[@]}
        kill "-$number" "${pids[@]}" 2>/dev/null
        sleep 0.1
        marked
    done
    left=${#pids[@]}
}

# MiB in use on the attempt's GPUs, -1 where nobody can say.
gpu_memory() {
    local used
    gpu_mib=-1
    [[ -n ${SLURM_JOB_GPUS-} ]] && type -P nvidia-smi >/dev/null || return 0
    gpu_mib=0
    while IFS= read -r used; do
        [[ $used =~ ^[0-9]+$ ]] && ((used > gpu_mib)) && gpu_mib=$used
    done < <(timeout 20 nvidia-smi -i "$SLURM_JOB_GPUS" --query-gpu=memory.used \
        --format=csv,noheader,nounits 2>/dev/null)
}

# Leave nothing on this node, and write down what was found.
clean_here() {
    local scratch_files=0 clean=true found rest
    end_all
    if [[ -d $scratch || -L $scratch ]] && ! rmdir -- "$scratch" 2>/dev/null; then
        scratch_files=$(find "$scratch" ! -type d -printf . 2>/dev/null | wc -c)
        chmod -R u+rwX -- "$scratch" 2>/dev/null
        rm -rf -- "$scratch"
    fi
    gpu_memory
    ((left)) && clean=false
    [[ -e $scratch || -L $scratch ]] && clean=false
    ((gpu_mib > GPU_MIB_MAX)) && clean=false
    printf -v found '{"is_clean": %s, "at_s": %d, "processes": %d, "processes_left": %d, ' \
        "$clean" "$EPOCHSECONDS" "$killed" "$left"
    printf -v rest '"scratch_files": %d, "shared_memory": "%s", "gpu_mib": %d}\n' \
        "$scratch_files" "$memory" "$gpu_mib"
    printf '%s' "$found$rest" >"$control.clean.$node"
}

if [[ $what == clean ]]; then
    clean_here
    exit 0
fi

stopping=0 noticed=0 child=0
declare -A told=()
# The driver signals no attempt that has not taken its lock.
trap 'stopping=1' TERM
trap 'noticed=1' USR1
trap '' INT HUP

finish() {
    local kind=$1 code=$2 reason=$3
    trap '' TERM USR1
    if ((nodes > 1)); then
        everywhere "$BASH" "$root/attempt.sh" clean "$root" "$job" "$attempt" "$mark" "$scratch" \
            "$grace_s"
    else
        clean_here
    fi
    is_over || printf '{"kind": "%s", "exit_code": %d, "reason": "%s", "at_s": %d}\n' \
        "$kind" "$code" "$reason" "$EPOCHSECONDS" >"$root/done/$job~$attempt"
    exit "$code"
}

# Whoever comes second, after a requeue by hand, say, finds the lock and goes.
set -o noclobber
{ printf '{"slurm": %d, "node": "%s", "at_s": %d}\n' "$SLURM_JOB_ID" "$node" "$EPOCHSECONDS" \
    >"$control.lock"; } 2>/dev/null || exit 0
folder=$root/jobs/$job
# What a job's image is run with, if this node has that program; otherwise it is told.
image=() remark=$control.remark
[[ ! -s $control.image ]] || mapfile -d '' -t image <"$control.image"
if ((${#image[@]})); then
    if program=$(type -P -- "${image[0]}"); then
        image[0]=$program remark=/dev/null
    else
        image=()
    fi
fi
{ : >"$folder/attempt-$attempt.out" &&
    { [[ ! -s $remark ]] || cat -- "$remark"; } >"$folder/attempt-$attempt.err"
} 2>/dev/null ||
    finish failed 1 OutputCannotBeWritten
set +o noclobber

mapfile -d '' -t pairs <"$control.env" && mapfile -d '' -t words <"$control.steps" ||
    finish failed 1 OrderCannotBeRead
cd -- "$folder/work" || finish failed 1 WorkFolderMissing
if ((nodes > 1)); then
    everywhere mkdir -p -m 700 -- "$scratch"
else
    mkdir -p -m 700 -- "$scratch"
fi || finish failed 1 ScratchCannotBeMade

# Its own /dev/shm and its own segments of shared memory, where the node lets us (as root, with
# CAP_SYS_ADMIN); they go with its last process. On several nodes that is the site's affair.
private=()
mapfile -t status </proc/self/status
if ((EUID == 0 && nodes == 1)) && [[ "${status[*]}" =~ CapEff:[[:space:]]*([0-9a-f]+) ]] &&
    ((16#${BASH_REMATCH[1]} >> 21 & 1)); then
    memory=private
    private=(unshare --mount --ipc --propagation private -- /bin/sh -c
        'mount -t tmpfs -o mode=1777,nosuid,nodev dure /dev/shm || exit 125; exec "$@"' sh)
fi

path=$PATH
for pair in "${pairs[@]}"; do
    [[ $pair == PATH=* ]] && path=${pair#PATH=}
done

code=0 at=0
while ((at < ${#words[@]} && code == 0 && !stopping)); do
    count=${words[at]}
    step=("${words[@]:at+1:count}")
    at=$((at + 1 + count))
    if ((!${#image[@]})) && ! PATH=$path type -P -- "${step[0]}" >/dev/null; then
        finish failed 127 ProgramNotFound
    fi
    env -- "${pairs[@]}" setsid -- ${private[@]+"${private[@]}"} ${image[@]+"${image[@]}"} \
        "${step[@]}" </dev/null \
        >>"$folder/attempt-$attempt.out" 2>>"$folder/attempt-$attempt.err" &
    child=$!
    asked=0 fence=0
    while [[ -d /proc/$child ]]; do
        if ((stopping && !asked)); then
            asked=1 from=$SECONDS
            marked
            kill -TERM "${pids[@]}" 2>/dev/null
        fi
        ((asked && SECONDS - from >= grace_s)) && marked && kill -KILL "${pids[@]}" 2>/dev/null
        ((noticed)) && tell
        # A node that is cut off from Slurm still sees the folder: it must not run on beside the
        # next attempt.
        if ((!fence)) || [[ ! -d /proc/$fence ]]; then
            [[ -e $control.stop ]] || is_over && stopping=1
            if ((asked || noticed)); then sleep 0.2 & else sleep "$FENCE_S" & fi
            fence=$!
        fi
        ((stopping && !asked)) || wait -n "$child" "$fence"
    done
    wait "$child"
    code=$?
    ((fence)) && kill "$fence" 2>/dev/null
done
((code != 0 && at < ${#words[@]})) && finish ended "$code" SetupFailed
finish ended "$code" ""
