#!/bin/sh
# The one command that every pipeline here runs: submit a job, wait, leave the files and the ending, pass the exit code on.
#   run.sh JOB.yaml OUTPUT_DIR [options of `bitbudget submit`]
# BITBUDGET_URL and BITBUDGET_API_KEY (or BITBUDGET_API_KEY_FILE) say where. Exit codes: 0 goal met, 3 not met (files are
# there), 5, 75 and 124 may be tried again, the rest needs a person.
set -eu
job=$1
output=$2
shift 2
mkdir -p "$output"
exec bitbudget submit --spec "$job" --wait --json --output "$output/files" --result-file "$output/ending.json" \
  --max-outage 600 --cancel-on-interrupt "$@" > "$output/submission.json"
