#!/bin/sh
# The runs behind docs/RESULTS.md. From the folder of the project:
#
#   examples/evidence.sh DATA RUNS [PART...]
#
# DATA holds the folders office-sid, grocery-sid and office-titles; results go to RUNS. Without
# names, all parts run, the most telling first. Finished runs are not repeated, so the
# same command resumes after an interruption. A difference between two variants of which neither is
# a baseline here is in the report of the same folders with another --baseline. Two processes may run different parts side by side.
# Minutes are for one core. EPOCHS replaces the number of epochs, and EXTRA adds options to all
# trainings: EPOCHS=1 EXTRA="--limit-users 60" is a quick trial.
set -u

data=${1:?name the folder of the data}
runs=${2:?name the folder of the runs}
shift 2
controls=examples/controls

# One recipe for all losses. The history is left out of all lists, also those of co-occurrence. The
# epoch that is best in validation is judged.
recipe="--lr 0.002 --dropout 0.2 --decay 0.1 --epochs ${EPOCHS:-40} --patience 40 \
  --exclude-history --beams 5,10,20 --threads 1"

# A part whose command fails says so, and the others go on.
run() {
  echo "+ deno task $*"
  deno task "$@" || echo "failed: deno task $*" >&2
}
train() { run "$@" ${EXTRA-}; }
office() { command=$1; shift; train "$command" --data "$data/office-sid" $recipe "$@"; }

# Is it about the beam? 30 runs, 130 minutes.
part_beam() {
  office compare --seeds 5 --baseline bear --out "$runs/beam" --losses "msl,bear,\
$controls/by_probability.ts,$controls/shuffled.ts,$controls/focal.ts,sft"
}

# msl at lower temperatures: which has the B* of bear, and what does it retrieve? 20 searches, 20
# minutes.
part_temperature() {
  run judge --runs "$runs/beam" --data "$data/office-sid" --variants msl --threads 1 \
    --tau 0.9,0.8,0.7,0.5 --beams 5,10,20 --baseline msl --out "$runs/temperature"
  run report "$runs/beam" "$runs/temperature" --baseline bear --out "$runs/beam-temperature"
}

# The same models searched exactly. 20 searches, 10 minutes.
part_exact() {
  run judge --runs "$runs/beam" --data "$data/office-sid" --threads 1 --search best-first \
    --variants sft,msl,bear,by_probability --beams 10 --baseline msl --out "$runs/exact"
  run report "$runs/beam" "$runs/exact" --baseline msl --out "$runs/beam-exact"
}

# What codes are worth, also from the words of the items and from both: 29 runs, 130 minutes.
part_codes() {
  words="$runs/text.csv"
  mkdir -p "$runs"
  deno run -R -W examples/text_vectors.ts "$data/office-sid/items.json" "$words"
  office compare --seeds 3 --losses msl --out "$runs/codes" --codes "\
hierarchical:64x16,hierarchical:256x16,residual:64x64,rqvae:64x64,item,random"
  office compare --seeds 1 --losses msl --out "$runs/codes-words" --codes "\
hierarchical:64x16,from=$words,hierarchical:64x16,from=behaviour+$words"
  office compare --seeds 3 --losses bear --out "$runs/codes" \
    --codes hierarchical:64x16,residual:64x64,rqvae:64x64
  run report "$runs/codes" "$runs/codes-words" "$runs/beam" --baseline msl --out "$runs/codes-own"
}

# Learning rate, dropout and decay by validation on all users, for tokens and for one token an item.
# 9 runs, 30 minutes.
part_recipe() {
  for setting in "0.002 0.2 0.1" "0.002 0.3 0.1" "0.002 0.1 0.1" "0.002 0.2 0.5" "0.001 0.2 0.1"; do
    settings $setting semantic
  done
  for setting in "0.002 0.3 1.5" "0.002 0.2 1.5" "0.002 0.3 0.5" "0.002 0.5 1.5"; do
    settings $setting item
  done
}
settings() {
  train compare --data "$data/office-sid" --losses msl --seeds 1 --epochs "${EPOCHS:-40}" \
    --patience 40 --validate-users 4905 --exclude-history --beams 10 --cost-users 0 --threads 1 \
    --lr "$1" --dropout "$2" --decay "$3" --codes "$4" --out "$runs/recipe/$1-$2-$3"
}

