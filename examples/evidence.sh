#!/bin/sh
# The runs of docs/RESULTS.md that ask whether bear is about the beam, and what the settings of its
# paper give under one protocol. From the folder of the project:
#
#   examples/evidence.sh DATA RUNS [PART...]
#
# DATA holds the folders office-sid, grocery-sid and office-titles; results go to RUNS. Parts run in
# the order below, which is that of their worth, or as they are named. What is finished is not done
# again, so the same line goes on after an interruption. Processes of different parts may run side
# by side, one on each core. Minutes are estimates for one core. EPOCHS replaces the number of
# epochs, and EXTRA has more options of trainings: EPOCHS=1 EXTRA="--limit-users 60" for a trial.
#
# Power: two runs of msl that differ in the seed alone disagree on 4.7 % of the users in HR@10
# (12 epochs, office-sid). If losses differ no more than that by user, then at an HR@10 of .07 and
# a level of .05 a difference of .0043 is found four times in five with 5 seeds, one of .0031 with
# 10, and on grocery-sid one of .0025 with 5.
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

# Is it about the beam? 40 runs, 260 minutes.
part_beam() {
  office compare --seeds 5 --baseline msl --out "$runs/beam" --losses "msl,bear,\
$controls/by_probability.ts,$controls/shuffled.ts,$controls/by_step.ts,$controls/even.ts,\
$controls/focal.ts,sft"
}

# msl and bear at lower temperatures: which has the B* of bear, and what does it retrieve? 60
# searches, 50 minutes.
part_temperature() {
  run judge --runs "$runs/beam" --data "$data/office-sid" --variants msl,bear --threads 1 \
    --tau 0.9,0.8,0.7,0.6,0.5,0.3 --beams 5,10,20 --baseline msl --out "$runs/temperature"
}

# Five more seeds of the four that matter most: 20 runs, 130 minutes.
part_more() {
  office compare --seeds 5,6,7,8,9 --baseline msl --out "$runs/more" \
    --losses "msl,bear,$controls/by_probability.ts,$controls/by_step.ts"
  run report "$runs/beam" "$runs/more" --baseline msl --out "$runs/ten-seeds"
}

# Three times as many users: 20 runs, 300 minutes.
part_grocery() {
  train compare --data "$data/grocery-sid" $recipe --seeds 5 --baseline msl \
    --losses "msl,bear,sft,$controls/by_probability.ts" --out "$runs/grocery"
}

# The constant of by_probability, -log(2 B), and the B of bear: 30 runs, 190 minutes.
part_constant() {
  office sweep --seeds 5 --losses "bear,$controls/by_probability.ts" --beam 5,20,100 \
    --out "$runs/constant"
  run report "$runs/beam" "$runs/constant" --baseline bear --out "$runs/constant-beside"
}

# More and less of it: does the effect grow with lambda? 12 runs, 80 minutes.
part_strength() {
  office sweep --seeds 3 --losses "bear,$controls/by_probability.ts" --lambda 0.25,4 \
    --out "$runs/strength"
}

# Titles. Epochs are chosen on rows of training that are held out. Then every model is searched over
# children and over the vocabulary, and by the rules of transformers with and without length
# normalisation. 15 runs, 700 minutes.
part_titles() {
  train compare --data "$data/office-titles" --hold-out 1000 --history 10 --exclude-history \
    --epochs "${EPOCHS:-12}" --patience 3 --seeds 3 --beams 5,10,20 --threads 1 \
    --baseline msl --out "$runs/titles" \
    --losses "sft,msl,bear,$controls/forced.ts,$controls/bear_on_sft.ts"
  titles="run judge --runs $runs/titles --data $data/office-titles --threads 1 --baseline msl"
  $titles --over children,vocabulary --out "$runs/titles-over"
  $titles --search huggingface --variants sft,msl,bear --out "$runs/titles-huggingface"
  $titles --search huggingface --length-penalty 0 --variants sft,msl,bear --out "$runs/titles-d3"
  run report "$runs/titles" "$runs/titles-over" "$runs/titles-huggingface" "$runs/titles-d3" \
    --baseline msl --out "$runs/titles-all"
}

# The settings of the paper: lambda and xi, of which its run on Toy has 0.25 and 2.75, and the
# temperature of training. 24 runs, 150 minutes.
part_settings() {
  office sweep --seeds 3 --losses bear --lambda 0.25,1 --xi 1,2.75 --out "$runs/settings"
  office sweep --seeds 3 --losses msl,bear --tau 0.5,2 --out "$runs/tau"
}

# The other losses, and bear on sft: 21 runs, 170 minutes.
part_others() {
  office compare --seeds 3 --out "$runs/others" --losses "bear-paper,bear-convex,\
$controls/bear_on_sft.ts,msl-ats,apao-point,apao-pair,beam-exact"
  run report "$runs/beam" "$runs/others" --baseline msl --out "$runs/all-losses"
}

# APAO's settings, one seed, ranked by validation: 12 runs, 75 minutes.
part_apao() {
  office sweep --seeds 1 --losses apao-point --beta 0.1,0.5,1 --eta 0,1 --xi 1,2 --out "$runs/apao"
}

# Codes without a meaning: 9 runs, 55 minutes.
part_random() {
  office compare --seeds 3 --losses msl,bear,sft --codes random --baseline msl --out "$runs/random"
}

# On validation targets, too, to the last epoch, with the data's codes and with codes that are made
# from the same data. EPOCHS should be the usual best epoch of msl in "beam". 18 runs, 90 minutes.
part_joined() {
  joined="--data $data/office-sid --lr 0.002 --dropout 0.2 --decay 0.1 --exclude-history \
    --join-validation --epochs ${EPOCHS:-30} --beams 5,10,20 --threads 1 --seeds 3 --baseline msl"
  train compare $joined --losses msl,bear,sft --out "$runs/joined"
  train compare $joined --losses msl,bear,sft --codes hierarchical:64x16 --out "$runs/joined-made"
}

parts="beam temperature more grocery constant strength titles settings others apao random joined"
for part in ${*:-$parts}; do
  echo "== $part, $(date -u +%H:%M)"
  "part_$part"
done
