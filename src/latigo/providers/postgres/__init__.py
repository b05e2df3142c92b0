"""Predictions in PostgreSQL: one row per model and time."""

from latigo.providers.postgres.predictions import PostgresPredictions

__all__ = ["PostgresPredictions"]
