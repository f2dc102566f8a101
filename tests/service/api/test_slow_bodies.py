"""Bodies that stall or trickle are cut off; what a test cannot wait for is given by hand."""

import asyncio
from typing import Any

import pytest
from starlette.exceptions import HTTPException
from starlette.types import Message

from service.http.bodies import GRACE_S, SLOWEST, _Watched


def watched(messages: list[Message], times: list[float], *, limit: int = 10**9, stall_s: float = 10.0) -> _Watched:
    clock = iter([0.0, *times])

    async def receive() -> Message:
        if not messages:
            await asyncio.sleep(60)
        return messages.pop(0)

    return _Watched(receive, limit, stall_s, lambda: next(clock))


def part(n: int, *, more: bool = True) -> dict[str, Any]:
    return {"type": "http.request", "body": b"x" * n, "more_body": more}


def test_nothing_for_too_long_is_408() -> None:
    with pytest.raises(HTTPException) as caught:
        asyncio.run(watched([], [], stall_s=0.01).receive())
    assert caught.value.status_code == 408


def test_a_trickle_is_408_after_the_time_of_grace() -> None:
    async def read() -> None:
        body = watched([part(1), part(1)], [GRACE_S - 1, GRACE_S + 1])
        await body.receive()
        await body.receive()

    with pytest.raises(HTTPException) as caught:
        asyncio.run(read())
    assert caught.value.status_code == 408


def test_a_body_that_comes_fast_enough_may_take_its_time() -> None:
    async def read() -> int:
        body = watched([part(SLOWEST * 1000), part(1, more=False)], [GRACE_S * 2, GRACE_S * 3])
        return len((await body.receive())["body"]) + len((await body.receive())["body"])

    assert asyncio.run(read()) == SLOWEST * 1000 + 1


def test_waiting_for_the_caller_to_go_has_no_limit_once_the_body_is_whole() -> None:
    async def read() -> str:
        body = watched([part(0, more=False), {"type": "http.disconnect"}], [0.0], stall_s=0.01)
        await body.receive()
        return str((await body.receive())["type"])

    assert asyncio.run(read()) == "http.disconnect"
