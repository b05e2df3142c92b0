"""The command line: arguments in, exit codes out; one file for each group of commands."""
