import pytest
from fujimi_core.measurements import Measurement
from fujimi_sim.network.comparison import Compared
from fujimi_sim.network.report import WORST, Errors, decade, markdown, page, size, summary, text
from fujimi_sim.network.timing import Cost

MIB = 1 << 20


class Fixed(Cost):
    """Takes as long as it is told."""

    __slots__ = ()

    def seconds(self, nbytes: float) -> float:
        return 1.0


def row(error, *, algorithm="ring", named=True, **fields):
    """A row that is simulated as 1 s and off by this much."""
    values = {"collective": "all_reduce", "nodes": 8, "nbytes": 1000, "reported": algorithm}
    measured = Measurement(seconds=1 / (1 + error), **(values | fields))
    return Compared(measured=measured, algorithm=algorithm, named=named, cost=Fixed())


def cells(shown, heading):
    """Cells of the table below a heading, without its header."""
    lines = shown.split(heading + "\n", 1)[1].splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("|"))
    table = []
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        table.append([cell.strip() for cell in line.strip("|").split("|")])
    return table[2:]


def test_errors_are_mean_median_and_bias_of_simulated_over_measured_less_one():
    found = Errors.of([row(error) for error in (0.1, -0.2, 0.6, -0.1)])
    assert found.rows == 4
    assert found.mean_absolute == pytest.approx((0.1 + 0.2 + 0.6 + 0.1) / 4)
    assert found.median_absolute == pytest.approx((0.1 + 0.2) / 2)
    assert found.bias == pytest.approx((0.1 - 0.2 + 0.6 - 0.1) / 4)


def test_the_summary_counts_fitted_rows_for_themselves_only():
    rows = [
        row(0.1),
        row(0.3, nbytes=MIB),
        row(0.5, nbytes=MIB, named=False),
        row(0.7, collective="send", algorithm="send", nbytes=2 * MIB),
        row(9.0, nbytes=MIB, fitted=True),
        row(0.9, collective="send", algorithm="send", fitted=True),
    ]
    found = summary(rows)
    assert {name: (errors.rows, round(errors.bias, 9)) for name, errors in found.items()} == {
        "not fitted": (4, 0.4),
        "not fitted, 1 MiB and more, algorithm named": (1, 0.3),
        "fitted": (2, 4.95),
        "ping-pong": (2, 0.8),
    }


def test_groups_without_rows_are_left_out():
    assert list(summary([row(0.1)])) == ["not fitted"]
    assert list(summary([row(0.1, fitted=True)])) == ["fitted"]
    assert summary([]) == {}


@pytest.mark.parametrize(
    ("nbytes", "shown"),
    [
        (0, "none"),
        (1, "1 B to 10 B"),
        (9, "1 B to 10 B"),
        (10, "10 B to 100 B"),
        (999, "100 B to 1 kB"),
        (1000, "1 kB to 10 kB"),
        (123_456_789, "100 MB to 1 GB"),
    ],
)
def test_decades_begin_with_powers_of_ten(nbytes, shown):
    assert decade(nbytes) == shown


@pytest.mark.parametrize(
    ("nbytes", "shown"),
    [
        (0, "0"),
        (1023, "1023"),
        (1024, "1 KiB"),
        (1536, "1.5 KiB"),
        (MIB - 1024, "1023 KiB"),
        (MIB - 1, "1024 KiB"),
        (MIB, "1 MiB"),
        (5 << 30, "5 GiB"),
        (512 * MIB, "512 MiB"),
    ],
)
def test_sizes_are_in_binary_units(nbytes, shown):
    assert size(nbytes) == shown


