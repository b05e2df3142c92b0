import asyncio
from benchmarks import overhead
from benchmarks.report import table
print(table(asyncio.run(overhead.measure())))
