#!/usr/bin/env bash
# The columns of EdgeSAM's paper: mean IoU on SA-1K, COCO and LVIS, each with box, +1, +2, centre, +1, +2 clicks, LVIS
# with the best scored of three masks, too, and as many clicks; on as many processes as there are GPUs (one on CPU):
#   bash scripts/eval_mIoU.sh CONFIG CHECKPOINT [more arguments of evaluation/eval_mIoU.py]
# COCO and LVIS are read from datasets/ (DATASETS names another folder) and left out, with a word, where they are not.
# Where one data set fails, SA-1B that is not there, too, the others are measured all the same, and the exit status tells.
# SA-1K is the first 1000 images by name of the configuration's val split; their names are kept in datasets/sa_1k.txt
# (SA_1K_LIST), and once they are, these images are taken. With --dataset, --data-path, --image-list or --output only one
# data set is measured, SA-1B where none is named; and options that say what to measure take the place of the paper's
# columns.
set -euo pipefail

if (($# < 2)); then
    echo "usage: bash scripts/eval_mIoU.sh CONFIG CHECKPOINT [more arguments of evaluation/eval_mIoU.py]" >&2
    exit 2
fi
config=$1
checkpoint=$2
shift 2

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
datasets=${DATASETS:-datasets}
suite=(--suite paper)
pinned=(--image-list "${SA_1K_LIST:-$datasets/sa_1k.txt}")
on_cpu=
one=
dataset=
data_path=
previous=
for argument in "$@"; do
    case $argument in
    --suite | --suite=* | --prompt-types* | --point-from* | --refine-iter* | --num-multimask-outputs* | --multimask-select*)
        suite=() pinned=() ;;
    --num-samples*) pinned=() ;;
    --dataset | --dataset=* | --data-path* | --image-list* | --output*) one=1 pinned=() ;;
    --only-cpu) on_cpu=1 ;;
    esac
    case $argument in
    --dataset=*) dataset=${argument#*=} ;;
    --data-path | --data-path=*) data_path=1 ;;
    esac
    if [[ $previous == --dataset ]]; then dataset=$argument; fi
    previous=$argument
done

processes=1
if [[ -z $on_cpu ]]; then
    processes=$(python -c 'import torch; print(max(1, torch.cuda.device_count()))')
fi
evaluate() {
    python -m torch.distributed.run --standalone --nproc_per_node "$processes" \
        "$root/evaluation/eval_mIoU.py" "$config" --checkpoint "$checkpoint" ${suite[@]+"${suite[@]}"} "$@"
}

if [[ -n $one ]]; then
    folder=()
    # SA-1B's folder is the configuration's.
    if [[ -z $data_path && -n $dataset && $dataset != sa ]]; then folder=(--data-path "$datasets"); fi
    evaluate ${folder[@]+"${folder[@]}"} "$@"
    exit
fi
trap 'exit 130' INT # the end of all of it, not of one data set
status=0
evaluate --dataset sa ${pinned[@]+"${pinned[@]}"} "$@" || status=$?
for dataset in coco:coco/annotations/instances_val2017.json lvis:lvis/lvis_v1_val.json; do
    file=$datasets/${dataset#*:}
    if [[ -e $file ]]; then
        evaluate --dataset "${dataset%%:*}" --data-path "$datasets" "$@" || status=$?
    else
        echo "${dataset%%:*}: left out, $file is not there" >&2
    fi
done
exit "$status"
