"""What a wave has cost the ledger."""

from benchmarks.ledger_disk import Cost, Wave

WAVE = Wave(
    planned=Cost(cpu=0.25, log=900.0),
    done=Cost(cpu=0.5, log=1500.0),
    transactions=1.5,
    whole_pages=0.0,
    sizes={"task": 100, "task_history": 5000, "coverage": 20},
)


def test_a_task_costs_what_both_its_halves_cost():
    assert (WAVE.cpu, WAVE.log) == (0.75, 2400.0)


def test_the_history_which_grows_is_no_part_of_the_tables_that_are_to_stay_as_they_are():
    assert WAVE.live == 120
