"""``python -m workers``: a worker configured by its environment alone."""

from __future__ import annotations

import logging

from service.store.settings import Settings
from workers.main import run_worker

if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    run_worker(Settings.from_env())
