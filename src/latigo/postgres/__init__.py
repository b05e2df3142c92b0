"""The one owner of PostgreSQL: pool, error translation, named statements, migrations, embedded server."""
