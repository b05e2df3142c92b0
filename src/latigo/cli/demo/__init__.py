"""Everything that ``latigo demo`` runs: a simulated plant, the sandbox's servers, and all of Latigo."""
