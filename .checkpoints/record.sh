# Records of the weights in assets/shapes. From a copy of the tree with .venv, the old records removed:
# bash record.sh A & bash record.sh B
set -eu; export OMP_NUM_THREADS=1 PYTHONPATH=.  # LD_PRELOAD as in README.md
R=assets/results; P=".venv/bin/python -P -m hired eval"
case $1 in
A) E="--seed 1 --out $R/eval-2000.jsonl"; M="--methods hired random spatial --budgets 10% 20% 40%"
   O="--methods hired:positions=original --budgets 20% 40%"
   for S in "prices chart --posters 316" "receipt board --posters 262" "sparse --posters 226"; do
     $P $M --splits $S $E; $P $O --splits $S $E; done
   $P --methods hired random spatial fastervlm --budgets 5% 10% 20% 40% --splits large --posters 100 --out $R/eval-large.jsonl
   $P --coverage --methods all --budgets 10% 20% 40% --splits sparse board --posters 40 --out $R/eval-coverage.jsonl
   $P attention --posters 100 --split sparse receipt prices board chart --json $R/attention.json
   $P attention --out assets/figures/attention.png ;;
B) $P --methods all divprune:centred=true hired:newline=rows hired-release:exact=true --budgets 5% 10% 20% 40% --splits sparse --posters 100 --out $R/eval-sparse.jsonl
   $P --methods hired --budgets 20% --splits sparse --posters 100 --ablations --out $R/eval-sparse.jsonl
   $P --methods all --budgets 5% 10% 20% 40% --splits receipt prices board chart --posters 40 --out $R/eval-documents.jsonl
   $P --methods hired --budgets 20% 40% --splits receipt prices board chart --posters 40 --ablations 20% 40% --out $R/eval-documents.jsonl
   $P --methods hired hired:positions=original spatial spatial:positions=original random random:positions=original --budgets 20% 40% --splits sparse receipt --posters 100 --out $R/eval-positions.jsonl
   $P --methods hired hired:positions=original divprune divprune:positions=original fastervlm fastervlm:positions=original random random:positions=original spatial spatial:positions=original --budgets 10% 20% 40% --splits receipt prices board chart --posters 40 --out $R/eval-document-positions.jsonl ;;
esac
