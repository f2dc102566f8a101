"""``auto``: a surrogate of noise and goals proposes, evaluations decide."""
