import asyncio, tempfile, time, statistics
from pathlib import Path
from benchmarks import planning as P
from latigo.postgres.embedded import open_embedded
from latigo.postgres.migrate import migrate
from latigo.settings import Settings
from latigo.wiring.resources import connect_to
from latigo.ledger.scheduler_store import PostgresSchedulerLedger
REQ = """
WITH r AS (INSERT INTO request (kind, who, at, selector, state, low, high)
  SELECT CASE WHEN n % 4 = 0 THEN 'replace' ELSE 'fill' END, 'b', now(), '{}', 'active', now() - interval '1 year' * (n + 1), now() - interval '1 year' * n - interval '30 days'
  FROM generate_series(1, 20) n RETURNING id, low, high)
INSERT INTO request_model (request_id, model_id, wanted, slots)
SELECT r.id, m.id, tstzmultirange(tstzrange(date_bin(m.slot, r.low, 'epoch'), date_bin(m.slot, r.high, 'epoch'))), 17000 + r.id FROM r, model m
"""
async def main():
    with tempfile.TemporaryDirectory() as f:
        async with open_embedded(Path(f)) as url:
            await migrate(url, connect_timeout=Settings().ledger.connect_timeout)
            async with connect_to(url, Settings()) as db:
                ledger = PostgresSchedulerLedger(db)
                await ledger.maintain(history=P.CATCH_UP)
                for case in ("nothing to do", "every other slot missing"):
                    for req in (False, True):
                        async with db.connection() as c:
                            await c.execute("TRUNCATE request CASCADE")
                        await P._fill(db, 9000, P._COVERED[case])
                        if req:
                            async with db.connection() as c:
                                await c.execute(REQ)
                        took = await P._plan(ledger, db)
                        b=time.perf_counter(); n = await ledger.needs(P.CATCH_UP); needs=time.perf_counter()-b
                        print(case, req, round(took,3), "needs", round(needs,3), len(n), flush=True)
                        if req:
                            term = await ledger.acquire_lease("bench", P.timedelta(minutes=10))
                            b=time.perf_counter(); await ledger.tend_requests(term); print("tend", round(time.perf_counter()-b,3))
                            from latigo.reports.backfills import read_backfills
                            b=time.perf_counter(); await read_backfills(db); print("list", round(time.perf_counter()-b,3))
                            from latigo.actions.backfill import Asked, preview_backfill, request_backfill
                            from latigo.domain.windows import Window
                            from datetime import datetime, UTC, timedelta
                            a=Asked("fill", Window(datetime.now(UTC)-timedelta(days=365), datetime.now(UTC)), ["*"])
                            b=time.perf_counter(); pv=await preview_backfill(db, a); print("preview", round(time.perf_counter()-b,3), pv.slots, pv.calls)
                            b=time.perf_counter(); pv=await request_backfill(db, "x", a); print("request", round(time.perf_counter()-b,3))
                            async with db.connection() as c:
                                rows = await c.fetch("EXPLAIN (ANALYZE, BUFFERS, TIMING) "+__import__('latigo.ledger.scheduler_store').ledger.scheduler_store.SQL["needs"].replace("$1::interval","interval '30 days'"))
                                Path(f"/tmp/explain_{case[:4]}.txt").write_text("\n".join(r[0] for r in rows))
asyncio.run(main())