# The main losses with the dropout that is best by validation: 9 runs, 40 minutes.
part_chosen() {
  train compare --data "$data/office-sid" --lr 0.002 --dropout 0.3 --decay 0.1 --patience 40 \
    --epochs "${EPOCHS:-40}" --exclude-history --beams 5,10,20 --threads 1 --seeds 3 \
    --losses "msl,bear,$controls/by_probability.ts" --out "$runs/chosen"
}

# One position an item: first the regularisation that it needs, by validation, then three seeds,
# also with bear and beside tokens, and the same on the validation targets, too, as well as tokens
# with made codes and the dropout that is best with the data's. 29 runs, 240 minutes.
part_inputs() {
  for setting in "0.2 1.5" "0.3 1.5" "0.3 3" "0.5 0.1" "0.5 1.5"; do
    set -- $setting
    input items msl "$1" "$2" --patience 40 --seeds 1 --codes semantic,hierarchical:64x16 \
      --out "$runs/search-$1-$2"
  done
  input items msl 0.2 1.5 --patience 40 --seeds 3 --out "$runs/items" \
    --codes semantic,hierarchical:256x16
  input items bear 0.2 1.5 --patience 40 --seeds 3 --out "$runs/items-bear"
  input tokens msl 0.2 1.5 --patience 40 --seeds 1 --out "$runs/tokens"
  run report "$runs/beam" "$runs/items" "$runs/items-bear" "$runs/tokens" \
    --baseline "msl decay=0.1" --out "$runs/items-all"
  input items msl 0.2 1.5 --join-validation --seeds 3 --out "$runs/items-joined" \
    --codes semantic,hierarchical:256x16
  input tokens msl 0.3 0.1 --join-validation --seeds 3 --out "$runs/tokens-joined" \
    --codes hierarchical:64x16
}
input() {
  input=$1 losses=$2 dropout=$3 decay=$4
  shift 4
  train compare --data "$data/office-sid" --input "$input" --losses "$losses" --lr 0.002 \
    --dropout "$dropout" --decay "$decay" --epochs "${EPOCHS:-40}" --exclude-history \
    --beams 5,10,20 --threads 1 "$@"
}

# The same input with a head for each code, all predicted at once. 18 runs, 60 minutes.
part_parallel() {
  for setting in "0.1 0.1" "0.2 0.1" "0.3 0.1" "0.2 1.5" "0.3 1.5"; do
    set -- $setting
    input items-parallel msl "$1" "$2" --patience 40 --seeds 1 --out "$runs/parallel-$1-$2"
  done
  for setting in "0.2 1.5" "0.3 1.5"; do
    set -- $setting
    input items-parallel msl "$1" "$2" --patience 40 --seeds 1 --out "$runs/parallel-made-$1-$2" \
      --codes hierarchical:64x16,hierarchical:256x16
  done
  input items-parallel msl 0.2 1.5 --patience 40 --seeds 3 --out "$runs/parallel" \
    --codes semantic,hierarchical:256x16
  run report "$runs/items" "$runs/parallel" --baseline "msl input=items" --out "$runs/parallel-all"
  input items-parallel msl 0.2 1.5 --join-validation --seeds 3 --out "$runs/parallel-joined" \
    --codes hierarchical:256x16
}

# One token an item, on the training part and on the validation targets, too, beside one position an
# item. 12 runs, 40 minutes.
part_item() {
  item="compare --data $data/office-sid --codes item --lr 0.002 --dropout 0.3 --decay 1.5 \
    --epochs ${EPOCHS:-40} --exclude-history --beams 5,10,20 --threads 1 --seeds 3"
  train $item --losses msl --patience 40 --out "$runs/item"
  train $item --losses msl,sft,bear --join-validation --out "$runs/item-joined"
  run report "$runs/items" "$runs/item" --baseline "msl codes=item dropout=0.3" \
    --out "$runs/item-all"
}

