PROGRAM = "collectives.py"
RANKS = 3


def test_on_three_ranks(check, failures):
    assert "\n".join(failed[check] for failed in failures).strip() == ""
