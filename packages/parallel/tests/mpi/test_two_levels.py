PROGRAM = "two_levels.py"
RANKS = 4


def test_on_four_ranks(check, failures):
    assert "\n".join(failed[check] for failed in failures).strip() == ""
