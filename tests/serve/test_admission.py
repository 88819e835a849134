"""Admission control: requests are counted by client and in total, and the load of the steps decides on new streams."""

from __future__ import annotations

import pytest
from serving import ManualClock

from unhiss.serve.admission import MAX_STEP_LOAD_S, WINDOW_S, ConcurrencyLimiter, StepLoad
from unhiss.serve.protocol import RequestError


def test_a_limiter_counts_only_what_runs() -> None:
    limiter = ConcurrencyLimiter("files", limit=2, limit_per_client=1)
    with limiter.acquire("a"):
        with pytest.raises(RequestError, match="1 files of a already") as error, limiter.acquire("a"):
            pass
        assert error.value.status == 429
        with limiter.acquire("b"):
            assert len(limiter) == 2
            with pytest.raises(RequestError, match="all 2 files are in use") as error, limiter.acquire("c"):
                pass
            assert error.value.status == 503
    assert len(limiter) == 0 and not limiter._running
    limiter.closed = True
    with pytest.raises(RequestError, match="shutting down") as error, limiter.acquire("a"):
        pass
    assert error.value.close_code == 1012


def test_the_load_of_equal_steps_is_their_length_times_their_share_of_time() -> None:
    """Steps of 8 ms every 16 ms: half of the time is in a step of 8 ms, so a random moment has a load of 4 ms."""
    clock = ManualClock()
    load = StepLoad(clock)
    for _ in range(1000):
        clock.advance(0.016)
        load.record(0.008)
    assert load.value_s == pytest.approx(0.004, rel=0.02)
    load.check()


def test_too_long_steps_reject_a_stream_until_they_are_over() -> None:
    clock = ManualClock()
    load = StepLoad(clock)
    for _ in range(1000):
        clock.advance(0.016)
        load.record(0.016)
    assert load.value_s > MAX_STEP_LOAD_S
    with pytest.raises(RequestError, match="no time for another live stream") as error:
        load.check()
    assert (error.value.status, error.value.reason) == (503, "busy")
    clock.advance(WINDOW_S)
    load.check()
