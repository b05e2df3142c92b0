"""Days in the life of a plant: what happens, on a clock that real processes share, and what has to come of it."""
