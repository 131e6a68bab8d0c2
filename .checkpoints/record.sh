# Records of the model that reads, once assets/shapes holds it: run from the project's root, A and B side by side.
# bash record.sh A & bash record.sh B
set -eu; export OMP_NUM_THREADS=1; R=assets/results; P=".venv/bin/python -m hired"
case $1 in
A) $P eval --methods hired random spatial --budgets 10% 20% 40% --splits sparse receipt prices board chart --posters 320 --seed 1 --out $R/eval-2000.jsonl
   $P eval --methods hired hired:positions=original spatial spatial:positions=original random random:positions=original --budgets 20% 40% --splits sparse receipt --posters 100 --out $R/eval-positions.jsonl
   $P eval --methods hired random spatial fastervlm --budgets 5% 10% 20% 40% --splits large --posters 100 --out $R/eval-large.jsonl ;;
B) $P eval --methods all hired-release:exact=True --budgets 5% 10% 20% 40% --splits sparse --posters 100 --out $R/eval-sparse.jsonl
   $P eval --methods hired --budgets 20% --splits sparse --posters 100 --ablations --out $R/eval-sparse.jsonl
   $P eval --methods hired hired:newline=rows --budgets 10% 20% 40% --splits sparse --posters 100 --out $R/eval-sparse.jsonl
   $P eval --methods scope divprune:centred=True hiprune --budgets 5% 10% 20% 40% --splits sparse --posters 100 --out $R/eval-sparse.jsonl
   $P eval --methods all --budgets 5% 10% 20% 40% --splits receipt prices board chart --posters 50 --out $R/eval-documents.jsonl
   $P eval --coverage --methods all --budgets 10% 20% 40% --splits sparse board --posters 40 --out $R/eval-coverage.jsonl ;;
esac
