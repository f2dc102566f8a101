"""An Airflow DAG: one pod runs the command; exit code 3 (goal not met) skips what comes behind instead of failing."""

from __future__ import annotations

import datetime

from airflow import DAG
from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.providers.cncf.kubernetes.secret import Secret

with DAG("bitbudget", schedule=None, start_date=datetime.datetime(2026, 1, 1), catchup=False) as dag:
    search = KubernetesPodOperator(
        task_id="search",
        image="bitbudget:0.2.0",
        cmds=["sh", "-c"],
        # the sidecar waits for return.json: the ending is written whatever happens
        arguments=[
            "mkdir -p /airflow/xcom; code=0; "
            "sh /job/examples/pipelines/run.sh /job/job.yaml /tmp/out --idempotency-key airflow-{{ ts_nodash }} "
            "|| code=$?; cp /tmp/out/ending.json /airflow/xcom/return.json; exit $code"
        ],
        env_vars={"BITBUDGET_URL": "https://bitbudget.example.com"},
        secrets=[Secret("env", "BITBUDGET_API_KEY", "bitbudget", "api-key")],
        do_xcom_push=True,
        skip_on_exit_code=[3],
        retries=2,
    )
