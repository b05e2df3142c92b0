"""What ``latigo demo`` runs: a simulated plant, stand-ins for the systems around Latigo, and all of Latigo."""