# Three times as many users, for half the epochs: 25 runs, 165 minutes. Made codes are trained with
# other recipes, too; of the best one the data's codes have a run as well.
part_grocery() {
  stop="--patience 20"
  grocery 0.002 0.2 0.1 --seeds 2 --losses "msl,bear,$controls/by_probability.ts" \
    --out "$runs/grocery"
  grocery 0.002 0.2 0.1 --seeds 1 --losses sft --out "$runs/grocery-sft"
  grocery 0.002 0.2 0.1 --seeds 1 --losses msl,bear,sft --codes hierarchical:64x16 \
    --out "$runs/grocery-made"
  grocery 0.002 0.2 0.1 --seeds 1 --losses msl --codes hierarchical:256x16 \
    --out "$runs/grocery-256x16"
  for setting in "0.002 0.3 0.1" "0.002 0.2 1.5" "0.0005 0.2 0.1"; do
    set -- $setting
    grocery "$1" "$2" "$3" --seeds 1 --losses msl --codes hierarchical:64x16 \
      --out "$runs/grocery-made-$1-$2-$3"
  done
  grocery 0.001 0.2 0.1 --seeds 2 --losses msl,bear --codes hierarchical:64x16 \
    --out "$runs/grocery-made-tuned"
  grocery 0.001 0.2 0.1 --seeds 1 --losses msl --out "$runs/grocery-0.001"
  grocery 0.002 0.2 1.5 --seeds 2 --losses msl --input items --out "$runs/grocery-items"
  grocery 0.002 0.2 1.5 --seeds 1 --losses msl --input items-parallel \
    --codes semantic,hierarchical:256x16 --out "$runs/grocery-parallel"
  run report "$runs"/grocery* --baseline "msl lr=0.002 dropout=0.2 decay=0.1" \
    --out "$runs/all-of-grocery"
  stop=""
  grocery 0.002 0.2 1.5 --seeds 2 --losses msl --input items --join-validation \
    --out "$runs/joined-grocery"
}
grocery() {
  lr=$1 dropout=$2 decay=$3
  shift 3
  train compare --data "$data/grocery-sid" --lr "$lr" --dropout "$dropout" --decay "$decay" \
    --epochs "${EPOCHS:-20}" $stop --exclude-history --beams 5,10,20 --threads 1 "$@"
}

# Titles. Epochs are chosen on rows of training that are held out; these are the last ones, and
# models without them retrieve half as much. So all losses are then trained on all rows. sft is
# searched over children, too, and all but forced by the rules of transformers, with and without
# normalization by length. 10 runs and 6 searches, 200 minutes.
part_titles() {
  titles="compare --data $data/office-titles --history 10 --exclude-history \
    --beams 5,10,20 --threads 1"
  train $titles --hold-out 1000 --epochs "${EPOCHS:-12}" --patience 3 --losses msl \
    --seeds 1 --out "$runs/titles-held-out"
  train $titles --epochs "${EPOCHS:-10}" --losses "sft,msl,bear,$controls/forced.ts" \
    --seeds 1 --out "$runs/titles"
  for seed in 1 2; do
    train $titles --epochs "${EPOCHS:-10}" --losses msl,bear --seeds "$seed," \
      --out "$runs/titles-$seed"
  done
  train $titles --epochs "${EPOCHS:-10}" --losses "$controls/by_probability.ts" --seeds 1, \
    --out "$runs/titles-1"
  again="judge --runs $runs/titles --data $data/office-titles --threads 1 --cost-users 0"
  run $again --variants sft --over children --out "$runs/titles-over"
  transformers="--search huggingface --length-penalty"
  run $again --variants sft $transformers 1 --out "$runs/titles-lengths"
  run $again --over children --variants sft,msl,bear $transformers 1 --out "$runs/titles-children"
  run $again --over children --variants sft $transformers 0 --out "$runs/titles-no-lengths"
  run report "$runs/titles" "$runs/titles-over" "$runs/titles-lengths" "$runs/titles-children" \
    "$runs/titles-no-lengths" --baseline msl --out "$runs/titles-all"
}

