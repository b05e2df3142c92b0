"""Base of any asyncio service: lifecycle, clock, retry, logs, metrics. Independent of the rest of Latigo."""
