from __future__ import annotations

from search.diagnosis.once import MAX_LISTED, once_per_kind
from search.records.finding import Finding


def finding(code, message, severity="warning", **evidence):
    return Finding(code=code, severity=severity, message=message, advice="Look.", evidence=evidence)


def test_one_of_a_kind_stays_and_several_are_counted_with_the_list_behind_them():
    alone, first, second = finding("a", "A."), finding("b", "B1.", node="n1"), finding("b", "B2.", node="n2")
    kept, together = once_per_kind([alone, first, second])
    assert kept == alone
    assert (together.code, together.message, together.advice) == ("b", "2 times, first: B1.", "Look.")
    assert together.evidence == {
        "count": 2,
        "all": [{"message": "B1.", "node": "n1"}, {"message": "B2.", "node": "n2"}],
    }


def test_errors_and_other_severities_are_not_put_together():
    errors = [finding("a", "one", "error"), finding("a", "two", "error")]
    mixed = [finding("b", "one"), finding("b", "two", "note")]
    assert once_per_kind([*errors, *mixed]) == (*errors, *mixed)


def test_the_list_has_an_end_and_the_count_is_that_of_all():
    (one,) = once_per_kind(finding("a", str(i)) for i in range(MAX_LISTED + 5))
    assert (one.evidence["count"], len(one.evidence["all"])) == (MAX_LISTED + 5, MAX_LISTED)
