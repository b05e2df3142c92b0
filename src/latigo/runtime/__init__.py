"""What any asyncio service needs: lifecycle, clock, retry, logs, metrics. Knows no Latigo word, imports no sibling."""
