"""Opening of foreign systems for the roles; nothing else opens them."""
