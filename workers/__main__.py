"""``python -m workers``: a worker configured by its environment alone."""

from __future__ import annotations

from service.log_lines import begin_log
from service.store.settings import Settings
from workers.main import run_worker

if __name__ == "__main__":
    given = Settings.from_env()
    begin_log(given.log_format, given.log_level)
    run_worker(given)
