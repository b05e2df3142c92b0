"""The one owner of PostgreSQL: connections, errors, named statements, migrations, and a server of our own."""
