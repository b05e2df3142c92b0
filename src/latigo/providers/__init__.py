"""Systems outside this process that give readings or models, or take predictions: one folder each."""
