-- Which sinks are required since when, what they lack of what is covered, and requests that copy it.

-- sink --
-- Sinks that are or were required, by the name of their circuit. The first scheduler takes those of its
-- settings as sinks that lack nothing.
CREATE TABLE sink (
    name            text PRIMARY KEY,
    required        boolean NOT NULL,
    since           timestamptz NOT NULL,  -- when that was last changed
    kept_for        interval               -- how long it keeps predictions; null: for ever, as far as is known
);

-- sink_model --
-- No row: a required sink has all that is stored of the model.
CREATE TABLE sink_model (
    sink            text NOT NULL,
    model_id        bigint NOT NULL REFERENCES model ON DELETE CASCADE,
    lacks           tstzmultirange NOT NULL DEFAULT '{}',  -- while it is required: stored, but not there
    lost            tstzmultirange NOT NULL DEFAULT '{}',  -- neither another sink nor the readings had it any more
    held            tstzmultirange NOT NULL DEFAULT '{}',  -- while it is not required: what it had then
    PRIMARY KEY (sink, model_id)
);

-- request_sink --
-- The sink that a copy is for.
ALTER TABLE request ADD COLUMN sink text;

-- model_stored --
-- What sinks have rows of.
CREATE VIEW model_stored AS
SELECT c.model_id,
       c.covered + coalesce((SELECT range_agg(s) FROM slot_exception e CROSS JOIN LATERAL unnest(e.slots) AS s
                             WHERE e.model_id = c.model_id AND e.state <> 'absent'), '{}') AS slots
FROM coverage c;

-- sink_lacks --
-- What required sinks lack and would keep, in whole slots of the model as it is now.
CREATE VIEW sink_lacks AS
SELECT k.sink, k.model_id,
       coalesce((SELECT range_agg(tstzrange(date_bin(m.slot, lower(l), 'epoch'),
                                            date_bin(m.slot, upper(l) - interval '1 microsecond', 'epoch') + m.slot))
                 FROM unnest(k.lacks) AS l), '{}')
           * tstzmultirange(tstzrange(date_bin(m.slot, ledger_now() - s.kept_for, 'epoch') + m.slot, NULL)) AS lacks,
       k.lost
FROM sink_model k JOIN sink s ON s.name = k.sink AND s.required JOIN model m ON m.id = k.model_id;
