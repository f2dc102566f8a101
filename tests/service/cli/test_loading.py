"""Tests of loading compiled libraries while a signal may arrive."""

from __future__ import annotations

import os
import signal

import pytest

from service.cli.loading import signals_wait


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_comes_behind_the_block(number: signal.Signals) -> None:
    told: list[str] = []

    def handler(*_: object) -> None:
        told.append("signal")

    before = signal.signal(number, handler)
    try:
        with signals_wait():
            os.kill(os.getpid(), number)
            told.append("loaded")
        told.append("after")
    finally:
        signal.signal(number, before)
    assert told == ["loaded", "signal", "after"]