def test_a_table_has_a_header_and_a_line_below_it():
    assert markdown(["a", "b"], [["1", "2"]]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"


@pytest.fixture
def shown():
    """A page of five rows, one of them fitted."""
    rows = [
        row(0.2, nodes=16),
        row(-0.4, nodes=8, nbytes=50_000, collective="broadcast"),
        row(0.6, nodes=8, nbytes=200, algorithm="binomial", named=False, reported=""),
        row(0.0, nodes=16, nbytes=9_999),
        row(7.0, nodes=2, nbytes=70_000_000, collective="gather", algorithm="linear", fitted=True),
    ]
    unknown = [
        Measurement(collective="gather", nodes=8, nbytes=8, seconds=1, reported=name, modelled=False)
        for name in ("secret", "secret", "hidden")
    ]
    return page(rows, unknown, sources=["a paper", "another"])


def test_the_page_groups_rows_that_were_not_fitted(shown):
    assert cells(shown, "### Not fitted, by number of nodes") == [
        ["8", "2", "50.0%", "50.0%", "+10.0%"],
        ["16", "2", "10.0%", "10.0%", "+10.0%"],
    ]
    assert [line[:2] for line in cells(shown, "### Not fitted, by collective")] == [
        ["all_reduce", "3"],
        ["broadcast", "1"],
    ]
    assert [line[:2] for line in cells(shown, "### Not fitted, by size of the buffer")] == [
        ["100 B to 1 kB", "1"],
        ["1 kB to 10 kB", "2"],
        ["10 kB to 100 kB", "1"],
    ]
    assert {line[0]: line[1] for line in cells(shown, "### Not fitted, by algorithm")} == {
        "*binomial*": "1",
        "ring": "3",
    }


def test_the_page_shows_the_furthest_rows_first(shown):
    worst = cells(shown, f"### The {WORST} rows not fitted that are furthest off")
    assert [line[-1] for line in worst] == ["+60%", "-40%", "+20%", "+0%"]
    assert worst[0] == ["all_reduce", "8", "-", "binomial", "200", "1 s", "625 ms", "+60%"]


def test_no_more_than_the_furthest_rows_are_shown_one_by_one():
    rows = [row(number / 100) for number in range(WORST + 5)]
    worst = cells(page(rows, [], sources=[]), f"### The {WORST} rows not fitted that are furthest off")
    assert [line[-1] for line in worst] == [f"+{number}%" for number in range(WORST + 4, 4, -1)]


def test_fitted_rows_are_marked_among_all_rows_and_nowhere_else(shown):
    lines = cells(shown, "### All rows, errors by size")
    assert ["gather", "2", "linear", "fitted", "66.76 MiB: +700%"] in lines
    assert sum(line[3] == "fitted" for line in lines) == 1
    assert ["all_reduce", "16", "ring", "", "1000: +20%, 9.765 KiB: +0%"] in lines
    assert ["all_reduce", "8", "library's choice", "", "200: +60%"] in lines
    rest = shown.split("### All rows, errors by size")[0]
    assert "700" not in rest.split("### Not fitted, by number of nodes")[1]


def test_the_page_counts_what_is_not_modelled(shown):
    heading = "### Not modelled: 3 rows"
    assert cells(shown, heading) == [["gather", "hidden", "1"], ["gather", "secret", "2"]]
    assert "Not modelled" not in page([row(0.1)], [], sources=["a paper"])


def test_the_page_says_who_measured(shown):
    assert "Measured: a paper; another.\n" in shown


@pytest.mark.parametrize(
    ("algorithm", "family"),
    [
        ("ring", "ring"),
        ("chain/4096", "chain"),
        ("trinary_x6/65536", "trinary_x6"),
        ("bine_halving_x6/4096", "bine_halving_x6"),
        ("bine_halving_x6", "bine_halving_x6"),
    ],
)
def test_algorithms_with_other_segments_are_one_line(algorithm, family):
    shown = page([row(0.1, algorithm=algorithm)], [], sources=[])
    assert [line[0] for line in cells(shown, "### Not fitted, by algorithm")] == [family]


def test_a_page_without_rows_to_check_has_empty_tables():
    shown = page([row(0.1, fitted=True)], [], sources=[])
    assert cells(shown, "### Not fitted, by collective") == []
    assert len(cells(shown, "### All rows, errors by size")) == 1


def test_the_text_for_a_terminal_has_a_line_a_group():
    lines = text(summary([row(0.25), row(-0.75)]), left_out=1234).splitlines()
    assert lines[0].split() == ["rows", "number", "MAPE", "median", "bias"]
    assert lines[1].split() == ["not", "fitted", "2", "50.0%", "50.0%", "-25.0%"]
    assert lines[2] == "not modelled: 1,234 rows"
    assert len(text(summary([row(0.25)]), left_out=0).splitlines()) == 2
