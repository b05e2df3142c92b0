"""What ``latigo demo`` runs: a simulated plant, the sandbox in the place of foreign systems, and all of Latigo."""