# The same titles with a model that has read all of them before, and no user: category by category,
# or in random order as a control. All its weights are trained, or adapters. 9 runs, 85 minutes.
part_pretrained() {
  pages="deno run -R -W examples/title_pages.ts $data/office-titles"
  mkdir -p "$runs"
  echo '{}' > "$runs/no-categories.json"
  $pages "$data/office-sid/items.json" "$runs/pages"
  $pages "$runs/no-categories.json" "$runs/shuffled-pages"
  read="--loss sft --epochs ${EPOCHS:-5} --threads 1 --cost-users 0"
  train train --data "$runs/pages" $read --history 10 --out "$runs/read"
  train train --data "$runs/shuffled-pages" $read --history 12 --batch 16 \
    --out "$runs/read-shuffled"
  tune="compare --data $data/office-titles --history 10 --exclude-history --beams 5,10,20 \
    --threads 1 --epochs ${EPOCHS:-10} --lr 0.004 --dropout 0.1"
  train $tune --seeds 1 --losses msl,bear --model "$runs/read/sft-seed0" --out "$runs/pretrained"
  train $tune --seeds 1, --losses msl,bear --model "$runs/read/sft-seed0" --out "$runs/pretrained-1"
  train $tune --seeds 1 --losses sft --model "$runs/read/sft-seed0" --out "$runs/pretrained-sft"
  run judge --runs "$runs/pretrained-sft" --data "$data/office-titles" --threads 1 --cost-users 0 \
    --variants sft --over children --out "$runs/pretrained-sft-over"
  train $tune --seeds 1 --losses msl --model "$runs/read-shuffled/sft-seed0" \
    --out "$runs/pretrained-shuffled"
  train $tune --seeds 1 --losses msl --model "$runs/read/sft-seed0" --lora q,k,v,o,gate,up,down \
    --out "$runs/adapters"
  run report "$runs/titles" "$runs/pretrained" "$runs/pretrained-sft" "$runs/pretrained-sft-over" \
    "$runs/pretrained-shuffled" "$runs/adapters" --baseline msl --out "$runs/pretrained-all"
}

# Other settings of bear: lambda and xi, of which the paper's run on Toy has 0.25 and 2.75, and the
# width in the loss; and the temperature of training. 19 runs, 90 minutes.
part_settings() {
  office sweep --seeds 3 --losses bear --lambda 0.25 --xi 2.75 --out "$runs/settings-toy"
  office sweep --seeds 1 --losses bear --lambda 0.25 --xi 1 --out "$runs/settings-lambda"
  office sweep --seeds 1 --losses bear --lambda 1 --xi 2.75 --out "$runs/settings-xi"
  office sweep --seeds 1 --losses bear --beam 5,20 --out "$runs/settings-width"
  office sweep --seeds 3 --losses msl,bear --tau 0.5,2 --out "$runs/settings-tau"
  run report "$runs/beam" "$runs"/settings-* --baseline msl --out "$runs/all-settings"
}

# bear on sft, and the other losses with one seed: 14 runs, 105 minutes.
part_others() {
  office compare --seeds 3 --losses "$controls/bear_on_sft.ts" --out "$runs/bear-on-sft"
  run report "$runs/beam" "$runs/bear-on-sft" --baseline sft --out "$runs/on-sft"
  office compare --seeds 1 --out "$runs/others" \
    --losses bear-paper,bear-convex,msl-ats,apao-point,apao-pair,beam-exact
  office sweep --seeds 1 --losses apao-point --beta 0.5,1 --out "$runs/apao-beta"
  office sweep --seeds 1 --losses apao-point --eta 1 --out "$runs/apao-eta"
  office sweep --seeds 1 --losses apao-point --xi 2 --out "$runs/apao-xi"
  office sweep --seeds 1 --losses apao-point --beta 1 --xi 0.5 --out "$runs/apao-both"
  run report "$runs/beam" "$runs/others" "$runs"/apao-* --baseline msl --out "$runs/all-others"
}

parts="beam temperature exact codes recipe chosen inputs parallel item grocery titles pretrained"
parts="$parts settings others"
for part in ${*:-$parts}; do
  echo "== $part, $(date -u +%H:%M)"
  "part_$part"
done
