"""The score of mutation testing."""

from benchmarks.mutation import by_module, table

RESULTS = """
    latigo.ledger.settling.x_decide__mutmut_1: killed
    latigo.ledger.settling.x_decide__mutmut_2: timeout
    latigo.ledger.settling.x_revise__mutmut_1: survived
    latigo.domain.coverage.xǁCoverageǁof__mutmut_1: not checked
    latigo.domain.coverage.xǁCoverageǁof__mutmut_2: no tests
"""


def test_mutants_are_counted_by_module_and_those_that_hang_are_noticed():
    modules = by_module(RESULTS.splitlines())

    assert list(modules) == ["latigo.domain.coverage", "latigo.ledger.settling"]
    assert table(modules).splitlines()[2:] == [
        "| latigo.domain.coverage | 0 | 0 | 1 | 1 | 0 % |",
        "| latigo.ledger.settling | 2 | 1 | 0 | 0 | 67 % |",
        "| **all** | 2 | 1 | 1 | 1 | 50 % |",
    ]
