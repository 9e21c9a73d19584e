import pytest
from fujimi_sim.network import flows


@pytest.mark.parametrize("row", flows.rows(), ids=lambda row: f"{row['dims']}-{row['pattern']}")
def test_makespan_agrees_with_simgrid(row):
    assert flows.seconds(row) == pytest.approx(float(row["makespan_s"]), rel=0.1)


def test_the_table_has_every_row():
    assert len(flows.table().splitlines()) == 2 + len(flows.rows())


def test_an_unknown_pattern_is_refused():
    with pytest.raises(KeyError, match="spiral"):
        flows.receivers("spiral", 8, seed=0)
