"""The words of Latigo: windows, coverage, models, tasks, series, outcomes, errors. No I/O, no clock."""
