"""The command line: arguments in, exit codes out.

`main` lists the commands. Each is a file of ``commands``, imported when it is called, so that ``--help`` is quick; no
command knows another one. They share options, exit codes, times and tables.
"""
