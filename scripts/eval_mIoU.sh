#!/usr/bin/env bash
# The guide's set of protocols, on as many processes as there are GPUs (one on CPU):
#   bash scripts/eval_mIoU.sh CONFIG CHECKPOINT [more arguments of evaluation/eval_mIoU.py]
set -euo pipefail

if (($# < 2)); then
    echo "usage: bash scripts/eval_mIoU.sh CONFIG CHECKPOINT [more arguments of evaluation/eval_mIoU.py]" >&2
    exit 2
fi
config=$1
checkpoint=$2
shift 2

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
suite=(--suite guide)
on_cpu=
for argument in "$@"; do
    case $argument in
    --suite | --suite=* | --prompt-types* | --point-from* | --refine-iter* | --num-multimask-outputs* | --multimask-select*)
        suite=() ;;
    --only-cpu) on_cpu=1 ;;
    esac
done

processes=1
if [[ -z $on_cpu ]]; then
    processes=$(python -c 'import torch; print(max(1, torch.cuda.device_count()))')
fi
exec python -m torch.distributed.run --standalone --nproc_per_node "$processes" \
    "$root/evaluation/eval_mIoU.py" "$config" --checkpoint "$checkpoint" ${suite[@]+"${suite[@]}"} "$@"
