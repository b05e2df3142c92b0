"""One file a command: ``models_list.py`` is ``latigo models list``. Each has a function ``run`` and ``EXAMPLES``."""
