"""Keys as text."""

import math
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.problems import ServiceError
from service.usecases.accounts.principal import widened
from service.usecases.accounts.rates import RateLimit, StreamLimit
from service.usecases.accounts.tokens import digest_of, is_session, new_key, new_session, read_key


def test_a_key_reads_back_as_it_was_made() -> None:
    made = new_key()
    assert read_key(made.text) == made
    assert made.text.startswith(made.prefix + "_")
    assert made.digest == digest_of(made.text)


def test_a_key_has_160_random_bits_and_its_text_is_not_shown_by_accident() -> None:
    keys = [new_key() for _ in range(200)]
    secrets = {key.text.split("_")[2] for key in keys}
    assert len(secrets) == 200
    assert all(len(secret) * math.log2(32) == 160 for secret in secrets)
    assert keys[0].text not in repr(keys[0])


@given(place=st.integers(0, 62), letter=st.sampled_from(string.printable))
def test_one_wrong_letter_is_seen_without_a_database(place: int, letter: str) -> None:
    text = new_key().text
    place %= len(text)
    if text[place] != letter:
        assert read_key(text[:place] + letter + text[place + 1 :]) is None


@given(st.text(max_size=100))
def test_any_other_text_is_no_key_and_no_session(text: str) -> None:
    assert read_key(text) is None
    assert not is_session(text)
    assert is_session(new_session())


def test_a_wider_scope_has_the_narrower_ones() -> None:
    assert widened(["admin"]) == {"read", "submit", "admin"}
    assert widened(["operator"]) == {"operator", "metrics"}
    assert widened(["metrics"]) == {"metrics"}
    assert widened(["submit", "operator"]) == {"read", "submit", "operator", "metrics"}
    assert widened(["nonsense"]) == frozenset()
    assert widened(["submit"]) == {"read", "submit"}
    assert widened(["read"]) == {"read"}
    assert widened([]) == widened(["root"]) == frozenset()


class TestRates:
    def test_a_burst_and_then_the_average(self) -> None:
        moment = 0.0
        limit = RateLimit(per_s=2.0, burst=3, clock=lambda: moment)
        assert [limit.take("a") for _ in range(3)] == [0.0, 0.0, 0.0]
        assert limit.take("a") == 0.5
        assert limit.take("b") == 0.0
        moment = 0.5
        assert limit.take("a") == 0.0
        assert limit.take("a") > 0
        moment = 1000.0
        assert [limit.take("a") for _ in range(4)][:3] == [0.0, 0.0, 0.0]
        assert limit.take("a") > 0

    def test_streams_are_counted_by_key(self) -> None:
        limit = StreamLimit(1)
        with limit.hold("a"):
            limit.check("b")
            with pytest.raises(ServiceError, match="1 event streams"):
                limit.check("a")
        limit.check("a")
