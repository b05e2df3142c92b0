-- ledger_identity --
-- The one row that names this ledger in messages and predictions. A copy of the database keeps the id; `latigo ledger
-- restored` raises the incarnation of a restored one.
CREATE TABLE ledger_identity (
    one             boolean PRIMARY KEY DEFAULT true CHECK (one),
    id              uuid NOT NULL,
    incarnation     bigint NOT NULL CHECK (incarnation > 0),
    created_at      timestamptz NOT NULL
);

-- ledger_identity_row --
INSERT INTO ledger_identity (id, incarnation, created_at) VALUES (gen_random_uuid(), 1, ledger_now());

-- queue_mismatch --
-- Messages that this ledger cannot have sent as it is: one row for each kind, however many messages there are.
CREATE TABLE queue_mismatch (
    incarnation     bigint NOT NULL,  -- of the ledger that noticed: a later one starts without any
    kind            text NOT NULL,
    task_id         bigint NOT NULL,
    detail          text NOT NULL,
    first_at        timestamptz NOT NULL,
    last_at         timestamptz NOT NULL,
    PRIMARY KEY (incarnation, kind)
);
