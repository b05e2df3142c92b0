"""The command line: arguments in, exit codes out.

`main` lists the commands. Each is a file of ``commands``, imported when it is called, so that ``--help`` is quick; no
command knows another one. What they share stands beside this file: options, exit codes, times, tables.
"""
